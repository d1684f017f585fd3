"""Numbers of few bits, several to a byte, and the blocks of GGUF's Q4_1."""

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST_HALF = 65504  # float16 holds nothing larger


def pack_bits(q: Tensor, bits: int) -> Tensor:
    """Put 8 / bits numbers into each byte, the first into the lowest bits.

    Args:
        q: whole numbers from 0 to 2^bits - 1, any shape.
        bits: 1, 2, 4 or 8.

    Returns:
        (n_bytes,) uint8; zeros fill the last byte.

    Raises:
        ValueError: if a number does not fit into so many bits, or so many do not
            divide a byte.

    >>> pack_bits(torch.tensor([1, 2, 15]), 4).tolist()  # 1 + 2 * 16, 15
    [33, 15]
    """
    shifts = _shifts(bits, q)
    if q.is_floating_point() or (q.numel() and not 0 <= q.min() <= q.max() < 2**bits):
        raise ValueError(
            f"q should be whole numbers from 0 to {2**bits - 1}, is {q.dtype} "
            f"{f'from {q.min()} to {q.max()}' if q.numel() else ''}: round, then shift"
        )
    flat = q.flatten().to(torch.uint8)
    filled = F.pad(flat, (0, -len(flat) % len(shifts))).unflatten(0, (-1, len(shifts)))
    return (filled << shifts).sum(dim=1).to(torch.uint8)


def unpack_bits(packed: Tensor, bits: int, n: int) -> Tensor:
    """The first n numbers that `pack_bits` put into these bytes.

    Returns:
        (n,) uint8.

    Raises:
        ValueError: if the bytes hold fewer.

    >>> unpack_bits(torch.tensor([33, 15], dtype=torch.uint8), 4, 3).tolist()
    [1, 2, 15]
    """
    shifts = _shifts(bits, packed)
    if packed.dtype != torch.uint8 or not 0 <= n <= packed.numel() * len(shifts):
        raise ValueError(
            f"packed should be uint8 and hold {n} numbers of {bits} bits, is "
            f"{packed.dtype} and holds {packed.numel() * len(shifts)}"
        )
    return (packed.flatten()[:, None] >> shifts & (2**bits - 1)).flatten()[:n]


def _shifts(bits: int, like: Tensor) -> Tensor:
    if bits not in (1, 2, 4, 8):
        raise ValueError(f"bits should be 1, 2, 4 or 8 to fill a byte, got {bits}")
    return torch.arange(0, 8, bits, dtype=torch.uint8, device=like.device)


def pack_q4_1(w: Tensor) -> Tensor:
    """Store numbers as a GGUF file does in format Q4_1, 20 bytes for every 32.

    A block is: step d and minimum m as float16, then 16 bytes with the 4-bit
    numbers q, numbers 0 to 15 in their lower halves and 16 to 31 in their upper.

    Args:
        w: (..., k), k a multiple of 32, finite, none beyond float16.

    Returns:
        (n_blocks, 20) uint8, equal to the `gguf` package's bit for bit.

    Raises:
        ValueError: if w is not so.

    >>> block = pack_q4_1(torch.arange(32).float() / 31 * 15 - 8)
    >>> block.shape, block[0, :4].view(torch.float16).tolist()
    (torch.Size([1, 20]), [1.0, -8.0])
    """
    if w.dim() == 0 or w.shape[-1] % 32:
        raise ValueError(
            "w should have rows of a multiple of 32 numbers, got shape "
            f"{tuple(w.shape)}: leave this layer as it is"
        )
    check_halves(w)
    blocks = w.float().reshape(-1, 32)
    m, high = blocks.amin(dim=1, keepdim=True), blocks.amax(dim=1, keepdim=True)
    d = (high - m) / 15
    inverse = torch.where((1 / d).isfinite(), 1 / d, torch.zeros_like(d))
    q = ((blocks - m) * inverse + 0.5).to(torch.uint8).clamp(max=15)
    head = torch.cat([d, m], dim=1).half().view(torch.uint8)  # (n_blocks, 4)
    return torch.cat([head, q[:, :16] | q[:, 16:] << 4], dim=1)  # (n_blocks, 20)


def unpack_q4_1(blocks: Tensor) -> Tensor:
    """The numbers w = d q + m of blocks in format Q4_1.

    Args:
        blocks: (n_blocks, 20) uint8.

    Returns:
        (n_blocks, 32) float32.

    Raises:
        ValueError: if these are no such blocks.
    """
    if blocks.dim() != 2 or blocks.shape[1] != 20 or blocks.dtype != torch.uint8:
        raise ValueError(
            "blocks should be (n_blocks, 20) of uint8, got "
            f"{tuple(blocks.shape)} of {blocks.dtype}: see pack_q4_1"
        )
    head = blocks[:, :4].contiguous().view(torch.float16).float()
    d, m = head[:, :1], head[:, 1:]
    q = torch.cat([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], dim=1)
    return d * q + m


def check_halves(w: Tensor) -> None:
    """Refuse numbers that float16 cannot hold, and those that are none.

    Raises:
        ValueError: naming the largest.
    """
    largest = w.abs().max().item() if w.numel() else 0.0
    if not largest <= LARGEST_HALF:
        raise ValueError(
            f"w should lie within ±{LARGEST_HALF}, for its scales are stored in 16 "
            f"bits; it reaches {largest}: look where that comes from"
        )
