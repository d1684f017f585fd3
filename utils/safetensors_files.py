"""Reading safetensors files: a JSON head, then plain numbers."""

import json
import struct
from pathlib import Path

import numpy as np


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """Read a safetensors file: a JSON head, then plain numbers.

    The format: https://github.com/huggingface/safetensors#format

    Returns:
        name -> array, float32 or int64.

    Raises:
        ValueError: if it is truncated, or not such a file.
    """
    path = Path(path)
    kinds = {"F32": "<f4", "I64": "<i8", "F16": "<f2"}
    try:
        with path.open("rb") as file:
            (n_head,) = struct.unpack("<Q", file.read(8))
            head = json.loads(file.read(min(n_head, 1 << 26)))
        head.pop("__metadata__", None)
        data, found = np.memmap(path, np.uint8, "r", offset=8 + n_head), {}
        for name, entry in head.items():
            start, end = entry["data_offsets"]
            numbers = np.array(data[start:end]).view(kinds[entry["dtype"]])
            found[name] = numbers.reshape(entry["shape"])
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path.name} should be a whole safetensors file, but {error!r}: "
            "install its package again"
        ) from None
    return found
