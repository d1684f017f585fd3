"""Answers as spans of a text: what each start and end costs, and the best pair.

Section 4.2 of Devlin et al., 2018, https://arxiv.org/abs/1810.04805
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.counts import check_count
from utils.shapes import check_shapes


def span_loss(logits: Tensor, spans: Tensor, allowed: Tensor) -> Tensor:
    """How improbable the right start and the right end are, in nats, averaged.

    Args:
        logits: (B, T, 2), for start and end.
        spans: (B, 2) int64, the right first and last position.
        allowed: (B, T) bool, True where an answer may be.

    Raises:
        ValueError: if the shapes do not fit.
    """
    check_shapes(
        logits=(logits, "B T 2"), spans=(spans, "B 2"), allowed=(allowed, "B T")
    )
    lowest = torch.finfo(logits.dtype).min
    logits = logits.masked_fill(~allowed[..., None], lowest)
    return F.cross_entropy(logits, spans)  # (B, T, 2) against (B, 2)


def best_spans(logits: Tensor, allowed: Tensor, max_len: int = 10) -> Tensor:
    """The most probable spans that do not end before they begin.

    Args:
        logits: (B, T, 2), for start and end.
        allowed: (B, T) bool, True where an answer may be.
        max_len: the longest answer, in tokens.

    Returns:
        (B, 2) int64: first and last position, first <= last < first + max_len.

    Raises:
        ValueError: if the shapes do not fit.

    >>> logits = torch.tensor([[[0.0, 5.0], [4.0, 0.0], [0.0, 2.0]]])
    >>> best_spans(logits, torch.ones(1, 3).bool()).tolist()
    [[1, 2]]
    """
    check_shapes(logits=(logits, "B T 2"), allowed=(allowed, "B T"))
    check_count("max_len", max_len)
    start, end = logits.float().unbind(-1)
    scores = start[:, :, None] + end[:, None]  # (B, T, T)
    n = scores.shape[1]
    order = torch.ones(n, n, dtype=torch.bool, device=scores.device).triu()
    order &= ~order.triu(max_len)
    fits = order & allowed[:, :, None] & allowed[:, None]
    best = scores.masked_fill(~fits, -torch.inf).flatten(1).argmax(1)
    return torch.stack([best // n, best % n], dim=1)
