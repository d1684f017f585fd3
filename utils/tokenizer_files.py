"""Byte-level BPE on disk: our own JSON, and what a GGUF file holds.

Plain data both ways; nothing in a file is ever run.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

FORMAT = "byte-level BPE, version 1"

# GPT-2 writes each byte as one printable character, and the rest as Ā, ā, Ă ...
_SHOWN = [*range(33, 127), *range(161, 173), *range(174, 256)]
_HIDDEN = [b for b in range(256) if b not in set(_SHOWN)]
BYTE_TO_CHAR = {b: chr(b) for b in _SHOWN}
BYTE_TO_CHAR |= {b: chr(256 + i) for i, b in enumerate(_HIDDEN)}
CHAR_TO_BYTE = {char: b for b, char in BYTE_TO_CHAR.items()}


def to_chars(token: bytes) -> str:
    """A token as GPT-2 writes it.

    >>> to_chars(b" the")
    'Ġthe'
    """
    return "".join(BYTE_TO_CHAR[b] for b in token)


def from_chars(shown: str) -> bytes:
    """The bytes of a token as GPT-2 writes it.

    Raises:
        ValueError: if a character stands for no byte.
    """
    strange = [char for char in shown if char not in CHAR_TO_BYTE]
    if strange:
        raise ValueError(
            f"each character of a token should stand for a byte, {strange[0]!r} does "
            f"not: is {shown!r} a special token?"
        )
    return bytes(CHAR_TO_BYTE[char] for char in shown)


def write_content(
    path: str | Path,
    tokens: Sequence[bytes],
    merges: Sequence[tuple[int, int]],
    specials: Mapping[str, int],
    split_digits: bool,
) -> None:
    """Write the parts of a tokenizer as JSON, with a sum that tells damage."""
    content = {
        "tokens": [to_chars(token) for token in tokens],
        "merges": [list(pair) for pair in merges],
        "specials": dict(specials),
        "split_digits": split_digits,
    }
    whole = {"format": FORMAT, "sha256": _sum(content), **content}
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    Path(path).write_text(text, encoding="utf-8")


def read_content(path: str | Path) -> dict:
    """What `write_content` wrote, as keyword arguments.

    Raises:
        ValueError: if the file is damaged or something else.
    """
    content = json.loads(Path(path).read_bytes())
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    if content.pop("sha256", None) != _sum(content):
        raise ValueError("its sum is not the one it should be")
    return content | {"tokens": [from_chars(token) for token in content["tokens"]]}


def _sum(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def gguf_content(metadata: Mapping[str, object]) -> dict:
    """The parts of a tokenizer that a GGUF file holds, as keyword arguments.

    Args:
        metadata: of a GGUF file whose tokenizer.ggml.model is "gpt2".

    Raises:
        ValueError: if the file holds another kind of tokenizer.
    """
    name = "tokenizer.ggml."
    if metadata.get(name + "model") != "gpt2":
        raise ValueError(
            f'{name}model should be "gpt2", is {metadata.get(name + "model")!r}: '
            "take a file whose tokenizer is a byte-level BPE"
        )
    shown, kinds = list(metadata[name + "tokens"]), metadata[name + "token_type"]
    ids = {text: i for i, text in enumerate(shown)}
    # 3: a control token, 4: one that a user added
    specials = {
        t: ids[t] for t, kind in zip(shown, kinds, strict=True) if kind in (3, 4)
    }
    tokens = [t.encode() if t in specials else from_chars(t) for t in shown]
    lines = (line.split(" ") for line in metadata[name + "merges"])
    merges = [(ids[left], ids[right]) for left, right in lines]
    return {"tokens": tokens, "merges": merges, "specials": specials}
