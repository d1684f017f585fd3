"""Does a model that says 70 % hit in 70 of 100 cases? Calibration.

Guo et al., 2017, https://arxiv.org/abs/1706.04599
"""

from typing import NamedTuple

import numpy as np

from utils.arrays import number_array
from utils.counts import check_count


class Bin(NamedTuple):
    """Predictions of about the same confidence."""

    n: int
    confidence: float  # mean, 0 where the bin is empty
    accuracy: float  # share that was right, 0 where the bin is empty


def reliability(confidence: object, correct: object, n_bins: int = 10) -> list[Bin]:
    """Sort predictions into bins of equal width by their confidence.

    Args:
        confidence: (n,) the probability given to the prediction, from 0 to 1.
        correct: (n,) whether it was right, bool or 0 and 1.
        n_bins: bin b holds confidences above b / n_bins, up to (b + 1) / n_bins;
            0 falls into the first.

    Raises:
        ValueError: if the two differ in length, are empty or out of range.

    >>> reliability([0.2, 0.9, 0.8], [False, True, False], n_bins=2)[0]
    Bin(n=1, confidence=0.2, accuracy=0.0)
    """
    check_count("n_bins", n_bins)
    p = number_array("confidence", confidence, 1)
    right = number_array("correct", np.asarray(correct).astype(float), 1)
    if not len(p) or len(p) != len(right):
        raise ValueError(
            "confidence and correct should be of one length, 1 or more, got "
            f"{len(p)} and {len(right)}"
        )
    if p.min() < 0 or p.max() > 1 or not np.isin(right, (0, 1)).all():
        raise ValueError(
            "confidence should be from 0 to 1 and correct be 0 or 1, got confidences "
            f"from {p.min():g} to {p.max():g}: take the softmax first"
        )
    edges = np.arange(1, n_bins) / n_bins
    place = np.searchsorted(edges, p, side="left")
    bins = []
    for b in range(n_bins):
        here = place == b
        means = (p[here].mean(), right[here].mean()) if here.any() else (0.0, 0.0)
        bins.append(Bin(int(here.sum()), *map(float, means)))
    return bins


def calibration_error(confidence: object, correct: object, n_bins: int = 10) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy.

    Eq. 3 of Guo et al., 2017: each bin's gap counts by its share of predictions.

    Args:
        confidence, correct, n_bins: as in `reliability`.

    Raises:
        ValueError: as `reliability`.

    >>> round(calibration_error([0.9, 0.9, 0.9, 0.9], [1, 1, 0, 0]), 3)
    0.4
    """
    bins = reliability(confidence, correct, n_bins)
    n = sum(b.n for b in bins)
    return sum(b.n / n * abs(b.accuracy - b.confidence) for b in bins)
