"""NF4: weights of 4 bits on the quantiles of the normal distribution.

After QLoRA (Dettmers et al., 2023), https://arxiv.org/abs/2305.14314
"""

from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.integers import absmax_int8, in_blocks
from utils.packing import pack_bits, unpack_bits

BLOCK, SCALE_BLOCK = 64, 256  # weights that share a scale; scales that share a step


def nf4_code_book() -> Tensor:
    """The 16 numbers between -1 and 1 that a weight may take, times its scale.

    Quantiles of the normal distribution, so that about equally many weights round
    to each: 8 steps above 0 and 7 below, from the middle 1/2 to probabilities
    1/2 ± 0.4677, scaled so that the last is ±1. Thus 0 itself is one of them.
    Section 3 of the paper; its appendix E prints them.

    Returns:
        (16,) float32, rising.

    >>> [round(c, 3) for c in nf4_code_book().tolist()][5:10]
    [-0.185, -0.091, 0.0, 0.08, 0.161]
    """
    quantile = NormalDist().inv_cdf
    offset = 1 - (1 / 32 + 1 / 30) / 2  # 0.9677083: quantile(1) would be infinite
    above = [quantile(0.5 + (offset - 0.5) * i / 8) for i in range(1, 9)]
    below = [-quantile(0.5 + (offset - 0.5) * i / 7) for i in range(7, 0, -1)]
    return torch.tensor([*below, 0.0, *above]) / above[-1]


CODES = nf4_code_book()


def nf4(w: Tensor) -> tuple[Tensor, Tensor]:
    """Find the code nearest to each weight over its block's largest magnitude.

    Args:
        w: any shape, finite; its blocks run through it row after row.

    Returns:
        q: (n_blocks, 64) uint8, from 0 to 15: places in the code book.
        scale: (n_blocks, 1) float32; w is about CODES[q] * scale, wrong by at
            most half the largest gap of the code book (0.152) times scale.

    Raises:
        ValueError: if w has numbers that are not finite, or none.

    >>> q, scale = nf4(torch.tensor([2.0, -2.0, 0.0, 0.3]))
    >>> q[0, :4].tolist(), scale.item()
    ([15, 0, 7, 9], 2.0)
    """
    if w.numel() == 0 or not w.float().isfinite().all():
        raise ValueError(
            f"w should be finite numbers, got shape {tuple(w.shape)} with "
            f"{int((~w.float().isfinite()).sum())} that are not: look where they "
            "come from"
        )
    blocks = in_blocks(w.float(), BLOCK)
    scale = blocks.abs().amax(dim=1, keepdim=True)
    part = blocks / torch.where(scale == 0, torch.ones_like(scale), scale)
    codes = CODES.to(w.device)
    middles = (codes[1:] + codes[:-1]) / 2
    return torch.bucketize(part, middles).to(torch.uint8), scale


def pack_nf4(w: Tensor, double: bool = True) -> tuple[Tensor, ...]:
    """Store weights in NF4, two to a byte.

    A scale of 32 bits for 64 weights costs half a bit each. Double quantisation
    rounds the scales too, in blocks of 256 after their mean is taken away:
    8/64 + 32/(64 * 256) = 0.127 bits. The paper rounds them to 8-bit floats, here
    `absmax_int8` does it, in as many bits.

    Args:
        w: as for `nf4`.
        double: whether the scales are rounded as well.

    Returns:
        codes: (n_bytes,) uint8.
        scale: (n_blocks,) float32; or, if double, three in its place:
            q (n_blocks,) int8, step (n_blocks / 256, rounded up) and mean (),
            with which scale is about q * step + mean.

    >>> packed = pack_nf4(torch.randn(512, 512))
    >>> round(8 * sum(t.nbytes for t in packed) / 512**2, 3)
    4.127
    """
    q, scale = nf4(w)
    codes = pack_bits(q.flatten()[: w.numel()], 4)
    scale = scale[:, 0]
    if not double:
        return codes, scale
    mean = scale.mean()
    q_scale, step = absmax_int8(in_blocks(scale - mean, SCALE_BLOCK))
    return codes, q_scale.flatten()[: len(scale)].clone(), step[:, 0], mean


def unpack_nf4(packed: tuple[Tensor, ...], shape: tuple[int, ...]) -> Tensor:
    """The weights that `pack_nf4` stored, float32, of the shape they had.

    Raises:
        ValueError: if the shape has more or fewer blocks than were stored.
    """
    codes, scale, *rest = packed
    if rest:
        step, mean = rest
        rough = (in_blocks(scale, SCALE_BLOCK) * step[:, None]).flatten()[: len(scale)]
        scale = (rough + mean).clamp(min=0)  # a scale near 0 must not turn its sign
    n = torch.Size(shape).numel()
    if -(-n // BLOCK) != len(scale):
        raise ValueError(
            f"shape should be that of the weights, {tuple(shape)} has "
            f"{-(-n // BLOCK)} blocks of {BLOCK} and {len(scale)} are stored"
        )
    q = in_blocks(unpack_bits(codes, 4, n), BLOCK)
    w = CODES.to(codes.device)[q.int()] * scale[:, None]  # (n_blocks, 64)
    return w.flatten()[:n].reshape(shape)


class NF4Linear(nn.Module):
    """A frozen linear layer that keeps its weights in NF4.

    Each product, forth and back, unpacks the weights and forgets them again. The
    gradient reaches its input and so an adapter below, beside or above it.

    Args:
        linear: the layer to store; it stays as it is.
        double: whether the scales are rounded as well, see `pack_nf4`.
    """

    def __init__(self, linear: nn.Linear, double: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        names = ["codes", "scale"]
        if double:
            names = ["codes", "scale_q", "scale_step", "scale_mean"]
        packed = pack_nf4(linear.weight.detach(), double)
        for name, tensor in zip(names, packed, strict=True):
            self.register_buffer(name, tensor)
        self._names = names
        bias = None if linear.bias is None else linear.bias.detach().clone()
        self.register_buffer("bias", bias)

    def weight(self) -> Tensor:
        """The weights (out_features, in_features) as they act, float32."""
        packed = tuple(getattr(self, name) for name in self._names)
        return unpack_nf4(packed, (self.out_features, self.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """(…, in_features) -> (…, out_features), in the type of x."""
        out = _Product.apply(x, self)
        return out if self.bias is None else out + self.bias.to(x.dtype)


class _Product(torch.autograd.Function):
    """x wᵀ, whose backward unpacks w anew: autograd would keep it till then."""

    @staticmethod
    def forward(ctx, x: Tensor, layer: NF4Linear) -> Tensor:
        ctx.layer = layer
        return F.linear(x, layer.weight().to(x.dtype))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.layer.weight().to(gradient.dtype), None
