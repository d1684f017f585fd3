"""Lists, arrays or tensors in, checked numpy arrays out."""

from collections.abc import Sequence

import numpy as np


def number_array(name: str, values: object, n_axes: int) -> np.ndarray:
    """Numbers as a float array, from lists, arrays or tensors."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} should be numbers: {error}; convert them") from error
    if array.ndim != n_axes or not array.size:
        raise ValueError(
            f"{name} should have {n_axes} axes and hold a number, but has shape "
            f"{array.shape}: pick one sentence, or give a list"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} should be finite, holds NaN or inf: look where from")
    return array


def word_weights(weights: object, source: Sequence, target: Sequence) -> np.ndarray:
    """Attention weights of one sentence, (T, S), checked against its words."""
    array = number_array("weights", weights, 2)
    if array.shape != (len(target), len(source)):
        raise ValueError(
            f"weights should have shape (target, source) = ({len(target)}, "
            f"{len(source)}), but has {array.shape}: transpose or cut it"
        )
    if array.min() < -1e-3 or array.max() > 1 + 1e-3:
        raise ValueError(
            f"weights should be from 0 to 1, are from {array.min():.3g} to "
            f"{array.max():.3g}: apply softmax to scores first"
        )
    return array.clip(0, 1)
