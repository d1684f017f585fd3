"""Every way to store weights: bits measured, errors in order, the model unharmed."""

import bisect
import copy

import gguf
import pytest
import torch
from gguf.quants import dequantize, quantize
from torch import nn
from torch.testing import assert_close

from utils.gpt import GPT, GPTConfig
from utils.roundings import ROUNDINGS, rounded

# From the papers' arithmetic: codes, and scales over the numbers that share one.
BITS = {
    "int8": 8 + 32 / 256,
    "int8 by 64": 8 + 32 / 64,
    "int4 by 64": 4 + 32 / 64,
    "nf4": 4 + 32 / 64,
    "nf4 double": 4 + 8 / 64 + 32 / (64 * 256),
    "q4_1": 4 + 2 * 16 / 32,
    "int2 by 32": 2 + 2 * 16 / 32,
    "int2 by 16": 2 + 2 * 16 / 16,
}
each_way = pytest.mark.parametrize("how", BITS)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def round_trip(w: torch.Tensor, how: str) -> torch.Tensor:
    packed = ROUNDINGS[how].pack(w)
    return ROUNDINGS[how].unpack(packed, tuple(w.shape))


def test_all_ways_are_tested():
    assert list(ROUNDINGS) == list(BITS)


@each_way
def test_bits_are_those_of_the_arithmetic(how):
    packed = ROUNDINGS[how].pack(random(512, 256))
    measured = 8 * sum(t.numel() * t.element_size() for t in packed) / (512 * 256)
    assert measured == pytest.approx(BITS[how], abs=5e-4)
    small = {torch.uint8, torch.int8}
    codes = [t for t in packed if t.dtype in small]
    assert codes and all(t.dtype in small | {torch.half, torch.float} for t in packed)


# Relative to the weights' standard deviation; each by a loop of the rule itself.
def slow(w: torch.Tensor, how: str) -> torch.Tensor:
    if how == "q4_1":
        kind = gguf.GGMLQuantizationType.Q4_1
        return torch.from_numpy(dequantize(quantize(w.numpy(), kind), kind))
    out = []
    size = {"int8": w.shape[1], "int2 by 32": 32, "int2 by 16": 16}.get(how, 64)
    for block in w.flatten().split(size):
        if "int2" in how:
            low = block.min()
            step = (block.max() - low) / 3
            out.append(((block - low) / step).round() * step + low)
        elif "int" in how:
            step = block.abs().max() / (127 if "int8" in how else 7)
            out.append((block / step).round() * step)
        else:
            codes = [-1, -0.696193, -0.525073, -0.394917, -0.284441, -0.184773,
                     -0.09105, 0, 0.07958, 0.16093, 0.246112, 0.337915, 0.44071,
                     0.562617, 0.722957, 1]  # fmt: skip
            middles = [(a + b) / 2 for a, b in zip(codes, codes[1:], strict=False)]
            c = block.abs().max()
            places = [bisect.bisect(middles, x) for x in (block / c).tolist()]
            out.append(torch.tensor([codes[k] for k in places]) * c)
    return torch.cat(out).view_as(w)


@each_way
def test_the_weights_that_come_back_are_those_of_a_slow_loop(how):
    w = random(8, 128)
    # 16 bits for steps move "int2" a little; rounded scales move "nf4 double".
    atol = {"nf4 double": 0.02}.get(how, 4e-3 if "int2" in how else 1e-4)
    assert_close(round_trip(w, how), slow(w, how), rtol=0, atol=atol)


@each_way
def test_zeros_and_equal_numbers(how):
    assert torch.equal(round_trip(torch.zeros(2, 64), how), torch.zeros(2, 64))
    ones = torch.full((4, 64), 0.5)
    assert_close(round_trip(ones, how), ones)


def test_errors_are_in_the_order_of_the_papers():
    w = random(256, 256)
    error = {how: (round_trip(w, how) - w).square().mean().item() for how in ROUNDINGS}
    assert error["int8 by 64"] < error["int8"] < error["q4_1"] < error["nf4"]
    assert error["nf4"] < 0.75 * error["int4 by 64"]  # as many bits
    assert error["nf4"] <= error["nf4 double"] < 1.01 * error["nf4"]
    assert 10 * error["nf4"] < error["int2 by 16"] < error["int2 by 32"]


# --- whole models -------------------------------------------------------------


def gpt() -> GPT:
    torch.manual_seed(0)
    sizes = {"d_model": 64, "n_heads": 2, "n_layers": 2, "max_len": 16}
    return GPT(GPTConfig.llama(50, **sizes)).eval()


@each_way
def test_a_copy_has_the_rounded_weights_and_the_model_its_own(how):
    model = gpt()
    before = copy.deepcopy(model.state_dict())
    result = rounded(model, how)
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name != "output"
    }
    copies = dict(result.model.named_modules())
    assert len(layers) == 2 * 7
    for name, layer in layers.items():
        want = round_trip(layer.weight.detach(), how)
        assert torch.equal(copies[name].weight, want), name
        assert not torch.equal(copies[name].weight, layer.weight)
    assert torch.equal(result.model.output.weight, model.output.weight)
    assert torch.equal(result.model.tokens.weight, model.tokens.weight)
    assert result.n_weights == sum(layer.weight.numel() for layer in layers.values())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    ids = torch.arange(16)[None]
    assert result.model(ids)[0].isfinite().all()
    # A row of 64 has a larger share of its scale than one of 256, and the last
    # block of scales is not full.
    more = {"int8": 0.4, "nf4 double": 0.01}.get(how, 0)
    assert BITS[how] - 1e-9 <= result.bits_per_weight <= BITS[how] + more


def test_more_bits_keep_more_of_the_output():
    model, ids = gpt(), torch.arange(16)[None]
    with torch.no_grad():
        plain = model(ids)[0]
        gap = {
            how: (rounded(model, how).model(ids)[0] - plain).square().mean().item()
            for how in ("int8", "nf4", "int2 by 32")
        }
    assert 0 < gap["int8"] < gap["nf4"] / 10 < gap["int2 by 32"] / 100


def test_bfloat16_stays_so():
    result = rounded(gpt().bfloat16(), "nf4")
    assert result.model.blocks[0].attention.W_q.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: rounded(gpt(), "int5"), "how should be one of int8, .* got 'int5'"),
        (lambda: rounded(nn.LayerNorm(4), "int8"), "should have linear layers"),
        (
            lambda: rounded(nn.Sequential(nn.Linear(33, 2)), "q4_1"),
            "0 cannot be stored as q4_1: .* multiple of 32",
        ),
        (lambda: ROUNDINGS["int2 by 32"].pack(torch.full((1, 32), 1e5)), "within ±"),
        (lambda: ROUNDINGS["int8"].pack(torch.full((1, 32), torch.nan)), "32 that"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
