"""Linear layers whose weights are small whole numbers.

A token costs one pass over all weights, and memory gives them at its own speed:
weights of a quarter or an eighth of the bytes are read so much sooner. Chapter 12
takes the roundings apart; here they make SmolLM2 quick.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUP = 32  # neighbours in a row that share a scale, as in GGUF's Q4_1


def absmax_int8(w: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row to multiples of its largest absolute number over 127.

    Section 2 of Dettmers et al., 2022, https://arxiv.org/abs/2208.07339

    Args:
        w: (n, m), finite.

    Returns:
        q: (n, m) int8, from -127 to 127.
        scale: (n, 1) float32; w is about q * scale.

    Raises:
        ValueError: if w is no finite matrix.
    """
    _check_matrix(w)
    w = w.float()
    scale = w.abs().amax(dim=1, keepdim=True) / 127
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return (w / scale).round().to(torch.int8).contiguous(), scale


def min_max_int4(w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Round each GROUP of a row to 16 evenly spaced numbers from its min to its max.

    The rule of GGUF's Q4_1, so weights that were stored so come back as they are.

    Args:
        w: (n, m), finite, m a multiple of GROUP.

    Returns:
        q: (n, m) int32, from 0 to 15.
        step, low: (n, m / GROUP) float32; w is about q * step + low.

    Raises:
        ValueError: if w is no finite matrix, or its rows cannot be cut in groups.
    """
    _check_matrix(w)
    if w.shape[1] % GROUP:
        raise ValueError(
            f"w should have rows of a multiple of {GROUP} numbers, got {w.shape[1]}: "
            "leave this layer as it is"
        )
    groups = w.float().unflatten(1, (-1, GROUP))  # (n, m / GROUP, GROUP)
    low, high = groups.amin(dim=2), groups.amax(dim=2)
    step = torch.where(high > low, (high - low) / 15, torch.ones_like(low))
    q = ((groups - low[..., None]) / step[..., None]).round().clamp(0, 15)
    return q.flatten(1).int().contiguous(), step, low


def _check_matrix(w: Tensor) -> None:
    if w.dim() != 2 or not w.isfinite().all():
        raise ValueError(
            "w should be a matrix of finite numbers, got shape "
            f"{tuple(w.shape)} with {int((~w.isfinite()).sum())} that are not"
        )


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
        """(…, m) -> (…, n), computed in bfloat16 on the CPU."""
        if x.device.type != "cpu":
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
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear)
    ]
    if not found:
        raise ValueError("model should have linear layers, it has none (any more)")
    for parent, name, child in found:
        kind = Int8Linear if name == "output" else KINDS[bits]
        setattr(parent, name, kind(child))
    return model


def n_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers, each counted once."""
    tensors = {t.data_ptr(): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())
