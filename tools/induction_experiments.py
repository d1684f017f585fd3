"""Chapter 08's small stacks: which of them become induction heads, and when.

Each job runs on one thread, and as many jobs at a time as there are cores.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import torch
from torch import Tensor

from tools.experiments import told
from utils.gpt import GPT, GPTConfig
from utils.induction import induction_scores, repeat_loss, repeated
from utils.training import TrainConfig, seed_all, train

STACKS = {  # what differs from one plain layer
    "one layer": {},
    "two layers": {"n_layers": 2},
    "one layer, token shift": {"token_shift": True},
}


def _induction(job: tuple[str, int, int]) -> dict:
    """Train one small model on repeated random tokens; look for induction heads."""
    name, seed, n_steps = job
    torch.set_num_threads(1)
    seed_all(seed)
    sizes = {"n_layers": 1, "d_model": 64, "d_ff": 128, "max_len": 32}
    style = {"token_shift": False, **sizes, **STACKS[name]}
    model = GPT(GPTConfig.modern(64, **style))

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield repeated(64, 32, 64, generator)

    config = TrainConfig(n_steps, lr=4e-3, decay=0.2, show_progress=False)
    losses = train(model, batches(), repeat_loss, config)
    test = repeated(200, 32, 64, torch.Generator().manual_seed(1000))
    return {
        "variant": name,
        "seed": seed,
        "loss_by_tenth": [
            round(sum(losses[end - 20 : end]) / 20, 3)
            for end in range(n_steps // 10, n_steps + 1, n_steps // 10)
        ],
        "best_score": round(induction_scores(model, *test).max().item(), 3),
    }


def induction(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """Which stacks learn to copy what followed the same token before, and when."""
    jobs = [(name, seed, n_steps) for seed in seeds for name in STACKS]
    with ProcessPoolExecutor() as pool:
        return [told(result) for result in pool.map(_induction, jobs)]
