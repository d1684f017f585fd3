"""Cut text into pre-tokens: the words, numbers and spaces that BPE merges within.

GPT-2's rule (Radford et al., 2019, https://github.com/openai/gpt-2), written for
Python's `re`, which has no \\p{L}; the whole text, or piece by piece.
"""

import operator
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# What Unicode 14 to 16 added, for a Python that does not know it yet: the same
# text must give the same ids everywhere.
NEW_LETTERS = """
    870-887 889-88e 8b5 8c8-8c9 c5d cdd 170d 171f 1b4c 1c89-1c8a 2c2f 2c5f 9ffd-9fff
    a7c0-a7c1 a7cb-a7cd a7d0-a7d1 a7d3 a7d5-a7d9 a7da-a7dc a7f2-a7f4 10570-1057a
    1057c-1058a 1058c-10592 10594-10595 10597-105a1 105a3-105b1 105b3-105b9
    105bb-105bc 105c0-105f3 10780-10785 10787-107b0 107b2-107ba 10d4a-10d65
    10d6f-10d85 10ec2-10ec4 10f70-10f81 11071-11072 11075 1123f-11240 11380-11389
    1138b 1138e 11390-113b5 113b7 113d1 113d3 11740-11746 11ab0-11abf 11bc0-11be0
    11f02 11f04-11f10 11f12-11f33 12f90-12ff0 1342f 13441-13446 13460-143fa
    16100-1611d 16a70-16abe 16d40-16d6c 18cff 1aff0-1aff3 1aff5-1affb 1affd-1affe
    1b11f-1b122 1b132 1b155 1df00-1df1e 1df25-1df2a 1e030-1e06d 1e290-1e2ad
    1e4d0-1e4eb 1e5d0-1e5ed 1e5f0 1e7e0-1e7e6 1e7e8-1e7eb 1e7ed-1e7ee 1e7f0-1e7fe
    2a6de-2a6df 2b735-2b738 2b739 2ebf0-2ee5d 31350-323af
"""
NEW_NUMBERS = """
    10d40-10d49 116d0-116e3 11bf0-11bf9 11f50-11f59 16130-16139 16ac0-16ac9
    16d70-16d79 1ccf0-1ccf9 1d2c0-1d2d3 1e4f0-1e4f9 1e5f1-1e5fa
"""


def code_points(text: str) -> Iterator[int]:
    """The code points of "a-b c ...", hexadecimal, both ends included.

    >>> list(code_points("9-b 20"))
    [9, 10, 11, 32]
    """
    for part in text.split():
        first, _, last = part.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


@cache
def character_class(kind: str) -> str:
    """All characters of Unicode's category `kind` as the inside of a [...] of `re`.

    Args:
        kind: "L", letters, or "N", numbers.

    >>> bool(re.match(f"[{character_class('L')}]", "é"))
    True
    """
    added = NEW_LETTERS if kind == "L" else NEW_NUMBERS
    # No letter and no number stands above plane 3.
    known = map(chr, range(0x40000))
    if kind == "L":
        codes = {ord(char) for char in known if char.isalpha()}
    else:  # isnumeric() takes some letters, such as 一, for numbers
        numeric = (char for char in known if char.isnumeric())
        codes = {ord(c) for c in numeric if unicodedata.category(c)[0] == "N"}
    runs: list[list[int]] = []
    for code in sorted(codes.union(code_points(added))):
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in runs)


@cache
def pattern(split_digits: bool = False) -> re.Pattern:
    """GPT-2's expression; a match is a pre-token, and every character is in one."""
    L, N = character_class("L"), character_class("N")
    # A run of spaces leaves its last one to the word that follows; with single
    # digits it stops before a digit, so that the digit stands alone.
    number = f"[{N}]" if split_digits else f" ?[{N}]+"
    word = f"[^{SPACE}{N}]" if split_digits else f"[^{SPACE}]"
    return re.compile(
        rf"'(?:[stmd]|re|ve|ll)| ?[{L}]+|{number}| ?[^{SPACE}{L}{N}]+"
        rf"|[{SPACE}]+(?!{word})|[{SPACE}]+"
    )


def pre_tokens(text: str, split_digits: bool = False) -> list[str]:
    """Cut `text` into words with their leading space, numbers, signs, spaces.

    Args:
        text: any string.
        split_digits: True: each digit is a pre-token of its own.

    >>> pre_tokens("It's 42  words.")
    ['It', "'s", ' 42', ' ', ' words', '.']
    >>> pre_tokens("It's 42  words.", split_digits=True)
    ['It', "'s", ' ', '4', '2', ' ', ' words', '.']
    """
    return pattern(split_digits).findall(text)


def utf8(text: str) -> bytes:
    """The bytes of a text.

    Raises:
        ValueError: if it holds half of a surrogate pair, which is no character.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text should be valid Unicode, holds half of one: {text[error.start]!r}; "
            'clean it with text.encode("utf-8", "replace").decode()'
        ) from error


def look_up(ids: Iterable[int], tokens: Sequence) -> list:
    """The token of each id.

    Raises:
        ValueError: if an id is no whole number or outside the vocabulary.

    >>> look_up([1, 0], ["a", "b"])
    ['b', 'a']
    """
    if not isinstance(ids, Iterable):
        raise ValueError(f"ids should be a list of whole numbers, got {ids!r}")
    found = []
    for i in ids:
        try:
            i = operator.index(i)
        except TypeError as error:
            raise ValueError(f"ids should be whole numbers, got {i!r}") from error
        if not 0 <= i < len(tokens):
            raise ValueError(
                f"ids should be from 0 to {len(tokens) - 1}, got {i}: "
                "is this the tokenizer that encoded them?"
            )
        found.append(tokens[i])
    return found


def special_pattern(specials: Iterable[str]) -> re.Pattern | None:
    """Matches any special token, the longest where several begin; None for none."""
    longest = sorted(specials, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest))})") if longest else None


def stream(
    parts: Iterable[str], specials: Iterable[str] = (), split_digits: bool = False
) -> Iterator[list[str]]:
    """The pre-tokens of one long text that comes in parts, special tokens left out.

    Wherever the parts are cut, the pre-tokens are those of the whole text: what
    may still change with the next part is kept back. Memory: one part and the
    longest pre-token.

    Args:
        parts: strings; the text is "".join(parts).
        specials: tokens that are no text; a pre-token never reaches across one.
        split_digits: as in `pre_tokens`.

    Raises:
        ValueError: if a part is not a string.

    >>> [t for some in stream(["It'", "s  fi", "ne"]) for t in some]
    ['It', "'s", ' ', ' fine']
    """
    specials = list(specials)
    found, words = special_pattern(specials), pattern(split_digits)
    # A match is settled when three more characters are known ('re), or as many
    # as a special token that may begin there.
    margin = max(map(len, specials), default=0) + 3
    rest, enough = "", 0

    def settled(text: str, sure: int) -> tuple[list[str], int]:
        tokens, start = [], 0
        for piece in found.split(text) if found else [text]:
            end = start + len(piece)
            if found and piece and found.fullmatch(piece):
                if start > sure:
                    break
                start = end
                continue
            for match in words.finditer(text, start, end):
                if match.end() > sure:
                    return tokens, start
                tokens.append(match.group())
                start = match.end()
        return tokens, start

    for part in parts:
        if not isinstance(part, str):
            raise ValueError(f"each part should be a string, got {part!r}: decode it")
        rest += part
        if len(rest) < enough:
            continue
        tokens, n_used = settled(rest, len(rest) - margin)
        rest = rest[n_used:]
        # A pre-token longer than a part: look again when there is twice as much.
        enough = 2 * len(rest) + margin if not tokens else 0
        yield tokens
    yield settled(rest, len(rest))[0]
