import struct

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize

from utils.gguf import GGUF
from utils.packages import smollm2_file

GENERATOR = np.random.default_rng(0)
NAMES = ["token_embd.weight", "blk.0.attn_norm.weight", "blk.29.ffn_down.weight"]


@pytest.fixture(scope="module")
def ours() -> GGUF:
    return GGUF(smollm2_file())


@pytest.fixture(scope="module")
def theirs() -> gguf.GGUFReader:
    return gguf.GGUFReader(smollm2_file())


def write(path, kind, rows, **fields):
    """A small file, written by the gguf package."""
    writer = gguf.GGUFWriter(path, "toy")
    for name, value in fields.items():
        writer.add_string(name, value)
    raw = quantize(rows, kind)
    writer.add_tensor("rows", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_metadata_equals_the_gguf_package(ours, theirs):
    for name, field in theirs.fields.items():
        if not name.startswith("GGUF."):
            assert ours.metadata[name] == field.contents(), name
    assert len(ours.metadata["tokenizer.ggml.tokens"]) == 49152


@pytest.mark.parametrize("name", NAMES)
def test_tensors_equal_the_gguf_package_bit_for_bit(ours, theirs, name):
    (tensor,) = (t for t in theirs.tensors if t.name == name)
    want = dequantize(tensor.data, tensor.tensor_type)
    got = ours.tensor(name)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want.reshape(got.shape))


def test_names_shapes_and_formats(ours, theirs):
    assert ours.names == [t.name for t in theirs.tensors]
    for tensor in theirs.tensors:
        assert ours.shape(tensor.name) == tuple(tensor.shape[::-1].tolist())
        assert ours.stored_as(tensor.name) == tensor.tensor_type.name


# The package reads Q6_K but cannot write it: random bytes are a legal block.
def test_q6_k_equals_the_gguf_package_bit_for_bit():
    from utils.gguf import KINDS

    blocks = GENERATOR.integers(0, 256, (50, 210), dtype=np.uint8)
    blocks[:, 208:] = GENERATOR.normal(size=(50, 1)).astype("<f2").view(np.uint8)
    want = dequantize(blocks, gguf.GGMLQuantizationType.Q6_K)
    np.testing.assert_array_equal(KINDS[14].decode(blocks), want)


@pytest.mark.parametrize("name", ["F32", "F16", "Q8_0", "Q4_1"])
def test_reads_what_the_gguf_package_writes(tmp_path, name):
    kind = gguf.GGMLQuantizationType[name]
    rows = GENERATOR.normal(size=(3, 64)).astype(np.float32)
    path = write(tmp_path / "toy.gguf", kind, rows, greeting="grüß dich")
    toy = GGUF(path)
    assert toy.metadata["greeting"] == "grüß dich"
    want = dequantize(quantize(rows, kind), kind)
    np.testing.assert_array_equal(toy.tensor("rows"), want)


def test_a_truncated_file_is_named(tmp_path):
    kind = gguf.GGMLQuantizationType.F32
    whole = write(tmp_path / "toy.gguf", kind, np.ones((4, 32), np.float32))
    data = whole.read_bytes()
    for end in (30, len(data) // 2, len(data) - 100):
        short = tmp_path / "short.gguf"
        short.write_bytes(data[:end])
        with pytest.raises(ValueError, match="short.gguf .*truncated"):
            GGUF(short)


def test_what_is_no_gguf_file_is_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are only notes, long enough to be looked at\n")
    with pytest.raises(ValueError, match="no GGUF file"):
        GGUF(path)
    path.write_text("")
    with pytest.raises(ValueError, match="too short"):
        GGUF(path)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 9, 0, 0))
    with pytest.raises(ValueError, match="version 2 or 3: 9"):
        GGUF(path)


def test_an_unknown_tensor_is_named(ours):
    with pytest.raises(ValueError, match="'head'; there are token_embd"):
        ours.tensor("head")
