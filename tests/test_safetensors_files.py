"""Our reader of safetensors against the library that wrote the file."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from utils.safetensors_files import read_safetensors


def test_read_safetensors_equals_what_the_library_wrote(tmp_path):
    arrays = {
        "a": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
        "b": np.arange(5, dtype=np.int64),
        "c": np.arange(5, dtype=np.float16) / 3,
    }
    save_file(arrays, tmp_path / "x.safetensors")
    found = read_safetensors(tmp_path / "x.safetensors")
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_damaged_safetensors_file_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": np.ones((50, 4), np.float32)}, path)
    data = path.read_bytes()
    head = json.dumps({"a": {"dtype": "F32"}}).encode()
    for bad in (data[:4], data[:30], data[:-100], struct.pack("<Q", len(head)) + head):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="x.safetensors should be a whole"):
            read_safetensors(path)
