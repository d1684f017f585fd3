"""Attention: how well each query fits each key, and the average that follows.

Three ways to score a query against a key, with the letters of the papers:
additive (Bahdanau et al., 2014), dot and general (Luong et al., 2015).
Masks are bool everywhere, True = may attend.
"""

import torch
from torch import Tensor, nn

from utils.shapes import check_shapes


def padding_mask(lengths: Tensor, max_len: int | None = None) -> Tensor:
    """Mark the real tokens of padded rows.

    Args:
        lengths: (B,) int, the number of real tokens of each row.
        max_len: T, the padded length; the longest row if None.

    Returns:
        mask: (B, T) bool, True = a real token.

    Raises:
        ValueError: if a length is negative or longer than `max_len`.

    >>> padding_mask(torch.tensor([1, 2])).tolist()
    [[True, False], [True, True]]
    """
    check_shapes(lengths=(lengths, "B"))
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(f"lengths should be integers, got {lengths.dtype}")
    longest = int(lengths.max()) if len(lengths) else 0
    max_len = longest if max_len is None else max_len
    if longest > max_len or (lengths < 0).any():
        raise ValueError(
            f"lengths should be from 0 to max_len={max_len}, "
            f"got {lengths.tolist()}: cut the rows or raise max_len"
        )
    return torch.arange(max_len, device=lengths.device) < lengths[:, None]  # (B, T)


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Turn scores into weights that sum to 1 over the allowed keys.

    Args:
        scores: (..., Tk) float.
        mask: bool, broadcasts to (..., Tk); True = may attend.

    Returns:
        weights: (..., Tk). A row with no allowed key is all 0, and so is its
            gradient.

    Raises:
        ValueError: if the mask is not bool or does not fit the scores.

    >>> masked_softmax(torch.zeros(3), torch.tensor([True, True, False])).tolist()
    [0.5, 0.5, 0.0]
    """
    check_shapes(scores=(scores, "... Tk"))
    if not scores.is_floating_point():
        raise ValueError(f"scores should be floating point, got {scores.dtype}")
    if mask is None:
        return scores.softmax(dim=-1)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind = getattr(mask, "dtype", type(mask).__name__)
        raise ValueError(
            f"mask should be a bool tensor (True = may attend), got {kind}: "
            "write mask.bool()"
        )
    try:
        mask = mask.expand_as(scores)
    except RuntimeError:
        raise ValueError(
            f"mask should broadcast to the scores, {tuple(scores.shape)}, but has "
            f"shape {tuple(mask.shape)}: a (B, S) padding mask needs mask[:, None]"
        ) from None
    # Not -inf: a row with no allowed key would be NaN, and so its gradient.
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, lowest).softmax(dim=-1) * mask


class AdditiveScore(nn.Module):
    """e = v . tanh(W s + U h): a small network compares query and key.

    Bahdanau et al., 2014, appendix A.1.2, https://arxiv.org/abs/1409.0473

    Args:
        d_model: size of queries, keys and of the layer between.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        _check_size(d_model)
        self.W = nn.Linear(d_model, d_model, bias=False)
        self.U = nn.Linear(d_model, d_model)
        self.v = nn.Linear(d_model, 1, bias=False)

    def forward(self, s: Tensor, h: Tensor) -> Tensor:
        """Score queries s (B, T, d_model) against keys h (B, S, d_model).

        Returns:
            scores: (B, T, S).
        """
        _check_pair(s, h)
        hidden = torch.tanh(self.W(s)[:, :, None] + self.U(h)[:, None])
        return self.v(hidden).squeeze(-1)  # (B, T, S, d_model) -> (B, T, S)


class DotScore(nn.Module):
    """e = s . h: the dot product, with nothing to learn.

    Luong et al., 2015, eq. 8, https://arxiv.org/abs/1508.04025
    """

    def forward(self, s: Tensor, h: Tensor) -> Tensor:
        """Score queries s (B, T, d_model) against keys h (B, S, d_model).

        Returns:
            scores: (B, T, S).
        """
        _check_pair(s, h)
        return s @ h.transpose(1, 2)


class GeneralScore(nn.Module):
    """e = s . W h: the dot product after a learned map.

    Luong et al., 2015, eq. 8, https://arxiv.org/abs/1508.04025

    Args:
        d_model: size of queries and keys.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        _check_size(d_model)
        self.W = nn.Linear(d_model, d_model, bias=False)

    def forward(self, s: Tensor, h: Tensor) -> Tensor:
        """Score queries s (B, T, d_model) against keys h (B, S, d_model).

        Returns:
            scores: (B, T, S).
        """
        _check_pair(s, h)
        return s @ self.W(h).transpose(1, 2)


def _check_pair(s: Tensor, h: Tensor) -> None:
    check_shapes(s=(s, "B T d_model"), h=(h, "B S d_model"))


def _check_size(d_model: int) -> None:
    if d_model < 1:
        raise ValueError(f"d_model should be 1 or more, got {d_model}")


def make_score(name: str, d_model: int) -> nn.Module:
    """Build a score by its name in the papers: additive, dot or general.

    Raises:
        ValueError: if there is no such score.
    """
    if name == "additive":
        return AdditiveScore(d_model)
    if name == "dot":
        return DotScore()
    if name == "general":
        return GeneralScore(d_model)
    raise ValueError(f"score should be 'additive', 'dot' or 'general', got {name!r}")
