"""A modern recipe for a small GPT beside GPT-2's, on the same text.

    python benchmarks/recipe.py [--seed 0] [--threads N] [--save]

Takes about two minutes. Both train the same number of layers, heads and numbers on
the same batches of the same size, on the same threads; the time is that of training
alone, without the validation between. Prints both curves. `--save` writes them to
utils/records/recipe.json, for chapter 08.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from utils.corpora import shakespeare_ids
from utils.recipes import (
    Recipe,
    gpt2_recipe,
    modern_recipe,
    next_token_loss,
    text_batches,
    text_loss,
)
from utils.training import TrainConfig, seed_all, train

N_CURVE = 16  # points of a curve
RECORD = Path(__file__).parents[1] / "utils" / "records" / "recipe.json"


def curve(recipe: Recipe, ids: torch.Tensor, val: torch.Tensor, seed: int) -> list:
    """Train; give (step, seconds of training, validation loss) along the way."""
    n_steps, points = recipe.config.n_steps, []
    spent, mark = 0.0, time.perf_counter()

    def loss_fn(model: torch.nn.Module, batch: tuple) -> torch.Tensor:
        nonlocal spent, mark
        step = loss_fn.step
        if step * N_CURVE // n_steps != (step - 1) * N_CURVE // n_steps:
            spent += time.perf_counter() - mark
            points.append((step, round(spent, 2), round(text_loss(model, val), 4)))
            mark = time.perf_counter()
        loss_fn.step += 1
        return next_token_loss(model, batch)

    loss_fn.step = 0
    batches = text_batches(ids, seed=seed)
    train(recipe.model, batches, loss_fn, recipe.config, optimizer=recipe.optimizer)
    spent += time.perf_counter() - mark
    last = round(text_loss(recipe.model, val), 4)
    return [*points, (n_steps, round(spent, 2), last)]


def warm_up(make: object, ids: torch.Tensor, vocab_size: int) -> None:
    """A few steps that are not timed: the first ones find their memory."""
    recipe = make(vocab_size, 5)
    config = TrainConfig(5, show_progress=False)
    batches = text_batches(ids)
    train(recipe.model, batches, next_token_loss, config, optimizer=recipe.optimizer)


def main(argv: list[str]) -> int:
    """Print both curves; 0 if the modern recipe needs a sixth of the time or less."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--save", action="store_true", help="write the record")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    ids, val, letters = shakespeare_ids()
    runs = {}
    for name, make in {"GPT-2": gpt2_recipe, "modern": modern_recipe}.items():
        warm_up(make, ids, len(letters))
        seed_all(options.seed)
        recipe = make(len(letters))
        n = sum(p.numel() for p in recipe.model.parameters())
        runs[name] = {"n_parameters": n, "curve": curve(recipe, ids, val, options.seed)}
        print(f"\n{name} recipe, {n:,} numbers, {options.threads} threads")
        print("   step  seconds  validation loss (nats a character)")
        for step, seconds, loss in runs[name]["curve"]:
            print(f"{step:7} {seconds:8.1f}  {loss:.3f}")
    (_, slow, goal), (_, fast, reached) = (run["curve"][-1] for run in runs.values())
    print(f"\nGPT-2 recipe ends at {goal:.3f} after {slow:.1f} s")
    print(f"modern recipe is at {reached:.3f} after {fast:.1f} s")
    print(f"not above it: {reached <= goal}; time: 1/{slow / fast:.1f} (goal 1/6)")
    if options.save:
        record = {
            "command": f"python benchmarks/recipe.py --seed {options.seed} --save",
            "threads": options.threads,
            "torch": torch.__version__.split("+")[0],
            "runs": runs,
        }
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {RECORD}")
    return 0 if reached <= goal and slow >= 6 * fast else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
