"""Weights rounded to small whole numbers: by row, by block, around outliers."""

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.shapes import check_shapes

GROUP = 32  # neighbours in a row that share a scale, as in GGUF's Q4_1


def in_blocks(w: Tensor, block: int) -> Tensor:
    """Cut numbers, row after row, into blocks of so many; zeros fill the last.

    Args:
        w: any shape.

    Returns:
        (n_blocks, block).

    Raises:
        ValueError: if block is no whole number from 1 on.

    >>> in_blocks(torch.tensor([[1, 2], [3, 4]]), 3).tolist()
    [[1, 2, 3], [4, 0, 0]]
    """
    if not isinstance(block, int) or block < 1:
        raise ValueError(f"block should be a whole number from 1 on, got {block!r}")
    flat = w.flatten()
    return F.pad(flat, (0, -len(flat) % block)).unflatten(0, (-1, block))


def absmax(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Round each row to multiples of its largest absolute number over 2^(bits-1) - 1.

    Section 2 of Dettmers et al., 2022, https://arxiv.org/abs/2208.07339. Apply it to
    `in_blocks(w, 64)` for a scale per block instead of one per row: a single large
    number then spoils 64 neighbours and no more.

    Args:
        w: (n, m), finite.
        bits: from 2 to 8.

    Returns:
        q: (n, m) int8, from -top to top with top = 2^(bits-1) - 1, 127 for 8 bits.
        scale: (n, 1) float32; w is about q * scale, wrong by at most scale / 2.
            A row of zeros has scale 1.

    Raises:
        ValueError: if w is no finite matrix, or bits is out of range.

    >>> absmax(torch.tensor([[7.0, -3.2, 0.4]]), 4)[0].tolist()
    [[7, -3, 0]]
    """
    _check_matrix(w)
    if bits not in range(2, 9):
        raise ValueError(f"bits should be from 2 to 8, got {bits}")
    top = 2 ** (bits - 1) - 1
    w = w.float()
    scale = w.abs().amax(dim=1, keepdim=True) / top
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    q = (w / scale).round().clamp(-top, top)
    return q.to(torch.int8).contiguous(), scale


def absmax_int8(w: Tensor) -> tuple[Tensor, Tensor]:
    """`absmax` with 8 bits: whole numbers from -127 to 127, and a scale per row."""
    return absmax(w, 8)


def min_max(w: Tensor, bits: int, group: int) -> tuple[Tensor, Tensor, Tensor]:
    """Round each group of a row to 2^bits even steps from its min to its max.

    Args:
        w: (n, m), finite, m a multiple of group.
        bits: from 1 to 8.
        group: how many neighbours in a row share step and low.

    Returns:
        q: (n, m) int32, from 0 to 2^bits - 1.
        step, low: (n, m / group) float32; w is about q * step + low, wrong by at
            most step / 2. A group of equal numbers has q = 0.

    Raises:
        ValueError: if w is no finite matrix, its rows cannot be cut in groups, or
            bits is out of range.

    >>> q, step, low = min_max(torch.tensor([[-1.0, 0.1, 1.0, 2.0]]), 2, 4)
    >>> q.tolist(), step.item(), low.item()
    ([[0, 1, 2, 3]], 1.0, -1.0)
    """
    _check_matrix(w)
    if bits not in range(1, 9):
        raise ValueError(f"bits should be from 1 to 8, got {bits}")
    if group < 1 or w.shape[1] % group:
        raise ValueError(
            f"w should have rows of a multiple of {group} numbers, got {w.shape[1]}: "
            "leave this layer as it is"
        )
    top = 2**bits - 1
    groups = w.float().unflatten(1, (-1, group))  # (n, m / group, group)
    low, high = groups.amin(dim=2), groups.amax(dim=2)
    step = (high - low) / top
    step = torch.where(step > 0, step, torch.ones_like(step))
    q = ((groups - low[..., None]) / step[..., None]).round().clamp(0, top)
    return q.flatten(1).int().contiguous(), step, low


def min_max_int4(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`min_max` with 4 bits in groups of GROUP, the rule of GGUF's Q4_1.

    Weights that were stored so come back as they are.
    """
    return min_max(w, 4, GROUP)


def _check_matrix(w: Tensor) -> None:
    """Also that differences of two of its numbers are finite in float32."""
    if w.dim() != 2 or w.shape[1] == 0 or not (2 * w.float()).isfinite().all():
        raise ValueError(
            "w should be a matrix of finite numbers, got shape "
            f"{tuple(w.shape)} with {int((~(2 * w.float()).isfinite()).sum())} that "
            "are not: look where they come from"
        )


def int8_product(x: Tensor, w: Tensor, threshold: float = 6.0) -> Tensor:
    """The product x wᵀ in whole numbers, but for the columns where x is large.

    LLM.int8(), eq. 8 of Dettmers et al., 2022, https://arxiv.org/abs/2208.07339:
    a few columns of x hold numbers far larger than all others. One scale for both
    would leave the others no steps, so those columns are multiplied as they are.

    Args:
        x: (..., m) what enters a layer, finite.
        w: (n, m) the layer's weights, finite.
        threshold: a column of x with a magnitude above it stays as it is;
            float("inf") rounds all columns.

    Returns:
        (..., n) in the type of x.

    Raises:
        ValueError: if x and w do not fit together or are not finite, or the
            threshold is negative.

    >>> x = torch.tensor([[100.0, 1.0, 0.5]])  # the first column is an outlier
    >>> w = torch.tensor([[0.25, 1.0, 1.0]])
    >>> [round(int8_product(x, w, t).item(), 2) for t in (6.0, float("inf"))]
    [26.5, 26.77]
    """
    check_shapes(x=(x, "... m"), w=(w, "n m"))
    if not threshold >= 0:
        raise ValueError(f"threshold should be 0 or more, got {threshold}")
    rows = x.reshape(-1, x.shape[-1]).float()  # (B, m)
    large = (rows.abs() > threshold).any(dim=0)  # (m,)
    q_x, scale_x = absmax_int8(rows.masked_fill(large, 0))  # row-wise, both
    q_w, scale_w = absmax_int8(w.masked_fill(large, 0))
    # CUDA multiplies no int32 matrices; float64 holds the same sums exactly.
    kind = torch.int32 if x.device.type == "cpu" else torch.float64
    whole = (q_x.to(kind) @ q_w.to(kind).T).float()  # (B, n)
    out = whole * scale_x * scale_w.T + rows[:, large] @ w[:, large].float().T
    return out.to(x.dtype).reshape(*x.shape[:-1], len(w))  # (..., n)
