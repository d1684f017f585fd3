"""How sure is a score? Bootstrap intervals and paired tests. No torch."""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np

from utils.arrays import number_array
from utils.counts import check_count

Statistic = Callable[[np.ndarray], float]


class Difference(NamedTuple):
    """Of two systems on the same items."""

    mean: float
    low: float
    high: float
    share: float  # of the resamples in which the first is not ahead


def bootstrap(
    values: object,
    statistic: Statistic | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> np.ndarray:
    """The statistic of many samples drawn from the sample, with replacement.

    Efron, 1979, https://doi.org/10.1214/aos/1176344552

    Args:
        values: (n,) one number an item, or (n, m) one row an item.
        statistic: maps rows like `values` to a number; the mean of (n,) if None.
        n_resamples: how many.

    Returns:
        (n_resamples,), in no order.

    Raises:
        ValueError: if there is no item or a count is below 1.

    >>> bool(bootstrap([1.0, 3.0]).min() == 1.0)
    True
    """
    check_count("n_resamples", n_resamples)
    values = np.asarray(values, dtype=float)
    if values.ndim not in (1, 2) or not len(values) or np.isnan(values).any():
        raise ValueError(
            "values should be (n,) or (n, m) numbers with n of 1 or more, got shape "
            f"{values.shape}: give one number an item, leave out NaN"
        )
    if statistic is None and values.ndim == 2:
        raise ValueError(
            f"values of shape {values.shape} need a statistic: say what to compute"
        )
    rng, n, found = np.random.default_rng(seed), len(values), []
    for start in range(0, n_resamples, 100):  # in parts: (100, n) at a time
        picks = rng.integers(n, size=(min(100, n_resamples - start), n))
        if statistic is None:
            found.extend(values[picks].mean(axis=1))
        else:
            found.extend(statistic(values[pick]) for pick in picks)
    return np.array(found, dtype=float)


def bootstrap_interval(
    values: object,
    level: float = 0.95,
    statistic: Statistic | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval: the middle `level` of the bootstrap.

    Covers at about its level from some 50 items on; with 10 or fewer it is too
    narrow, and of a share of 0 or 1 it is a single point.

    Args:
        level: above 0, below 1.
        values, statistic, n_resamples, seed: as in `bootstrap`.

    Raises:
        ValueError: if an argument is out of range.

    >>> low, high = bootstrap_interval([0, 1] * 50)
    >>> round(low, 1), round(high, 1)
    (0.4, 0.6)
    """
    _check_level(level)
    return _middle(bootstrap(values, statistic, n_resamples, seed), level)


def _middle(found: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level should be above 0 and below 1, is {level}: try 0.95")


def _pairs(a: object, b: object) -> np.ndarray:
    a, b = number_array("a", a, 1), number_array("b", b, 1)
    if not len(a) or len(a) != len(b):
        raise ValueError(
            "a and b should be scores of the same items in the same order, 1 or "
            f"more, got {len(a)} and {len(b)}"
        )
    return a - b


def paired_bootstrap(
    a: object,
    b: object,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """By how much system a beats system b: items are resampled, not scores.

    Koehn, 2004, https://aclanthology.org/W04-3250

    Args:
        a, b: (n,) the scores of the same items, in the same order.
        level, n_resamples, seed: as in `bootstrap_interval`.

    Raises:
        ValueError: if the two differ in length or a number is out of range.

    >>> paired_bootstrap([1, 1, 1], [0, 0, 0])
    Difference(mean=1.0, low=1.0, high=1.0, share=0.0)
    """
    _check_level(level)
    gaps = _pairs(a, b)
    found = bootstrap(gaps, None, n_resamples, seed)
    share = float((found <= 0).mean())
    return Difference(float(gaps.mean()), *_middle(found, level), share)


def sign_flip_test(a: object, b: object, n_flips: int = 10_000, seed: int = 0) -> float:
    """The chance of so large a gap if the two systems' names meant nothing.

    If nothing sets them apart, each item's gap is as likely to be negative as
    positive: a paired permutation test, two-sided (Fisher, 1935). All 2^n sign
    patterns are tried where there are at most `n_flips` of them; otherwise so
    many are drawn, and the observed one counts as one more.

    Args:
        a, b: (n,) the scores of the same items, in the same order.

    Returns:
        p, from 0 (never) to 1.

    Raises:
        ValueError: if the two differ in length or a number is out of range.

    >>> sign_flip_test([1, 1, 1], [0, 0, 0])
    0.25
    """
    check_count("n_flips", n_flips)
    gaps = _pairs(a, b)
    n = len(gaps)
    exact = n < 60 and 2**n <= n_flips
    if exact:
        signs = np.array(list(product((-1, 1), repeat=n)))  # (2^n, n)
    else:
        signs = np.random.default_rng(seed).choice((-1, 1), size=(n_flips, n))
    # A hair less, so that rounding never parts two equal sums.
    as_large = np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-9 * np.abs(gaps).sum()
    return float((as_large.sum() + (not exact)) / (len(signs) + (not exact)))
