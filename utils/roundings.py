"""Ways to store weights, by name, and what each costs a model and saves."""

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from utils.integers import absmax, in_blocks, min_max
from utils.nf4 import pack_nf4, unpack_nf4
from utils.packing import check_halves, pack_bits, pack_q4_1, unpack_bits, unpack_q4_1


class Rounding(NamedTuple):
    """A way to store a matrix: pack gives tensors, unpack(these, shape) the matrix."""

    pack: Callable[[Tensor], tuple[Tensor, ...]]
    unpack: Callable[[tuple[Tensor, ...], tuple[int, int]], Tensor]


def _by_absmax(bits: int, block: int | None = None) -> Rounding:
    """A scale of 32 bits for each block, or row."""
    top = 2 ** (bits - 1) - 1

    def pack(w: Tensor) -> tuple[Tensor, ...]:
        q, scale = absmax(in_blocks(w, block or w.shape[1]), bits)
        return pack_bits((q.int() + top).flatten()[: w.numel()], bits), scale

    def unpack(packed: tuple[Tensor, ...], shape: tuple[int, int]) -> Tensor:
        codes, scale = packed
        n = shape[0] * shape[1]
        q = unpack_bits(codes, bits, n).float() - top
        return (in_blocks(q, block or shape[1]) * scale).flatten()[:n].reshape(shape)

    return Rounding(pack, unpack)


def _by_min_max(bits: int, group: int) -> Rounding:
    """Step and low, of 16 bits each, for each group."""

    def pack(w: Tensor) -> tuple[Tensor, ...]:
        check_halves(w)
        q, step, low = min_max(w, bits, group)
        return pack_bits(q, bits), step.half(), low.half()

    def unpack(packed: tuple[Tensor, ...], shape: tuple[int, int]) -> Tensor:
        codes, step, low = packed
        q = unpack_bits(codes, bits, shape[0] * shape[1]).view(*step.shape, group)
        return (q * step.float()[..., None] + low.float()[..., None]).reshape(shape)

    return Rounding(pack, unpack)


ROUNDINGS = {
    "int8": _by_absmax(8),  # a scale per row
    "int8 by 64": _by_absmax(8, 64),
    "int4 by 64": _by_absmax(4, 64),  # as many bits as NF4, in even steps
    "nf4": Rounding(partial(pack_nf4, double=False), unpack_nf4),
    "nf4 double": Rounding(pack_nf4, unpack_nf4),
    "q4_1": Rounding(
        lambda w: (pack_q4_1(w),), lambda p, shape: unpack_q4_1(*p).reshape(shape)
    ),
    "int2 by 32": _by_min_max(2, 32),
    "int2 by 16": _by_min_max(2, 16),
}


class Rounded(NamedTuple):
    """A model with rounded weights, and what these took when they were stored."""

    model: nn.Module
    n_weights: int
    n_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits of codes and scales over the number of weights they stand for."""
        return 8 * self.n_bytes / self.n_weights


def rounded(model: nn.Module, how: str) -> Rounded:
    """Copy a model, with the linear layers' weights as a rounding gives them back.

    Ordinary floats again, so that any measure of the model tells what the rounding
    costs; they are really packed on the way, and these bytes counted. Biases,
    norms, embeddings and the layer named "output" stay as they are and are not in
    the count.

    Args:
        model: stays as it is.
        how: a name of ROUNDINGS.

    Returns:
        The copy, the number of rounded weights, and their bytes.

    Raises:
        ValueError: if there is no such rounding, or no linear layer, or a layer's
            rows cannot be cut so.

    >>> rounded(nn.Sequential(nn.Linear(64, 64)), "nf4").bits_per_weight
    4.5
    """
    if how not in ROUNDINGS:
        raise ValueError(f"how should be one of {', '.join(ROUNDINGS)}; got {how!r}")
    model = copy.deepcopy(model)
    n_weights = n_bytes = 0
    for name, layer in model.named_modules():
        if not isinstance(layer, nn.Linear) or name.split(".")[-1] == "output":
            continue
        w = layer.weight.detach()
        try:
            packed = ROUNDINGS[how].pack(w)
        except ValueError as error:
            raise ValueError(f"{name} cannot be stored as {how}: {error}") from None
        w.copy_(ROUNDINGS[how].unpack(packed, tuple(w.shape)))
        n_weights += w.numel()
        n_bytes += sum(t.numel() * t.element_size() for t in packed)
    if not n_weights:
        raise ValueError("model should have linear layers, it has none (any more)")
    return Rounded(model, n_weights, n_bytes)
