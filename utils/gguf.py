"""Read a GGUF file: metadata, and weights stored in blocks of few bits.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The file
is mapped into memory, so opening it costs little and a tensor is read when it is
asked for. Little-endian files of version 2 or 3; no torch in here.
"""

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

# number of a value's type -> its struct letter; 8 is a string, 9 an array
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"}
SCALARS |= {10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


def _halves(bytes_: np.ndarray) -> np.ndarray:
    """(n, 2k) bytes -> (n, k) numbers stored as float16, as float32"""
    return np.ascontiguousarray(bytes_).view("<f2").astype(np.float32)


def _f32(block: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(block).view("<f4").astype(np.float32)


def _q8_0(block: np.ndarray) -> np.ndarray:
    """(n, 34): scale d, then 32 signed bytes; x = d q"""
    q = np.ascontiguousarray(block[:, 2:]).view(np.int8).astype(np.float32)
    return _halves(block[:, :2]) * q


def _q4_1(block: np.ndarray) -> np.ndarray:
    """(n, 20): scale d, minimum m, then 32 numbers of 4 bits; x = d q + m"""
    packed = block[:, 4:]
    # The lower halves of the 16 bytes are numbers 0 to 15, the upper 16 to 31.
    q = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)
    return _halves(block[:, :2]) * q + _halves(block[:, 2:4])


def _q6_k(block: np.ndarray) -> np.ndarray:
    """(n, 210): 256 numbers of 6 bits, 16 scales of 8 bits, one scale of all"""
    n = len(block)
    low = block[:, :128].reshape(n, 2, 1, 64) >> np.array([[0], [4]], np.uint8)
    low = (low & 15).reshape(n, 8, 32)
    high = block[:, 128:192].reshape(n, 2, 1, 32)
    high = high >> np.array([[0], [2], [4], [6]], np.uint8)
    high = (high & 3).reshape(n, 8, 32)
    q = (low | high << 4).astype(np.int8) - np.int8(32)
    scales = np.ascontiguousarray(block[:, 192:208]).view(np.int8)
    d = _halves(block[:, 208:]) * scales.astype(np.float32)  # (n, 16)
    return (d[:, :, None] * q.reshape(n, 16, 16).astype(np.float32)).reshape(n, 256)


class Kind(NamedTuple):
    """A way to store numbers: so many of them in a block of so many bytes."""

    name: str
    n_numbers: int
    n_bytes: int
    decode: Callable[[np.ndarray], np.ndarray]


KINDS = {
    0: Kind("F32", 1, 4, _f32),
    1: Kind("F16", 1, 2, _halves),
    3: Kind("Q4_1", 32, 20, _q4_1),
    8: Kind("Q8_0", 32, 34, _q8_0),
    14: Kind("Q6_K", 256, 210, _q6_k),
}


class Place(NamedTuple):
    """Where a tensor lies in the file."""

    shape: tuple[int, ...]
    kind: Kind
    start: int


class GGUF:
    """A GGUF file, opened for reading.

    Args:
        path: the file.

    Attributes:
        metadata: name -> number, string, bool or list of these.
        names: the tensors' names, in the order of the file.

    Raises:
        ValueError: if it is not a GGUF file that can be read here, or truncated.
        FileNotFoundError: if there is no such file.

    >>> from utils.packages import smollm2_file
    >>> GGUF(smollm2_file()).metadata["llama.block_count"]
    30
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.stat().st_size < 24:
            raise ValueError(f"{self.path.name} is no GGUF file: it is too short")
        self._bytes = np.memmap(self.path, np.uint8, mode="r")
        # The head of the file, copied once: slicing bytes is quicker than a map.
        self._head = bytes(self._bytes[: 1 << 24])
        self._at = 0
        try:
            self._read_head()
        except (struct.error, IndexError, OverflowError, MemoryError):
            raise self._wrong("ends within its head: it is truncated") from None
        except UnicodeDecodeError:
            raise self._wrong("holds a name that is not UTF-8: damaged") from None

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.path.name} {what}; install its package again")

    def _read_head(self) -> None:
        if self._take("4s") != b"GGUF":
            raise ValueError(f"{self.path.name} is no GGUF file: it starts otherwise")
        version = self._take("I")
        if version not in (2, 3):
            raise ValueError(f"{self.path.name} should have version 2 or 3: {version}")
        n_tensors, n_entries = self._take("Q"), self._take("Q")
        self.metadata: dict[str, object] = {}
        for _ in range(n_entries):
            name = self._string()
            self.metadata[name] = self._value(self._take("I"))
        places = [self._place() for _ in range(n_tensors)]
        step = int(self.metadata.get("general.alignment", 32))
        data = math.ceil(self._at / step) * step
        self._places = {n: Place(s, k, data + at) for n, s, k, at in places}
        for name, place in self._places.items():
            if place.start + self._size(place) > len(self._bytes):
                raise self._wrong(f"ends within {name}: it is truncated")

    def _take(self, letters: str) -> object:
        """The next number of the head."""
        (value,) = struct.unpack_from("<" + letters, self._head, self._at)
        self._at += struct.calcsize("<" + letters)
        return value

    def _string(self) -> str:
        n_bytes = self._take("Q")
        raw = self._head[self._at : self._at + n_bytes]
        if len(raw) < n_bytes:
            raise IndexError("the head ends within a string")
        self._at += n_bytes
        return raw.decode("utf-8")

    def _value(self, kind: int) -> object:
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            inner, n_values = self._take("I"), self._take("Q")
            return [self._value(inner) for _ in range(n_values)]
        if kind not in SCALARS:
            raise self._wrong(f"has a value of the unknown type {kind}")
        return self._take(SCALARS[kind])

    def _place(self) -> tuple[str, tuple[int, ...], Kind, int]:
        name = self._string()
        sizes = [self._take("Q") for _ in range(self._take("I"))]
        number, start = self._take("I"), self._take("Q")
        if number not in KINDS:
            known = ", ".join(kind.name for kind in KINDS.values())
            raise ValueError(
                f"{name} is stored in format {number}; this reader knows {known}"
            )
        return name, tuple(reversed(sizes)), KINDS[number], start

    @staticmethod
    def _size(place: Place) -> int:
        """Bytes that a tensor takes in the file."""
        n_numbers = math.prod(place.shape)
        return n_numbers // place.kind.n_numbers * place.kind.n_bytes

    @property
    def names(self) -> list[str]:
        return list(self._places)

    def stored_as(self, name: str) -> str:
        """The format of a tensor: "F32", "F16", "Q8_0", "Q6_K" or "Q4_1"."""
        return self._find(name).kind.name

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, the size of a row last."""
        return self._find(name).shape

    def _find(self, name: str) -> Place:
        if name not in self._places:
            some = ", ".join(self.names[:3])
            raise ValueError(f"no tensor is called {name!r}; there are {some} …")
        return self._places[name]

    def blocks(self, name: str) -> np.ndarray:
        """The bytes of a tensor as they are stored, (n_blocks, bytes of a block)."""
        place = self._find(name)
        end = place.start + self._size(place)
        return self._bytes[place.start : end].reshape(-1, place.kind.n_bytes)

    def tensor(self, name: str) -> np.ndarray:
        """A tensor as ordinary numbers.

        Returns:
            float32, of the tensor's shape.

        Raises:
            ValueError: if there is no such tensor.
        """
        place = self._find(name)
        return place.kind.decode(self.blocks(name)).reshape(place.shape)
