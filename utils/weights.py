"""Checkpoints that come with the course, each trained by one of its own commands.

`python -m tools pretrain NAME` trains NAME again. Beside the numbers, in 16 bits,
lie the command, seed, data, seconds and final loss.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.safetensors_files import read_safetensors

WEIGHTS = Path(__file__).parent / "weights"


def load_weights(name: str) -> tuple[dict[str, Tensor], dict]:
    """The numbers of a checkpoint, as float32, and what is known of its training.

    Args:
        name: such as "shakespeare_characters".

    Returns:
        tensors: name -> tensor.
        info: command, seed, data, seconds, loss, and what else rebuilds the model.

    Raises:
        ValueError: if there is none of that name, or its file is damaged.
    """
    path = WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        have = sorted(
            f.name.removesuffix(".safetensors") for f in WEIGHTS.glob("*.safetensors")
        )
        raise ValueError(
            f"name should be one of {', '.join(have)}, got {name!r}: "
            f"`python -m tools pretrain {name}` may make it"
        )
    info = json.loads((WEIGHTS / f"{name}.json").read_text("utf-8"))
    arrays = read_safetensors(path)
    tensors = {
        key: torch.from_numpy(value.astype(np.float32)) for key, value in arrays.items()
    }
    return tensors, info
