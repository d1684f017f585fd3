"""Packed bits against Python's own, and Q4_1 against the `gguf` package."""

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import dequantize, quantize
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from utils.gguf import GGUF
from utils.packages import smollm2_file
from utils.packing import pack_bits, pack_q4_1, unpack_bits, unpack_q4_1

Q4_1 = gguf.GGMLQuantizationType.Q4_1
# The package divides 1 by a step; one below 1e-38 is beyond what it can do.
NUMBERS = st.floats(-6e4, 6e4, width=32).map(lambda x: x if abs(x) > 1e-30 else 0.0)
ROWS = arrays(np.float32, (2, 64), elements=NUMBERS)
SPIKE = np.full((2, 64), 1e-3, np.float32)
SPIKE[0, 7] = -6e4


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([1, 2, 4, 8]), st.data())
def test_bits_come_back_and_lie_as_python_would_put_them(bits, data):
    q = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=40))
    packed = pack_bits(torch.tensor(q, dtype=torch.int64), bits)
    one = sum(number << bits * i for i, number in enumerate(q))
    assert bytes(packed.tolist()) == one.to_bytes(-(-len(q) * bits // 8), "little")
    assert unpack_bits(packed, bits, len(q)).tolist() == q


@settings(max_examples=80, deadline=None)
@given(ROWS)
@example(np.zeros((2, 64), np.float32))
@example(np.full((2, 64), 0.1, np.float32))
@example(SPIKE)
def test_q4_1_equals_the_gguf_package_bit_for_bit(rows):
    want = quantize(rows, Q4_1)
    packed = pack_q4_1(torch.from_numpy(rows))
    np.testing.assert_array_equal(packed.numpy().reshape(2, -1), want)
    got = unpack_q4_1(packed).view(2, 64).numpy()
    np.testing.assert_array_equal(got, dequantize(want, Q4_1))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_q4_1_is_within_half_a_step_and_what_16_bits_lose(rows):
    blocks = torch.from_numpy(rows).view(-1, 32).double()
    low, high = blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)
    d = (high - low) / 15
    half = 2**-11  # relative error of float16, and its smallest step 2**-24
    bound = d / 2 * 1.001 + 15 * (d * half + 2**-25) + low.abs() * half + 2**-25
    gap = (unpack_q4_1(pack_q4_1(torch.from_numpy(rows))) - blocks).abs()
    assert (gap <= bound * 1.001).all()


def test_a_real_matrix_keeps_every_byte():
    file = GGUF(smollm2_file())
    name = next(name for name in file.names if file.stored_as(name) == "Q4_1")
    stored = torch.from_numpy(np.array(file.blocks(name)))
    w = torch.from_numpy(file.tensor(name))
    assert torch.equal(unpack_q4_1(stored).view_as(w), w)
    # Packing what was unpacked changes no weight, and so loses nothing.
    again = unpack_q4_1(pack_q4_1(w)).view_as(w)
    assert (again != w).float().mean() < 1e-3
    assert (again - w).abs().max() < 1e-2 * w.abs().max()


def test_q4_1_breaks_ties_as_the_gguf_package_does():
    generator = np.random.default_rng(0)
    step = generator.uniform(0.01, 1, (500, 1)).astype(np.float32)
    halves = generator.integers(0, 31, (500, 32)).astype(np.float32) / 2
    halves[:, 0], halves[:, 1] = 0, 15
    rows = halves * step
    packed = pack_q4_1(torch.from_numpy(rows)).numpy()
    np.testing.assert_array_equal(packed, quantize(rows, Q4_1))


def test_a_step_too_small_for_float16_is_none():
    blocks = pack_q4_1(torch.arange(32) * 1e-42)
    assert (blocks == 0).all()
    assert torch.equal(unpack_q4_1(blocks), torch.zeros(1, 32))


def test_one_block_by_hand():
    w = torch.arange(32) % 16 * 0.5 - 1
    (block,) = pack_q4_1(w).tolist()
    assert block[:2] == [0x00, 0x38]  # 0.5 as float16: 0x3800
    assert block[2:4] == [0x00, 0xBC]  # -1: 0xBC00
    assert block[4:] == [i | i << 4 for i in range(16)]


def test_bfloat16_rows_are_packed():
    w = torch.randn(2, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(pack_q4_1(w), pack_q4_1(w.float()))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: pack_bits(torch.tensor([16]), 4), "from 0 to 15, is torch.int64 from"),
        (lambda: pack_bits(torch.tensor([-1]), 4), "from -1 to -1"),
        (lambda: pack_bits(torch.tensor([1.0]), 4), "is torch.float32"),
        (lambda: pack_bits(torch.tensor([1]), 3), "bits should be 1, 2, 4 or 8"),
        (lambda: unpack_bits(torch.tensor([1]), 4, 1), "should be uint8"),
        (lambda: unpack_bits(torch.zeros(1).byte(), 4, 3), "hold 3 .* and holds 2"),
        (lambda: pack_q4_1(torch.ones(2, 33)), "multiple of 32 numbers"),
        (lambda: pack_q4_1(torch.tensor(1.0)), "multiple of 32 numbers"),
        (lambda: pack_q4_1(torch.full((32,), 1e5)), "within ±65504.* 100000"),
        (lambda: pack_q4_1(torch.full((32,), torch.nan)), "it reaches nan"),
        (lambda: unpack_q4_1(torch.zeros(20).byte()), r"\(n_blocks, 20\)"),
        (lambda: unpack_q4_1(torch.zeros(1, 20)), "torch.float32"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
