"""Byte-level byte-pair encoding: train, encode, decode, save, load.

Sennrich et al., 2016, https://arxiv.org/abs/1508.07909, on bytes as in GPT-2.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from utils.counts import check_count
from utils.merges import Pair, apply_merges, learn_merges
from utils.pretokens import look_up, pattern, special_pattern, stream, utf8
from utils.tokenizer_files import gguf_content, read_content, write_content

CACHE = 1 << 17  # pre-tokens whose ids are remembered
CHUNK = 1 << 20  # characters of a file read at once


class ByteBPE:
    """A tokenizer that starts from 256 bytes and so can write any text.

    Made by `train`, `train_file`, `load` or `from_gguf`.

    Args:
        tokens: the bytes of each token; its id is its place.
        merges: pairs of ids, the first learned first; each gives a token.
        specials: text -> id of the special tokens.
        split_digits: True: each digit is a token of its own.

    Raises:
        ValueError: if these do not fit together.

    >>> bpe = ByteBPE.train("low lower lowest", 260, specials=["<end>"])
    >>> bpe.tokens[256:]
    [b'lo', b'low', b' low', b'<end>']
    >>> bpe.encode("low low<end>")
    [257, 258, 259]
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        merges: Sequence[Pair],
        specials: Mapping[str, int] | None = None,
        split_digits: bool = False,
    ) -> None:
        self.tokens, self.specials = list(tokens), dict(specials or {})
        self.merges = [(int(left), int(right)) for left, right in merges]
        self.split_digits = bool(split_digits)
        for text, i in self.specials.items():
            good = isinstance(text, str) and text and 0 <= i < len(self.tokens)
            if not good or self.tokens[i] != text.encode():
                raise ValueError(
                    f"specials should be in tokens at its id: {text!r}, {i}"
                )
        ordinary = set(range(len(self.tokens))) - set(self.specials.values())
        self._id = {self.tokens[i]: i for i in sorted(ordinary)}
        if len(self._id) < len(ordinary):
            twice = next(t for t, n in Counter(self.tokens).items() if n > 1)
            raise ValueError(f"each token should come once, {twice!r} comes twice")
        self._byte = [self._id.get(bytes([b])) for b in range(256)]
        self._rank: dict[Pair, Pair] = {}  # pair -> (its turn, id of what it becomes)
        for rank, pair in enumerate(self.merges):
            if not ordinary.issuperset(pair):
                raise ValueError(f"merge {rank} should join two tokens, joins {pair}")
            whole = self.tokens[pair[0]] + self.tokens[pair[1]]
            if whole not in self._id or pair in self._rank:
                raise ValueError(
                    f"merge {rank} of {pair} should give a token, once; got {whole!r}"
                )
            self._rank[pair] = (rank, self._id[whole])
        self._special = special_pattern(self.specials)
        self._cache: dict[str, tuple[int, ...]] = {}

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        vocab_size: int,
        specials: Sequence[str] = (),
        min_count: int = 1,
        split_digits: bool = False,
    ) -> "ByteBPE":
        """Learn a tokenizer; `learn_merges` says how ties and overlaps are settled.

        Args:
            texts: one text, or its parts one after the other, cut anywhere; only
                the counts of distinct pre-tokens are kept. Between documents
                put a special token.
            vocab_size: 256 bytes, merges and specials together. Smaller if the
                text has no more pairs.
            specials: get the last ids; no merge is learned in or across them.
            min_count: a pair that occurs fewer times is not merged.
            split_digits: True: each digit is a token of its own.

        Raises:
            ValueError: if vocab_size is too small, or a special empty or twice there.
        """
        check_count("vocab_size", vocab_size)
        if isinstance(specials, str) or not all(isinstance(s, str) for s in specials):
            raise ValueError(f"specials should be a list of words, got {specials!r}")
        if not isinstance(texts, Iterable):
            raise ValueError(f"texts should be strings, got {texts!r}: give a text")
        specials = list(specials)
        if vocab_size < 256 + len(specials):
            raise ValueError(
                f"vocab_size should be at least 256 bytes and {len(specials)} special "
                f"tokens, got {vocab_size}: try {256 + len(specials) + 256}"
            )
        if not all(specials) or len(set(specials)) < len(specials):
            raise ValueError(f"specials should be words, each once, got {specials}")
        counts: Counter[str] = Counter()
        parts = [texts] if isinstance(texts, str) else texts
        for words in stream(parts, specials, split_digits):
            counts.update(words)
        as_bytes = {utf8(word): n for word, n in counts.items()}
        n_merges = vocab_size - 256 - len(specials)
        merges = learn_merges(as_bytes, n_merges, min_count)
        return cls._from_merges(merges, specials, split_digits)

    @classmethod
    def train_file(cls, path: str | Path, vocab_size: int, **options) -> "ByteBPE":
        """As `train`, on a UTF-8 file of any size, piece by piece."""
        with open(path, encoding="utf-8", newline="") as file:
            parts = iter(lambda: file.read(CHUNK), "")
            return cls.train(parts, vocab_size, **options)

    @classmethod
    def _from_merges(
        cls, merges: Sequence[Pair], specials: Sequence[str], split_digits: bool
    ) -> "ByteBPE":
        """The tokenizer whose first ids are the bytes, then merges, then specials."""
        tokens = [bytes([b]) for b in range(256)]
        for left, right in merges:
            tokens.append(tokens[left] + tokens[right])
        ids = {text: len(tokens) + i for i, text in enumerate(specials)}
        tokens += [utf8(text) for text in specials]
        return cls(tokens, merges, ids, split_digits)

    @classmethod
    def from_gguf(
        cls, metadata: Mapping[str, object], split_digits: bool = False
    ) -> "ByteBPE":
        """The tokenizer of a language model, such as SmolLM2's.

        Its ids are those of `transformers` reading the same file, which leaves
        digits in their words although SmolLM2's training did not, and which, as
        `encode` here, leaves out the `missing_bytes`.

        Args:
            metadata: of a GGUF file whose tokenizer.ggml.model is "gpt2".
            split_digits: True for ids as in SmolLM2's training.

        Raises:
            ValueError: if the file holds another kind of tokenizer.
        """
        return cls(**gguf_content(metadata), split_digits=split_digits)

    @property
    def missing_bytes(self) -> bytes:
        """The bytes that no token stands for; empty for a trained tokenizer."""
        return bytes(b for b in range(256) if self._byte[b] is None)

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str, use_specials: bool = True) -> list[int]:
        """Turn text into ids; `decode` gives exactly the same text back.

        Args:
            text: any string. Where several special tokens begin, the longest wins.
            use_specials: False: special tokens are text like any other. So treat
                what a stranger typed.

        Raises:
            ValueError: if `text` is no string or no valid Unicode.
        """
        if not isinstance(text, str):
            raise ValueError(f"text should be a string, got {type(text).__name__}")
        ids: list[int] = []
        cut, cache = self._special is not None and use_specials, self._cache
        words = pattern(self.split_digits)
        for odd, piece in enumerate(self._special.split(text) if cut else [text]):
            if odd % 2:
                ids.append(self.specials[piece])
                continue
            for word in words.findall(piece):
                found = cache.get(word)
                if found is None:
                    found = self._encode_word(word)
                ids += found
        return ids

    def _encode_word(self, word: str) -> tuple[int, ...]:
        known = [self._byte[b] for b in utf8(word)]
        found = apply_merges([i for i in known if i is not None], self._rank)
        if len(self._cache) < CACHE and len(word) < 64:
            self._cache[word] = tuple(found)
        return tuple(found)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some tokens, put together.

        Raises:
            ValueError: if an id is no whole number or outside the vocabulary.
        """
        return b"".join(look_up(ids, self.tokens))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some tokens; bytes that are no UTF-8 become the sign \ufffd.

        Raises:
            ValueError: if an id is no whole number or outside the vocabulary.
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def save(self, path: str | Path) -> None:
        """Write the tokenizer as JSON, with a sum that tells damage."""
        write_content(path, self.tokens, self.merges, self.specials, self.split_digits)

    @classmethod
    def load(cls, path: str | Path) -> "ByteBPE":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file is damaged or something else.
        """
        try:
            return cls(**read_content(path))
        except (ValueError, TypeError) as error:
            message = f"{path} should be what save() wrote, but {error}: save it again"
            raise ValueError(message) from error
