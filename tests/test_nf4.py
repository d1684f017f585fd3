"""NF4 against the published code book, a slow search and autograd's own product."""

import copy
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn
from torch.testing import assert_close

from utils.nf4 import CODES, NF4Linear, nf4, nf4_code_book, pack_nf4, unpack_nf4
from utils.quantize import n_bytes, to_nf4

# Appendix E of Dettmers et al., 2023, https://arxiv.org/abs/2305.14314
PUBLISHED = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634,
    0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
]  # fmt: skip
HALF_A_GAP = (1 - 0.6961928009986877) / 2
NUMBERS = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
MATRICES = arrays(
    np.float32, st.tuples(st.integers(1, 3), st.just(50)), elements=NUMBERS
)
SPIKE = np.full((1, 50), 1e-3, np.float32)
SPIKE[0, 7] = -9e3


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- the code book ------------------------------------------------------------


def test_the_code_book_is_the_published_one():
    assert_close(nf4_code_book(), torch.tensor(PUBLISHED), rtol=0, atol=1e-6)
    assert nf4_code_book()[7] == 0 and nf4_code_book()[[0, 15]].tolist() == [-1, 1]
    assert torch.equal(CODES, nf4_code_book())


def test_normal_weights_use_each_code_about_equally_often():
    # What a uniform grid of 16 does not: its middle codes get most weights.
    middles = ((CODES[1:] + CODES[:-1]) / 2).tolist()
    edge = NormalDist().inv_cdf(1 - (1 / 32 + 1 / 30) / 2)
    below = [0.0, *(NormalDist(0, 1 / edge).cdf(x) for x in middles), 1.0]
    shares = [b - a for a, b in zip(below, below[1:], strict=False)]
    assert max(shares) < 2 / 16 and min(shares) > 0.5 / 16


# --- rounding -----------------------------------------------------------------


def test_each_weight_gets_the_nearest_code():
    w = random(5, 64)
    q, scale = nf4(w)
    for i, row in enumerate(w.tolist()):
        largest = max(map(abs, row))
        assert scale[i].item() == pytest.approx(largest)
        assert q[i].tolist() == [
            min(range(16), key=lambda k: abs(PUBLISHED[k] - x / largest)) for x in row
        ]


@settings(max_examples=60, deadline=None)
@given(MATRICES)
@example(np.zeros((3, 50), np.float32))
@example(np.full((1, 50), -0.3, np.float32))
@example(SPIKE)
def test_round_trip_is_within_half_a_gap_and_idempotent(w):
    w = torch.from_numpy(w)
    packed = pack_nf4(w, double=False)
    back = unpack_nf4(packed, tuple(w.shape))
    _, scale = nf4(w)
    bound = scale.repeat_interleave(64)[: w.numel()].view_as(w) * HALF_A_GAP
    assert ((back - w).abs() <= bound * 1.00001).all()
    again = pack_nf4(back, double=False)
    assert torch.equal(unpack_nf4(again, tuple(w.shape)), back)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.sampled_from([3, 300, 700]))
@example(7, 0.0, 300)
def test_double_quantisation_adds_at_most_half_a_step_of_the_scales(seed, size, n):
    w = size * random(n, 64, seed=seed)
    w[1] *= 20  # a scale far from the others
    w[0] *= 1e-6  # and one near 0
    w[2] = 0
    _, scale = nf4(w)
    back = unpack_nf4(pack_nf4(w), (n, 64))
    assert back.isfinite().all() and (back * w >= 0).all()
    off = scale[:, 0].double() - scale.double().mean()
    steps = [block.abs().max() / 127 for block in off.split(256)]
    step = torch.cat([s.expand(256) for s in steps])[:n, None]
    bound = HALF_A_GAP * scale + step / 2
    assert ((back - w).abs() <= bound * 1.001 + 1e-30).all()
    single = unpack_nf4(pack_nf4(w, double=False), (n, 64))
    assert ((back - single).abs() <= step / 2 * 1.001 + 1e-5 * size).all()


def test_a_block_of_zeros_has_the_code_of_zero():
    q, scale = nf4(torch.zeros(2, 64))
    assert (q == 7).all() and (scale == 0).all()


def test_an_odd_size_and_bfloat16():
    w = random(7, 13)
    for double in (True, False):
        packed = pack_nf4(w, double)
        assert packed[0].shape == (46,)  # 91 numbers, two a byte
        assert unpack_nf4(packed, (7, 13)).shape == (7, 13)
    rough = w.bfloat16()
    pairs = zip(pack_nf4(rough), pack_nf4(rough.float()), strict=True)
    for got, want in pairs:
        assert torch.equal(got, want)


def test_normal_weights_lose_less_than_on_an_even_grid():
    w = random(1000, 64)
    error = (unpack_nf4(pack_nf4(w, double=False), (1000, 64)) - w).square().mean()
    scale = w.abs().amax(1, keepdim=True) / 7
    even = ((w / scale).round() * scale - w).square().mean()
    assert error < 0.75 * even
    double = (unpack_nf4(pack_nf4(w), (1000, 64)) - w).square().mean()
    assert error <= double < 1.01 * error


@pytest.mark.parametrize(("double", "bits"), [(False, 4.5), (True, 4.127)])
def test_bytes_measured(double, bits):
    packed = pack_nf4(random(512, 512), double)
    measured = sum(t.numel() * t.element_size() for t in packed) * 8 / 512**2
    assert measured == pytest.approx(bits, abs=5e-4)


# --- the layer ----------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("double", [True, False])
def test_the_layer_is_a_linear_layer_with_the_rounded_weights(bias, double):
    torch.manual_seed(0)
    linear = nn.Linear(48, 20, bias=bias)
    before = copy.deepcopy(linear.state_dict())
    layer = NF4Linear(linear, double)
    w = unpack_nf4(pack_nf4(linear.weight.detach(), double), (20, 48))
    assert torch.equal(layer.weight(), w)
    x = random(2, 3, 48).requires_grad_()
    same = x.detach().clone().requires_grad_()
    got, want = layer(x), nn.functional.linear(same, w, linear.bias)
    assert_close(got, want)
    got.square().sum().backward()
    want.square().sum().backward()
    assert_close(x.grad, same.grad)
    for name, tensor in linear.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_the_gradient_is_right_in_double_precision():
    layer = NF4Linear(nn.Linear(8, 5))
    x = random(3, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))


def test_the_layer_is_frozen_and_autograd_keeps_no_matrix():
    layer = NF4Linear(nn.Linear(64, 64))
    assert not list(layer.parameters())
    assert not any(tensor.requires_grad for tensor in layer.buffers())
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    x = random(2, 64).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(x).sum().backward()
        assert sum(kept) < 64 * 64
        assert x.grad is not None


def test_a_small_adapter_learns_through_the_layer():
    torch.manual_seed(0)
    layer = NF4Linear(nn.Linear(16, 4, bias=False))
    adapter = nn.Linear(16, 16, bias=False)
    nn.init.eye_(adapter.weight)
    x, want = random(64, 16), random(64, 4, seed=1)
    codes = layer.codes.clone()
    optimizer = torch.optim.Adam(adapter.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = (layer(adapter(x)) - want).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(layer.codes, codes)


def test_types_and_saving():
    layer = NF4Linear(nn.Linear(64, 8))
    assert layer(random(2, 64).bfloat16()).dtype == torch.bfloat16
    other = NF4Linear(nn.Linear(64, 8))
    assert not torch.equal(other.weight(), layer.weight())
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.weight(), layer.weight())


def test_to_nf4_freezes_all_and_keeps_the_output():
    def model() -> nn.Module:
        inner = nn.Sequential(nn.Linear(256, 256, bias=False), nn.LayerNorm(256))
        return nn.ModuleDict({"inner": inner, "output": nn.Linear(256, 4)})

    small = to_nf4(model())
    assert isinstance(small["inner"][0], NF4Linear)
    assert type(small["output"]) is nn.Linear
    assert not any(p.requires_grad for p in small.parameters())
    assert n_bytes(small["inner"][0]) * 8 / 256**2 == pytest.approx(4.127, abs=2e-3)
    single = to_nf4(model(), double=False)["inner"][0]
    assert n_bytes(single) * 8 / 256**2 == 4.5


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: nf4(torch.tensor([1.0, torch.nan])), "1 that are not"),
        (lambda: nf4(torch.ones(0)), r"finite numbers, got shape \(0,\)"),
        (lambda: pack_nf4(torch.tensor([torch.inf])), "1 that are not"),
        (lambda: unpack_nf4(pack_nf4(torch.ones(64)), (65,)), "2 blocks of 64 and 1"),
        (lambda: to_nf4(nn.LayerNorm(3)), "should have linear layers"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
