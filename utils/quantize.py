"""Linear layers whose weights are small whole numbers.

A token costs one pass over all weights, and memory gives them at its own speed:
weights of a quarter or an eighth of the bytes are read so much sooner. Chapter 12
takes the roundings apart; here they make SmolLM2 quick.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.integers import GROUP, absmax_int8, min_max_int4
from utils.nf4 import NF4Linear


class Int8Linear(nn.Module):
    """A linear layer that keeps its weights as `absmax_int8` gives them."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        q, scale = absmax_int8(linear.weight.detach())
        self.register_buffer("q", q)
        self.register_buffer("scale", scale[:, 0])
        self.bias = linear.bias

    def weight(self) -> Tensor:
        """The weights (n, m) as they act, float32."""
        return self.q * self.scale[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """(…, m) -> (…, n), computed in bfloat16 on the CPU if m is 16, 32, ..."""
        # The CPU's kernel reads past a row that is no multiple of 16.
        if x.device.type != "cpu" or self.q.shape[1] % 16:
            return F.linear(x, self.weight(), self.bias)
        rows = x.flatten(0, -2).bfloat16()
        out = torch._weight_int8pack_mm(rows, self.q, self.scale.bfloat16())
        return _finished(out, x, self.bias)


class Int4Linear(nn.Module):
    """A linear layer that keeps its weights as `min_max_int4` gives them.

    Two of the 4-bit numbers share a byte, in the order of torch's kernel.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        q, step, low = min_max_int4(linear.weight.detach())
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(q, 1)
        middle = low + 8 * step  # the kernel counts from 8: w = (q - 8) step + middle
        scales = torch.stack([step.T, middle.T], dim=2).contiguous()
        self.register_buffer("packed", packed)
        self.register_buffer("scales", scales.bfloat16())  # (m / GROUP, n, 2)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """(…, m) -> (…, n), computed in bfloat16; on the CPU only."""
        rows = x.flatten(0, -2).bfloat16()
        product = torch.ops.aten._weight_int4pack_mm_for_cpu
        return _finished(product(rows, self.packed, GROUP, self.scales), x, self.bias)


def _finished(out: Tensor, x: Tensor, bias: Tensor | None) -> Tensor:
    out = out.to(x.dtype).unflatten(0, x.shape[:-1])
    return out if bias is None else out + bias


KINDS = {8: Int8Linear, 4: Int4Linear}


def quantize(model: nn.Module, bits: int) -> nn.Module:
    """Replace every linear layer of a model, in place. It cannot be trained then.

    Args:
        bits: 8 or 4. With 4, the layer named "output", whose mistakes nothing
            repairs, gets 8.

    Returns:
        The model.

    Raises:
        ValueError: if bits is neither, or there is no linear layer left.
    """
    if bits not in KINDS:
        raise ValueError(f"bits should be 8 or 4, got {bits}")
    return replace_linears(
        model,
        lambda name, linear: (Int8Linear if name == "output" else KINDS[bits])(linear),
    )


def replace_linears(
    model: nn.Module, make: Callable[[str, nn.Linear], nn.Module]
) -> nn.Module:
    """Put make(name, linear) in the place of every linear layer, in place.

    Returns:
        The model.

    Raises:
        ValueError: if there is no linear layer left.
    """
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
    if not found:
        raise ValueError("model should have linear layers, it has none (any more)")
    for parent, name, child in found:
        setattr(parent, name, make(name, child))
    return model


def n_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers, each counted once."""
    tensors = {t.data_ptr(): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())


def to_nf4(model: nn.Module, double: bool = True) -> nn.Module:
    """Freeze a model and store its linear layers in NF4, in place, for QLoRA.

    The layer named "output" keeps its weights. Adapters are added after this.

    Returns:
        The model.

    Raises:
        ValueError: if there is no linear layer left.
    """
    model.requires_grad_(False)
    return replace_linears(
        model,
        lambda name, linear: linear if name == "output" else NF4Linear(linear, double),
    )
