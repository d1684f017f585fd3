"""Intervals cover at their rate; paired tests equal trying every sign pattern."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.intervals import (
    bootstrap,
    bootstrap_interval,
    paired_bootstrap,
    sign_flip_test,
)


def coverage(n, p, n_trials=600, level=0.95):
    """The share of simulated studies whose interval holds the true share p."""
    rng, hits = np.random.default_rng(1), 0
    for trial in range(n_trials):
        low, high = bootstrap_interval(
            rng.uniform(size=n) < p, level, n_resamples=500, seed=trial
        )
        hits += low <= p <= high
    return hits / n_trials


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_covers_at_the_stated_rate(level):
    # Three standard errors of a share over 600 studies, and 1 point for n = 100.
    margin = 3 * math.sqrt(level * (1 - level) / 600) + 0.01
    assert coverage(100, 0.6, level=level) == pytest.approx(level, abs=margin)


def test_covers_too_little_with_few_items():
    assert coverage(8, 0.8) < 0.90
    assert bootstrap_interval([1] * 20) == (1, 1)  # a share of 1: no width at all


def test_mean_and_spread_are_those_of_theory():
    values = np.random.default_rng(0).normal(size=200)
    found = bootstrap(values, n_resamples=20_000)
    assert found.mean() == pytest.approx(values.mean(), abs=0.003)
    assert found.std() == pytest.approx(values.std() / math.sqrt(200), rel=0.03)


def test_exact_for_three_items():
    values = [0.0, 1.0, 5.0]
    every = [np.mean(pick) for pick in product(values, repeat=3)]
    found = bootstrap(values, n_resamples=27_000)
    for value in set(every):
        share = np.isclose(found, value).mean()
        assert share == pytest.approx(every.count(value) / 27, abs=0.012)


def test_a_statistic_of_rows_is_used():
    rows = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 9.0]])
    ratio = bootstrap(rows, lambda r: r[:, 0].sum() / r[:, 1].sum(), 50)
    assert ratio.shape == (50,)
    assert ratio.min() >= 0 and ratio.max() <= 0.75
    mean = bootstrap(rows[:, 0], np.mean, 50)
    assert np.allclose(mean, bootstrap(rows[:, 0], None, 50))


def test_same_seed_same_interval():
    values = np.arange(30.0)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
    assert bootstrap_interval([2.5]) == (2.5, 2.5)


def p_slowly(a, b):
    gaps = [x - y for x, y in zip(a, b, strict=True)]
    sums = [
        abs(sum(s * g for s, g in zip(signs, gaps, strict=True)))
        for signs in product((-1, 1), repeat=len(gaps))
    ]
    return sum(s >= abs(sum(gaps)) for s in sums) / len(sums)


SCORES = st.lists(st.tuples(*[st.integers(-5, 5)] * 2), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(SCORES)
def test_sign_flip_equals_trying_every_pattern(pairs):
    a, b = zip(*pairs, strict=True)
    assert sign_flip_test(a, b) == pytest.approx(p_slowly(a, b))
    assert sign_flip_test(b, a) == sign_flip_test(a, b)


def test_drawn_patterns_come_near_the_exact_ones():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.4, 1, 12), rng.normal(0, 1, 12)
    exact = sign_flip_test(a, b)
    assert exact == pytest.approx(p_slowly(a, b))
    assert sign_flip_test(a, b, n_flips=4000) == pytest.approx(exact, abs=0.03)


def test_false_alarms_come_at_the_stated_rate():
    rng = np.random.default_rng(3)
    p = [sign_flip_test(*rng.normal(size=(2, 10)), n_flips=2000) for _ in range(400)]
    share = np.mean(np.array(p) <= 0.05)
    assert share == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 400))


def test_pairs_find_what_two_intervals_miss():
    rng = np.random.default_rng(4)
    hardness = rng.normal(0, 10, 200)  # the same items for both
    a = hardness + 1 + rng.normal(0, 1, 200)
    b = hardness + rng.normal(0, 1, 200)
    assert bootstrap_interval(a)[0] < bootstrap_interval(b)[1]  # they overlap
    found = paired_bootstrap(a, b)
    assert found.low > 0 and found.share == 0
    assert found.mean == pytest.approx(np.mean(a - b))
    assert sign_flip_test(a, b) < 0.001


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: bootstrap([]), "n of 1 or more, got shape"),
        (lambda: bootstrap([[1.0, 2.0]]), "need a statistic"),
        (lambda: bootstrap([math.nan]), "leave out NaN"),
        (lambda: bootstrap([1.0], n_resamples=0), "n_resamples should be 1 or more"),
        (lambda: bootstrap_interval([1.0], level=95), "level should be above 0"),
        (lambda: paired_bootstrap([1], [1, 2]), "same items .* got 1 and 2"),
        (lambda: sign_flip_test([1], [1, 2]), "same items"),
        (lambda: sign_flip_test([1], [0], n_flips=0), "n_flips should be 1 or more"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
