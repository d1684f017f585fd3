"""One training loop for the whole course. It knows no task.

Translation, masked words or preferences differ only in `loss_fn`. A run can be
stopped at any moment, also with kill -9, and goes on from its checkpoint with
the very losses it would have had.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.checkpoints import load_checkpoint, save_checkpoint
from utils.progress import late_interrupt, progress_bar


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Args:
        n_steps: number of updates.
        lr: peak learning rate of AdamW.
        n_warmup: steps over which lr rises from 0 in a straight line.
        decay: share of the steps, at the end, over which lr falls to 0.
        weight_decay: AdamW's; its default in torch is 0.01.
        max_grad_norm: longer gradients are scaled down to this length
            (Pascanu et al., 2013, https://arxiv.org/abs/1211.5063).
        checkpoint_every: steps between two checkpoints, where there is a path.
        show_progress: whether to draw the progress bar.

    Raises:
        ValueError: if a number is out of range.
    """

    n_steps: int = 1000
    lr: float = 3e-3
    n_warmup: int = 50
    decay: float = 0.5
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    checkpoint_every: int = 100
    show_progress: bool = True

    def __post_init__(self) -> None:
        least = {"n_steps": 1, "n_warmup": 0, "weight_decay": 0, "checkpoint_every": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if not value >= bound:
                raise ValueError(f"{name} should be {bound} or more, got {value}")
        for name in ("lr", "max_grad_norm"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} should be above 0, got {value}")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay should be from 0 to 1, got {self.decay}")

    def lr_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rise = (step + 1) / self.n_warmup if self.n_warmup else 1.0
        n_decay = self.decay * self.n_steps
        fall = (self.n_steps - step) / n_decay if n_decay else 1.0
        return self.lr * min(1.0, rise, fall)


def seed_all(seed: int) -> None:
    """Seed Python, numpy and torch (CPU and GPU).

    Raises:
        ValueError: if the seed is not from 0 to 2**32 - 1.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed should be from 0 to 2**32 - 1, got {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def pick_device() -> torch.device:
    """The GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    model: nn.Module,
    batches: Iterable,
    loss_fn: Callable[[nn.Module, object], Tensor],
    config: TrainConfig | None = None,
    checkpoint: str | Path | None = None,
    optimizer: Optimizer | None = None,
) -> list[float]:
    """Fit `model` in place with AdamW and return the loss of each step.

    With a checkpoint path the state is saved every `checkpoint_every` steps, at
    the end, and on Ctrl-C; if the file is there already, training goes on from
    it. Batches already used are skipped, so `batches` must start anew and give
    the same ones each time, from a seed of its own.

    Args:
        model: any module; parameters with requires_grad=False stay frozen.
        batches: yields at least `config.n_steps` batches, of any type.
        loss_fn: maps (model, batch) to a scalar, e.g. nats per token.
        config: `TrainConfig()` if None.
        checkpoint: a file to save to and to go on from.
        optimizer: in place of AdamW. Its groups' learning rates rise and fall as
            config.lr would; config.lr and config.weight_decay go unused.

    Returns:
        One loss for each step, those before an interruption included.

    Raises:
        ValueError: if nothing is trainable, `batches` ends early, the loss is
            not a scalar, or the checkpoint is of another run or damaged.
        FloatingPointError: if loss or gradient is NaN or infinite, with the step.
        KeyboardInterrupt: on Ctrl-C, once the step at hand is done and saved.
    """
    config = config or TrainConfig()
    trainable = [p for p in model.parameters() if p.requires_grad]
    _check_trainable(trainable)
    optimizer = optimizer or _adamw(trainable, config)
    peaks = [group["lr"] for group in optimizer.param_groups]
    path = Path(checkpoint) if checkpoint else None
    iterator = iter(batches)
    losses: list[float] = []
    if path and path.exists():
        # Random states are restored last: skipping batches may have drawn numbers.
        losses, restore_random = load_checkpoint(path, model, optimizer, asdict(config))
        for step in range(len(losses)):
            _next_batch(iterator, step, config.n_steps)
        restore_random()
    model.train()
    bar = progress_bar(config.n_steps, config.show_progress)
    with late_interrupt() as interrupted, bar as show:
        for step in range(len(losses), config.n_steps):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * config.lr_at(step) / config.lr
            loss = loss_fn(model, _next_batch(iterator, step, config.n_steps))
            _check_loss(loss, step)
            _update(optimizer, loss, trainable, config.max_grad_norm, step)
            losses.append(loss.item())
            show(step + 1, losses[-1])
            due = len(losses) % config.checkpoint_every == 0
            if path and (due or interrupted() or len(losses) == config.n_steps):
                save_checkpoint(path, model, optimizer, asdict(config), losses)
            if interrupted():
                raise KeyboardInterrupt(f"stopped after step {step}")
    return losses


def _adamw(trainable: list[nn.Parameter], config: TrainConfig) -> Optimizer:
    decay = config.weight_decay
    return torch.optim.AdamW(trainable, lr=config.lr, weight_decay=decay)


def _update(
    optimizer: Optimizer,
    loss: Tensor,
    trainable: list[nn.Parameter],
    max_grad_norm: float,
    step: int,
) -> None:
    """One step downhill, with the gradient clipped to `max_grad_norm`."""
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(trainable, max_grad_norm)
    if not norm.isfinite():
        raise FloatingPointError(
            f"the gradient's norm is {norm.item()} at step {step}: lower lr or look "
            "for a division by 0 in loss_fn"
        )
    optimizer.step()


def _next_batch(iterator: Iterator, step: int, n_steps: int) -> object:
    try:
        return next(iterator)
    except StopIteration:
        raise ValueError(
            f"batches should give {n_steps} batches but ended after {step}: lower "
            "n_steps or let the batches repeat"
        ) from None


def _check_trainable(trainable: list[nn.Parameter]) -> None:
    if not trainable:
        raise ValueError(
            "model should have a parameter with requires_grad=True, it has none: "
            "there is nothing to train"
        )


def _check_loss(loss: Tensor, step: int) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(
            f"loss_fn should return a scalar tensor, got {got}: average it"
        )
    if not loss.isfinite():
        raise FloatingPointError(
            f"the loss is {loss.item()} at step {step}: lower lr, or look for log(0) "
            "or an empty batch in loss_fn"
        )
