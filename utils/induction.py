"""Induction heads: find them in a `GPT`, and see what is lost without them.

Olsson et al., 2022, https://arxiv.org/abs/2209.11895
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.gpt import GPT
from utils.shapes import check_shapes


def repeated(
    n: int, n_tokens: int, vocab_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random tokens that begin again after a quarter to half of the text.

    Returns:
        ids: (n, T) int64. The period differs from row to row, so that no fixed
            distance helps.
        again: (n, T) bool, True where a token repeats one a period earlier.

    Raises:
        ValueError: if a text has fewer than 4 tokens.
    """
    if n_tokens < 4:
        raise ValueError(f"n_tokens should be 4 or more, got {n_tokens}")
    shortest, longest = n_tokens // 4, n_tokens // 2
    period = torch.randint(shortest, longest + 1, (n, 1), generator=generator)
    ids = torch.randint(vocab_size, (n, n_tokens), generator=generator)
    t = torch.arange(n_tokens)
    return ids.gather(1, t % period), t >= period


def repeat_loss(model: GPT, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean nats of the tokens that repeat, of a batch from `repeated`."""
    ids, again = (part.to(model.tokens.weight.device) for part in batch)
    logits = model(ids[:, :-1], look=False)[0].transpose(1, 2)
    loss = F.cross_entropy(logits, ids[:, 1:], reduction="none")  # (B, T - 1)
    return loss[again[:, 1:]].mean()


@torch.no_grad()
def induction_scores(model: GPT, ids: Tensor, again: Tensor) -> Tensor:
    """Attention that repeated tokens pay to what followed the same token before.

    Args:
        ids: (B, T) int64.
        again: (B, T) bool, True = count this token.

    Returns:
        (n_layers, H), from 0 to 1: the mean of each head.

    Raises:
        ValueError: if the shapes differ, or no token counts.
    """
    check_shapes(ids=(ids, "B T"), again=(again, "B T"))
    if not again.any():
        raise ValueError("again should be True for a token, is False for all")
    before = F.pad(ids[:, :-1], (1, 0), value=-1)  # what stood before each token
    match = before[:, None, :] == ids[:, :, None]  # (B, T, Tk)
    weights = torch.stack(model(ids)[1])  # (n_layers, B, H, T, Tk)
    paid = (weights * match[None, :, None]).sum(-1)  # (n_layers, B, H, T)
    counted = again[None, :, None].float()
    return ((paid * counted).sum((1, 3)) / counted.sum()).cpu()


@torch.no_grad()
def loss_without(
    model: GPT, loss_fn: Callable[[GPT], Tensor], heads: Sequence[tuple[int, int]]
) -> float:
    """The loss when some heads say 0, just before W_o mixes them with the others.

    Args:
        loss_fn: maps the model to a scalar.
        heads: (layer, head) pairs, counted from 0; none gives the loss as it is.
    """

    def silence(layer: int) -> Callable:
        silent = [head for at, head in heads if at == layer]

        def hook(_: object, args: tuple[Tensor]) -> tuple[Tensor]:
            x = args[0].unflatten(-1, (-1, model.config.d_k)).clone()
            x[:, :, silent] = 0
            return (x.flatten(2),)

        return hook

    layers = {layer for layer, _ in heads}
    hooks = [
        model.blocks[i].attention.W_o.register_forward_pre_hook(silence(i))
        for i in layers
    ]
    try:
        return loss_fn(model).item()
    finally:
        for hook in hooks:
            hook.remove()
