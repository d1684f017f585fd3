"""Two recipes for the same small GPT on Shakespeare, character by character.

The first is nanoGPT's for a CPU (https://github.com/karpathy/nanoGPT), which is
GPT-2's at a small size; the second has what has been learned since.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from utils.gpt import GPT, GPTConfig
from utils.muon import Muon
from utils.training import TrainConfig

SIZES = {"d_model": 128, "n_heads": 4, "n_layers": 4, "d_ff": 512}
CONTEXT, BATCH = 64, 12  # tokens of a text, texts of a batch


@dataclass(frozen=True)
class Cosine(TrainConfig):
    """A learning rate that falls along half a cosine to a tenth of its peak."""

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.n_warmup:
            return self.lr * (step + 1) / (self.n_warmup + 1)
        done = (step - self.n_warmup) / (self.n_steps - self.n_warmup)
        return self.lr * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)


class Recipe(NamedTuple):
    """A model, how long it trains and what moves its numbers."""

    model: GPT
    config: TrainConfig
    optimizer: Optimizer


def gpt2_recipe(vocab_size: int, n_steps: int = 2000) -> Recipe:
    """nanoGPT's CPU recipe: 4 layers, 128 numbers, AdamW, a cosine.

    AdamW with lr 1e-3 to 1e-4, 100 steps of warm-up, beta2 0.99, weight decay 0.1
    on matrices only, gradients clipped at 1, no dropout, no biases.
    """
    model = GPT(GPTConfig.gpt2(vocab_size, max_len=CONTEXT, bias=False, **SIZES))
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1]},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0},
    ]
    optimizer = AdamW(groups, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    n_warmup = min(100, n_steps // 2)
    return Recipe(model, Cosine(n_steps, 1e-3, n_warmup=n_warmup), optimizer)


def modern_recipe(vocab_size: int, n_steps: int = 165, **sizes: int) -> Recipe:
    """The same size: `GPTConfig.modern`, Muon, and a rate that falls to 0.

    Args:
        vocab_size: number of tokens.
        n_steps: updates; the rate falls over the last 60 %.
        sizes: of the model, where they differ from the other recipe's.
    """
    sizes = {"max_len": 256, **SIZES, **sizes}
    model = GPT(GPTConfig.modern(vocab_size, **sizes))
    config = TrainConfig(n_steps, n_warmup=0, decay=0.6)
    return Recipe(model, config, Muon(model))


def text_batches(
    ids: Tensor, n_tokens: int = CONTEXT, batch_size: int = BATCH, seed: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut batches from anywhere in a long text, for ever.

    Args:
        ids: (N,) int64.
        n_tokens: of each cut.

    Yields:
        ids: (B, T) and the ids one further on, (B, T).

    Raises:
        ValueError: if the text is shorter than n_tokens + 1.
    """
    if len(ids) <= n_tokens:
        raise ValueError(
            f"ids should hold more than n_tokens={n_tokens}, got {len(ids)}: "
            "take a longer text or shorter cuts"
        )
    generator = torch.Generator().manual_seed(seed)
    while True:
        n_starts = len(ids) - n_tokens
        start = torch.randint(n_starts, (batch_size, 1), generator=generator)
        cuts = ids[start + torch.arange(n_tokens + 1)]  # (B, T + 1)
        yield cuts[:, :-1], cuts[:, 1:]


def next_token_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean nats a token of a batch from `text_batches`."""
    ids, targets = (part.to(next(model.parameters()).device) for part in batch)
    logits = model(ids, look=False)[0]
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


@torch.no_grad()
def text_loss(model: nn.Module, ids: Tensor, n_tokens: int = CONTEXT) -> float:
    """Mean nats a token of a text (N,), cut every n_tokens."""
    n = (len(ids) - 1) // n_tokens * n_tokens
    if n == 0:
        raise ValueError(
            f"ids should hold more than n_tokens={n_tokens}, got {len(ids)}"
        )
    cuts = zip(
        ids[:n].view(-1, n_tokens).split(256),
        ids[1 : n + 1].view(-1, n_tokens).split(256),
        strict=True,
    )
    losses = [next_token_loss(model, cut).item() * len(cut[0]) for cut in cuts]
    return sum(losses) * n_tokens / n
