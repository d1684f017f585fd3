"""WordPiece: BERT's way to cut words into the longest pieces it knows.

Wu et al., 2016, https://arxiv.org/abs/1609.08144; Devlin et al., 2018,
https://arxiv.org/abs/1810.04805. No torch in here.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from utils.pretokens import code_points, look_up, special_pattern, utf8

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_CHARS = 100  # a longer word is [UNK] at once
CACHE = 1 << 17  # words whose ids are remembered

# Unicode's blocks of Chinese characters. BERT begins the last but one at 2b820;
# `transformers` writes 2b920, and so do we.
CHINESE = "3400-4dbf 4e00-9fff f900-faff 20000-2a6df 2a700-2b81f 2b920-2ceaf"
CHINESE += " 2f800-2fa1f"
# `transformers` knows marks, signs and invisible characters as they were about
# 2016, whatever the Python. Those that came later are ordinary to it, and here:
LATER = """
    5c8-5c9 61d 7fd 890-891 897-89f 8ca-8e2 9fd-9fe a76 afa-aff b53-b55 c04 c3c c77 c84
    d00 d3b-d3c d81 eba ece 180f 1885-1886 1abf-1af0 1b4e-1b4f 1b7d-1b7f 1df6-1dfb
    2e43-2e4f 2e52-2e5d 2e60-2e63 a82c a8c5 a8ff a9bd 10d24-10d27 10d69-10d6e
    10eab-10ead 10ecb-10ed0 10ef0-10eff 10f46-10f50 10f55-10f59 10f82-10f89 11070
    11073-11074 110c2 110cd 111c9 111cf 1123e 11241 1133b 113bb-113c0 113ce 113d0 113d2
    113d4-113d5 113d7-113d8 113e1-113e2 11438-1143f 11442-11444 11446 1144b-1144f
    1145a-1145b 1145d-1145e 11660-1166c 116b9 1182f-11837 11839-1183b 1193b-1193c 1193e
    11943-11946 119d4-119d7 119da-119db 119e0 119e2 11a01-11a0a 11a33-11a38 11a3b-11a47
    11a51-11a56 11a59-11a5b 11a8a-11a96 11a98-11a9c 11a9e-11aa2 11b00-11b09 11b60
    11b62-11b64 11b66 11be1 11c30-11c36 11c38-11c3d 11c3f 11c41-11c45 11c70-11c71
    11c92-11ca7 11caa-11cb0 11cb2-11cb3 11cb5-11cb6 11d31-11d36 11d3a 11d3c-11d3d
    11d3f-11d45 11d47 11d90-11d91 11d95 11d97 11df0 11ef3-11ef4 11ef7-11ef8 11f00-11f01
    11f36-11f3a 11f40 11f42-11f4f 11f5a 11fff 12ff1-12ff2 13430-13440 13447-13455
    1611e-16129 1612d-1612f 16d6d-16d6f 16e97-16e9a 16f4f 16fe2 16fe4 1cf00-1cf2d
    1cf30-1cf46 1d127-1d128 1d25b-1d25c 1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024
    1e026-1e02a 1e08f 1e130-1e136 1e2ae 1e2ec-1e2ef 1e4ec-1e4ef 1e5ee-1e5ef 1e5ff 1e6e3
    1e6e6 1e6ee-1e6ef 1e6f5 1e944-1e94a 1e95e-1e95f
"""
# ... and these four changed their category.
MARKS_ONCE, SIGNS_ONCE = "1734 1171e", "166d 111c9"


@cache
def _codes(text: str) -> frozenset[int]:
    return frozenset(code_points(text))


class _Table(dict):
    """For str.translate: asks `rule` about each new character once."""

    def __init__(self, rule) -> None:
        super().__init__()
        self.rule = rule

    def __missing__(self, code: int) -> str:
        self[code] = found = self.rule(code, chr(code))
        return found


def _clean(code: int, char: str) -> str:
    """No control characters; one kind of space; Chinese characters stand alone."""
    kind = unicodedata.category(char)
    if char in "\t\n\r" or kind in ("Zs", "Zl", "Zp"):
        return " "
    if code in (0, 0xFFFD):
        return ""
    if kind in ("Cc", "Cf", "Co") and code not in _codes(LATER):
        return ""
    return f" {char} " if code in _codes(CHINESE) else char


def _lower(code: int, char: str) -> str:
    """No accents; lower case, each character by itself; signs stand alone."""
    kind = unicodedata.category(char)
    known = code not in _codes(LATER)
    if (kind == "Mn" and known) or code in _codes(MARKS_ONCE):
        return ""
    sign = (kind[0] == "P" and known) or code in _codes(SIGNS_ONCE)
    if sign or char in "$+<=>^`|~":
        return f" {char} "
    return char.lower()


_CLEAN, _LOWER = _Table(_clean), _Table(_lower)


def basic_tokens(text: str) -> list[str]:
    """BERT's basic tokenisation: words and signs, lower case, no accents.

    Control characters go, Chinese characters and punctuation stand alone.

    >>> basic_tokens("Où est  l'œuf?")
    ['ou', 'est', 'l', "'", 'œuf', '?']
    """
    clean = text.translate(_CLEAN)
    return unicodedata.normalize("NFD", clean).translate(_LOWER).split()


class WordPiece:
    """BERT's uncased tokenizer, on a given vocabulary.

    Args:
        tokens: pieces in the order of their ids; "##" begins one that goes on
            inside a word. [UNK] must be among them.

    Raises:
        ValueError: if a token is empty or comes twice, or [UNK] is absent.

    >>> pieces = WordPiece(["[UNK]", "un", "##aff", "##able", "##a"])
    >>> pieces.tokenize("Unaffable! Unable.")
    ['un', '##aff', '##able', '[UNK]', 'un', '##able', '[UNK]']
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        self._id = {token: i for i, token in enumerate(self.tokens)}
        if not all(isinstance(t, str) and t for t in self.tokens):
            raise ValueError("tokens should be non-empty strings: is a line empty?")
        if len(self._id) < len(self.tokens):
            raise ValueError("each token should come once: is one written twice?")
        if "[UNK]" not in self._id:
            raise ValueError("[UNK] should be among the tokens, is not: add it")
        self.specials = {t: self._id[t] for t in SPECIALS if t in self._id}
        self._special = special_pattern(self.specials)
        self._longest = max(map(len, self.tokens))
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def from_file(cls, path: str | Path) -> "WordPiece":
        """Read a vocab.txt: one piece a line, in UTF-8.

        Raises:
            ValueError: if it is no such list.
        """
        text = Path(path).read_text(encoding="utf-8")
        return cls(text.removesuffix("\n").split("\n"))

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(
        self, text: str, wrap: bool = False, use_specials: bool = True
    ) -> list[int]:
        """Turn text into ids: the longest piece that fits, again and again.

        A word that cannot be cut wholly into pieces, or longer than 100
        characters, is [UNK].

        Args:
            text: any string.
            wrap: True: [CLS] before and [SEP] after, as BERT reads a sentence.
            use_specials: False: "[MASK]" in the text is text like any other.

        Raises:
            ValueError: if `text` is no string or no valid Unicode, or wrap needs
                a special token that is absent.
        """
        if not isinstance(text, str):
            raise ValueError(f"text should be a string, got {type(text).__name__}")
        utf8(text)
        ids: list[int] = []
        for odd, piece in enumerate(
            self._special.split(text) if use_specials else [text]
        ):
            if odd % 2:
                ids.append(self.specials[piece])
                continue
            for word in basic_tokens(piece):
                ids += self._cache.get(word) or self._encode_word(word)
        if not wrap:
            return ids
        if not {"[CLS]", "[SEP]"} <= set(self.specials):
            raise ValueError("wrap needs [CLS] and [SEP] among the tokens: add them")
        return [self.specials["[CLS]"], *ids, self.specials["[SEP]"]]

    def _encode_word(self, word: str) -> list[int]:
        """Greedy: from each place the longest piece, [UNK] if there is none."""
        ids, start = [], 0
        while start < len(word) <= MAX_CHARS:
            begin = "##" if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                if (found := self._id.get(begin + word[start:end])) is not None:
                    ids.append(found)
                    start = end
                    break
            else:
                break
        ids = ids if start == len(word) else [self._id["[UNK]"]]
        if len(self._cache) < CACHE:
            self._cache[word] = ids
        return ids

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text as words to read."""
        return [self.tokens[i] for i in self.encode(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """Put pieces together: "##" glues, and . , ! ? stand close to their word.

        Case, accents and spacing are lost: this is not the text encoded.

        Raises:
            ValueError: if an id is no whole number or outside the vocabulary.
        """
        text = ""
        for token in look_up(ids, self.tokens):
            if text and not token.startswith("##"):
                token = token if token[0] in ".?!," else f" {token}"
            text += token.removeprefix("##") if text else token
        return text
