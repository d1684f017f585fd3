"""Reliability and its error: a slow loop, a calibrated model, edges, messages."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.calibration import calibration_error, reliability

PREDICTIONS = st.lists(
    st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40
)


def error_slowly(predictions, n_bins):
    total = 0.0
    for b in range(n_bins):
        low, high = b / n_bins, (b + 1) / n_bins
        here = [
            (p, right)
            for p, right in predictions
            if low < p <= high or (b == 0 and p == 0)
        ]
        if here:
            confidence = math.fsum(p for p, _ in here) / len(here)
            accuracy = sum(right for _, right in here) / len(here)
            total += len(here) / len(predictions) * abs(accuracy - confidence)
    return total


@given(PREDICTIONS, st.integers(1, 12))
def test_equals_the_slow_loop(predictions, n_bins):
    p, right = zip(*predictions, strict=True)
    got = calibration_error(p, right, n_bins)
    assert got == pytest.approx(error_slowly(predictions, n_bins), abs=1e-9)


def test_by_hand():
    bins = reliability([0.6, 0.8, 0.9, 1.0], [False, True, True, True], n_bins=5)
    assert [b.n for b in bins] == [0, 0, 1, 1, 2]  # 0.6 and 0.8 end their bins
    assert bins[4].confidence == pytest.approx(0.95)
    got = calibration_error([0.6, 0.8, 0.9, 1.0], [False, True, True, True], 5)
    assert got == pytest.approx((0.6 + 0.2 + 2 * 0.05) / 4)


@given(PREDICTIONS)
def test_one_bin_is_the_gap_of_the_means(predictions):
    p, right = map(np.array, zip(*predictions, strict=True))
    got = calibration_error(p, right, n_bins=1)
    assert got == pytest.approx(abs(p.mean() - right.mean()))


def test_a_calibrated_model_has_almost_none_and_an_overconfident_one_has():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=200_000)
    right = rng.uniform(size=len(p)) < p
    assert calibration_error(p, right) < 0.01
    assert calibration_error(p**0.5, right) > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5], [True, False]), "of one length, 1 or more, got 1 and 2"),
        (([1.5], [True]), "from 0 to 1 .*softmax first"),
        (([0.5], [2]), "correct be 0 or 1"),
        (([], []), "hold a number"),
        (([0.5], [True], 0), "n_bins should be 1 or more"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(ValueError, match=message):
        calibration_error(*arguments)
