"""The one way in which shape errors read, in every module and chapter."""

import torch
from torch import Tensor


def check_shapes(**named: tuple[Tensor, str]) -> dict[str, int]:
    """Compare tensors with the axis names they should have; return each size.

    Args:
        named: for each argument a pair (tensor, spec). A spec is axis names
            separated by spaces, such as "B T d_model". A leading "..." allows
            any number of batch axes; a number asks for exactly that size. An
            axis name used twice must have the same size both times.

    Returns:
        Axis name -> size, for every named axis.

    Raises:
        ValueError: naming the argument, the axes it should have, the shape it
            has, and the argument that fixed the size it disagrees with.

    >>> import torch
    >>> check_shapes(q=(torch.ones(2, 3, 4), "B Tq d_k"))
    {'B': 2, 'Tq': 3, 'd_k': 4}
    """
    sizes: dict[str, int] = {}
    fixed_by: dict[str, str] = {}
    for name, (tensor, spec) in named.items():
        axes = spec.split()
        should = f"{name} should be ({', '.join(axes)})"
        if not isinstance(tensor, Tensor):
            kind = type(tensor).__name__
            raise ValueError(
                f"{should}, a torch.Tensor, but is of type {kind}: "
                "turn it into one with torch.tensor"
            )
        shape = tuple(tensor.shape)
        says = f"{should} but has shape {shape}"
        if axes[:1] == ["..."]:
            axes = axes[1:]
            if len(shape) < len(axes):
                raise ValueError(f"{says}: it needs at least {len(axes)} axes")
            shape = shape[len(shape) - len(axes) :]
        elif len(shape) != len(axes):
            raise ValueError(f"{says}: it needs {len(axes)} axes")
        for axis, size in zip(axes, shape, strict=True):
            want = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
            fixed_by.setdefault(axis, name)
            if size != want:
                who = "" if axis.isdigit() else f" ({fixed_by[axis]} has {axis}={want})"
                raise ValueError(f"{says}: {axis} is {size}, expected {want}{who}")
    return sizes


def check_ids(ids: Tensor, vocab_size: int) -> None:
    """Refuse ids that a table of `vocab_size` rows cannot look up.

    On a GPU the range is not looked at, for that would wait for it.

    Raises:
        ValueError: if ids are no integers, or out of range.

    >>> import torch
    >>> check_ids(torch.tensor([[0, 4]]), 5)
    """
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise ValueError(f"ids should be integers, got {ids.dtype}: write .long()")
    if ids.device.type == "cpu" and ids.numel():
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= vocab_size:
            raise ValueError(
                f"ids should be from 0 to {vocab_size - 1}, are from {low} to {high}: "
                "is this the vocabulary that encoded them?"
            )
