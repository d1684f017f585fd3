"""Small weights against slow loops, the `gguf` package and the full product."""

import gguf
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from utils.gguf import GGUF
from utils.packages import smollm2_file
from utils.quantize import (
    GROUP,
    Int4Linear,
    Int8Linear,
    absmax_int8,
    min_max_int4,
    n_bytes,
    quantize,
)


def test_absmax_by_hand():
    q, scale = absmax_int8(torch.tensor([[1.27, -0.5, 0.004], [0.0, 0.0, 0.0]]))
    assert q.tolist() == [[127, -50, 0], [0, 0, 0]]
    assert_close(scale, torch.tensor([[0.01], [1.0]]))


def unpacked(w: torch.Tensor) -> torch.Tensor:
    q, step, low = min_max_int4(w)
    groups = q.unflatten(1, (-1, GROUP)) * step[..., None] + low[..., None]
    return groups.flatten(1)


def test_int4_is_as_near_as_the_gguf_package():
    w = torch.randn(8, 96, generator=torch.Generator().manual_seed(0))
    kind = gguf.GGMLQuantizationType.Q4_1
    theirs = gguf.quants.dequantize(gguf.quants.quantize(w.numpy(), kind), kind)
    # They store step and low in 16 bits.
    assert_close(unpacked(w), torch.from_numpy(theirs), atol=5e-3, rtol=0)


def test_weights_stored_in_q4_1_come_back_as_they_are():
    file = GGUF(smollm2_file())
    name = next(name for name in file.names if file.stored_as(name) == "Q4_1")
    w = torch.tensor(file.tensor(name))
    assert_close(unpacked(w), w, atol=1e-6, rtol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3))
def test_no_number_moves_more_than_half_a_step(seed, size):
    w = size * torch.randn(5, 64, generator=torch.Generator().manual_seed(seed))
    q, scale = absmax_int8(w)
    assert ((q * scale - w).abs() <= scale / 2 * 1.001).all()
    step = min_max_int4(w)[1].repeat_interleave(GROUP, dim=1)
    assert ((unpacked(w) - w).abs() <= step / 2 * 1.001).all()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [Int8Linear, Int4Linear])
def test_a_layer_gives_the_product_with_its_rounded_weights(kind, bias):
    torch.manual_seed(0)
    linear, x = nn.Linear(64, 96, bias=bias), torch.randn(2, 3, 64)
    got = kind(linear)(x)
    w = linear.weight.detach()
    if kind is Int8Linear:
        q, scale = absmax_int8(w)
        rounded = q * scale
        assert_close(kind(linear).weight(), rounded)
    else:
        rounded = unpacked(w)
    want = nn.functional.linear(x, rounded, linear.bias)
    assert got.dtype == torch.float32 and got.shape == want.shape
    assert (got - want).abs().max() < 0.02 * want.abs().max()  # bfloat16


def model() -> nn.Module:
    return nn.ModuleDict({"inner": nn.Linear(64, 64), "output": nn.Linear(64, 64)})


def test_quantize_replaces_every_layer_and_saves_bytes():
    small = quantize(model(), 4)
    assert isinstance(small["inner"], Int4Linear)
    assert isinstance(small["output"], Int8Linear)
    assert isinstance(quantize(model(), 8)["inner"], Int8Linear)
    assert n_bytes(quantize(model(), 8)) < 0.35 * n_bytes(model())
    # 4 bits a number, two bfloat16 a group of 32: 5 bits
    packed = Int4Linear(nn.Linear(64, 64, bias=False))
    assert n_bytes(packed) == 64 * 64 * 5 // 8


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: quantize(model(), 3), "bits should be 8 or 4, got 3"),
        (lambda: quantize(quantize(model(), 8), 8), "should have linear layers"),
        (lambda: absmax_int8(torch.ones(3)), "should be a matrix"),
        (lambda: absmax_int8(torch.full((2, 2), torch.nan)), "4 that are not"),
        (lambda: min_max_int4(torch.ones(2, 33)), "multiple of 32 numbers, got 33"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()


@pytest.mark.parametrize("n_in", [1, 20, 100])
def test_rows_that_the_kernel_cannot_read_are_multiplied_too(n_in):
    """torch's int8 kernel ends the process where a row is no multiple of 16."""
    linear = nn.Linear(n_in, 5)
    layer, x = Int8Linear(linear), torch.randn(3, n_in)
    assert_close(layer(x), x @ layer.weight().T + linear.bias)
