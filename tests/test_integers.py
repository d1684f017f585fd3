"""Whole-number weights against slow loops, bounds and the plain product."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.testing import assert_close

from utils.integers import (
    GROUP,
    absmax,
    absmax_int8,
    in_blocks,
    int8_product,
    min_max,
    min_max_int4,
)

NUMBERS = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
MATRICES = arrays(
    np.float32, st.tuples(st.integers(1, 3), st.just(32)), elements=NUMBERS
)
SPIKE = np.full((1, 32), 1e-3, np.float32)
SPIKE[0, 7] = -9e3


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- by row and by block ------------------------------------------------------


def test_absmax_equals_a_loop():
    w = random(3, 10).double()
    for bits in (2, 3, 4, 8):
        top = {2: 1, 3: 3, 4: 7, 8: 127}[bits]
        q, scale = absmax(w, bits)
        for i, row in enumerate(w.tolist()):
            step = max(abs(x) for x in row) / top
            assert q[i].tolist() == [round(x / step) for x in row]
            assert scale[i].item() == pytest.approx(step)
    assert q.dtype == torch.int8
    assert torch.equal(absmax_int8(w)[0], q)


@settings(max_examples=60, deadline=None)
@given(MATRICES, st.integers(2, 8), st.integers(1, 40))
@example(np.zeros((2, 32), np.float32), 8, 64)
@example(SPIKE, 8, 16)
@example(np.full((1, 32), -3.0, np.float32), 2, 5)
def test_absmax_by_block_is_within_half_a_step_and_idempotent(w, bits, block):
    blocks = in_blocks(torch.from_numpy(w), block)
    q, scale = absmax(blocks, bits)
    back = q.double() * scale.double()
    assert ((back - blocks).abs() <= scale * 0.50001 + 1e-38).all()
    again, _ = absmax(back, bits)
    assert torch.equal(again, q)


def test_blocks_keep_an_outlier_from_the_others():
    w = random(1, 256)
    w[0, 3] = 1000.0
    errors = []
    for block in (256, 64, 16):
        q, scale = absmax_int8(in_blocks(w, block))
        errors.append(((q * scale).flatten() - w[0]).square().mean().item())
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_blocks_run_through_the_rows_and_zeros_fill_the_last():
    w = torch.arange(1, 11).view(2, 5)
    want = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]
    assert in_blocks(w, 4).tolist() == want
    assert in_blocks(w, 5).tolist() == w.tolist()


def test_tiny_and_large_numbers_do_not_turn_their_sign():
    w = torch.tensor([[2.5e-43, -2.5e-43, 1.4e-45], [1.6e38, -1.6e38, 0.0]])
    q, scale = absmax_int8(w)
    assert (q.abs() <= 127).all() and (q[1] == torch.tensor([127, -127, 0])).all()
    assert (q.sign() * w.sign() >= 0).all()
    for step in min_max(w, 4, 3)[1:]:
        assert step.isfinite().all()


def test_bfloat16_is_rounded_like_its_float32():
    w = random(4, 64).bfloat16()
    for function in (absmax_int8, min_max_int4):
        for got, want in zip(function(w), function(w.float()), strict=True):
            assert torch.equal(got, want)


# --- min-max ------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(MATRICES, st.integers(1, 8), st.sampled_from([1, 8, 16, 32]))
@example(np.full((1, 32), 0.3, np.float32), 4, 32)
@example(SPIKE, 2, 16)
def test_min_max_is_within_half_a_step(w, bits, group):
    w = torch.from_numpy(w)
    q, step, low = min_max(w, bits, group)
    assert q.min() >= 0 and q.max() < 2**bits
    back = q.unflatten(1, (-1, group)) * step[..., None].double() + low[..., None]
    gap = (back.flatten(1) - w).abs()
    assert (gap <= step.repeat_interleave(group, 1) * 0.50001 + 1e-30).all()


def test_min_max_equals_a_loop_and_ends_are_kept():
    w = random(2, 32)
    q, step, low = min_max(w, 2, 16)
    for i in range(2):
        for g in range(2):
            group = w[i, 16 * g : 16 * g + 16].tolist()
            third = (max(group) - min(group)) / 3
            nearest = [
                min(range(4), key=lambda k: abs(min(group) + k * third - x))
                for x in group
            ]
            assert q[i, 16 * g : 16 * g + 16].tolist() == nearest
            assert step[i, g].item() == pytest.approx(third)
            assert low[i, g].item() == min(group)


def test_min_max_gives_back_what_it_gave():
    w = random(3, 64)
    for bits, group in ((2, 16), (2, 32), (4, 32)):
        q, step, low = min_max(w, bits, group)
        back = q.unflatten(1, (-1, group)) * step[..., None] + low[..., None]
        assert torch.equal(min_max(back.flatten(1), bits, group)[0], q)


def test_int4_is_the_min_max_of_groups_of_32():
    w = random(2, 64)
    for got, want in zip(min_max_int4(w), min_max(w, 4, GROUP), strict=True):
        assert torch.equal(got, want)
    assert GROUP == 32


def test_equal_numbers_come_back_as_they_are():
    w = torch.full((1, 32), 0.3)
    q, step, low = min_max(w, 2, 32)
    assert (q == 0).all() and torch.equal(q * step + low, w)


# --- LLM.int8() ---------------------------------------------------------------


def with_outliers(n_rows: int = 6, m: int = 96) -> torch.Tensor:
    x = random(n_rows, m, seed=1)
    x[:, 11] *= 60
    x[2, 50] = -30.0
    return x.clamp(-200, 200)


def test_the_split_equals_columns_taken_out_by_hand():
    x, w = with_outliers(), random(5, 96, seed=2)
    w[1, 11] = 9.0  # its scale is that of the other columns
    large = [j for j in range(96) if max(abs(v) for v in x[:, j].tolist()) > 6]
    assert large == [11, 50]
    small = [j for j in range(96) if j not in large]
    want = torch.zeros(6, 5)
    for i in range(6):
        for k in range(5):
            a, b = x[i, small].tolist(), w[k, small].tolist()
            s_a, s_b = max(map(abs, a)) / 127, max(map(abs, b)) / 127
            whole = sum(
                round(p / s_a) * round(r / s_b) for p, r in zip(a, b, strict=True)
            )
            exact = sum(float(x[i, j] * w[k, j]) for j in large)
            want[i, k] = whole * s_a * s_b + exact
    assert_close(int8_product(x, w), want, rtol=1e-5, atol=1e-4)


def test_the_split_helps_where_there_are_outliers_and_only_there():
    w = random(32, 96, seed=2)

    def error(x: torch.Tensor, threshold: float) -> float:
        return (int8_product(x, w, threshold) - x @ w.T).abs().mean().item()

    x = with_outliers()
    assert error(x, 6.0) < error(x, float("inf")) / 5
    calm = random(6, 96, seed=1).clamp(-5, 5)
    assert torch.equal(int8_product(calm, w), int8_product(calm, w, float("inf")))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 50.0), st.floats(0.1, 20.0))
def test_the_product_is_within_the_bound_of_its_roundings(seed, threshold, size):
    x, w = size * random(4, 48, seed=seed), random(7, 48, seed=seed + 1)
    kept = (x.abs() <= threshold).all(dim=0)
    a, b = x[:, kept].double(), w[:, kept].double()
    want, bound = x.double() @ w.double().T, torch.zeros(4, 7, dtype=torch.float64)
    if kept.any():
        # Each factor is wrong by half its step: |(a+e)(b+f) - ab| summed.
        s_a, s_b = (v.abs().amax(1, keepdim=True) / 254 for v in (a, b))
        bound += s_a * b.abs().sum(1) + (a.abs().sum(1, keepdim=True) * s_b.T)
        bound += int(kept.sum()) * s_a * s_b.T
    gap = (int8_product(x, w, threshold).double() - want).abs()
    assert (gap <= bound * 1.001 + 1e-3).all()


def test_whole_numbers_up_to_127_are_multiplied_exactly():
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-127, 128, (3, 20), generator=generator).float()
    w = torch.randint(-127, 128, (4, 20), generator=generator).float()
    x[:, 0], w[:, 0] = 127, -127
    assert torch.equal(int8_product(x, w, float("inf")), x @ w.T)
    assert torch.equal(int8_product(x, w, 0.0), x @ w.T)  # all columns as they are


def test_shapes_and_types_of_the_product():
    x, w = random(2, 3, 16), random(5, 16)
    assert int8_product(x, w).shape == (2, 3, 5)
    assert_close(int8_product(x, w)[1, 2], int8_product(x[1, 2], w))
    assert int8_product(x[0, 0], w).shape == (5,)
    assert int8_product(x.bfloat16(), w.bfloat16()).dtype == torch.bfloat16
    assert torch.equal(int8_product(torch.zeros(2, 16), w), torch.zeros(2, 5))


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: absmax(torch.ones(2, 2), 1), "bits should be from 2 to 8, got 1"),
        (lambda: absmax(torch.ones(2, 0), 8), r"got shape \(2, 0\)"),
        (lambda: absmax(torch.tensor([[torch.inf]]), 8), "1 that are not"),
        (
            lambda: absmax(torch.tensor([[1e200]], dtype=torch.float64), 8),
            "1 that are not",
        ),
        (lambda: min_max(torch.ones(2, 8), 9, 8), "bits should be from 1 to 8, got 9"),
        (lambda: min_max(torch.ones(2, 8), 4, 0), "multiple of 0 numbers, got 8"),
        (lambda: min_max(torch.ones(2, 8), 4, 3), "multiple of 3 numbers, got 8"),
        (lambda: min_max(torch.tensor([[3e38, -3e38]]), 4, 2), "finite numbers"),
        (lambda: in_blocks(torch.ones(4), 0), "block should be a whole number"),
        (lambda: in_blocks(torch.ones(4), 2.0), "from 1 on, got 2.0"),
        (lambda: int8_product(torch.ones(2, 3), torch.ones(4, 5)), "m is 5, expected"),
        (lambda: int8_product(torch.ones(1, 1), torch.ones(1, 1), -1), "got -1"),
        (lambda: int8_product(torch.full((1, 1), torch.nan), torch.ones(1, 1)), "1 th"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
