"""Files from which `utils.training.train` goes on as if nothing had happened."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

# May differ between a run and its continuation: they do not change the losses.
_FREE = {"show_progress", "checkpoint_every"}


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: Optimizer, config: dict, losses: list
) -> None:
    """Save a run. A kill at any moment leaves the old file or the new one whole.

    Args:
        path: where to; folders are made.
        config: plain numbers; a continuation must have the same.
        losses: one for each step done.
    """
    name, keys, *rest = np.random.get_state(legacy=True)
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "config": config,
        "losses": losses,
        "torch_rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all(),
        "python_rng": random.getstate(),
        "numpy_rng": (name, keys.tolist(), *rest),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: Optimizer, config: dict
) -> tuple[list[float], Callable[[], None]]:
    """Put a saved run back into `model` and `optimizer`.

    Returns:
        losses: one for each step done.
        restore_random: call it when all is ready to go on.

    Raises:
        ValueError: if the file is damaged, or of another model or config.
    """
    device = next(model.parameters()).device
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        saved, losses = state["config"], list(state["losses"])
    except Exception as error:
        raise ValueError(
            f"checkpoint {path} should be a file that `train` saved but cannot be "
            f"read ({type(error).__name__}): delete it to start anew"
        ) from None
    differ = [k for k in config if k not in _FREE and config[k] != saved.get(k)]
    if differ:
        was = ", ".join(f"{k}={saved.get(k)} (now {config[k]})" for k in differ)
        raise ValueError(
            f"checkpoint {path} should be of this run but has {was}: use the same "
            "config, or another path"
        )
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(
            f"checkpoint {path} should be of this model but does not fit it: build "
            f"the same model, or use another path. {str(error).splitlines()[-1]}"
        ) from None

    def restore_random() -> None:
        torch.set_rng_state(state["torch_rng"].cpu())
        if torch.cuda.is_available() and state["cuda_rng"]:
            torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda_rng"]])
        random.setstate(state["python_rng"])
        np.random.set_state(state["numpy_rng"])

    return losses, restore_random
