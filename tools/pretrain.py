"""Train the checkpoints that later chapters start from, into utils/weights.

`python -m tools pretrain shakespeare_characters` (or `shakespeare_tokens`) takes a
few minutes. Ctrl-C loses nothing: the same command goes on from there. Numbers are
stored in 16 bits; the loss beside them is measured after that rounding.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file

from utils.bpe import ByteBPE
from utils.corpora import PLAYS, shakespeare_text
from utils.gpt import GPT
from utils.recipes import modern_recipe, next_token_loss, text_batches, text_loss
from utils.tokenizers import Vocab
from utils.training import seed_all, train
from utils.weights import WEIGHTS

UNFINISHED = Path(__file__).parents[1] / "_build" / "pretrain"
N_TOKENS, BATCH = 128, 8
VOCAB_SIZE = 512  # of the tokens


class Trained(NamedTuple):
    """A model and what its JSON says beside command and seconds."""

    model: GPT
    info: dict


def shakespeare(
    ids: torch.Tensor, val: torch.Tensor, vocab_size: int, options: argparse.Namespace
) -> Trained:
    """The modern recipe on nine plays, longer than in chapter 08."""
    recipe = modern_recipe(vocab_size, options.steps)
    batches = text_batches(ids, N_TOKENS, BATCH, options.seed)
    train(
        recipe.model,
        batches,
        next_token_loss,
        recipe.config,
        UNFINISHED / f"{options.name}.pt",
        recipe.optimizer,
    )
    with torch.no_grad():
        for parameter in recipe.model.parameters():
            parameter.copy_(parameter.half())
    loss = text_loss(recipe.model, val, N_TOKENS)
    info = {
        "data": f"nine tenths of each of {', '.join(PLAYS)}",
        "loss": round(loss, 4),
        "loss_is": "nats a token on the last tenth of each play",
        "config": asdict(recipe.model.config),
    }
    return Trained(recipe.model, info)


def characters(options: argparse.Namespace) -> Trained:
    """A token is a character."""
    texts = shakespeare_text()
    letters = sorted(set("".join(texts)))
    vocab = Vocab(letters)
    ids, val = (torch.tensor(vocab.encode(list(text))) for text in texts)
    model, info = shakespeare(ids, val, len(vocab), options)
    return Trained(model, {**info, "vocab": "".join(letters)})


def tokens(options: argparse.Namespace) -> Trained:
    """A token is one of 512 of a byte-level BPE, trained on the same text."""
    texts = shakespeare_text()
    tokenizer = ByteBPE.train(texts[0], VOCAB_SIZE)
    tokenizer.save(WEIGHTS / f"{options.name}.bpe.json")
    ids, val = (torch.tensor(tokenizer.encode(text)) for text in texts)
    return shakespeare(ids, val, VOCAB_SIZE, options)


CHECKPOINTS: dict[str, Callable[[argparse.Namespace], Trained]] = {
    "shakespeare_characters": characters,
    "shakespeare_tokens": tokens,
}


def main(argv: list[str]) -> int:
    """Train a checkpoint and write its two files."""
    parser = argparse.ArgumentParser(prog="python -m tools pretrain")
    parser.add_argument("name", choices=sorted(CHECKPOINTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1500, help="updates")
    options = parser.parse_args(argv)
    WEIGHTS.mkdir(exist_ok=True)
    seed_all(options.seed)
    start = time.time()
    model, info = CHECKPOINTS[options.name](options)
    record = {
        "command": f"python -m tools pretrain {options.name} "
        f"--seed {options.seed} --steps {options.steps}",
        "seed": options.seed,
        "seconds": round(time.time() - start),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
        **info,
    }
    path = WEIGHTS / f"{options.name}.safetensors"
    numbers = {name: t.half().contiguous() for name, t in model.state_dict().items()}
    save_file(numbers, path.with_suffix(".partial"))
    os.replace(path.with_suffix(".partial"), path)
    text = json.dumps(record, indent=1) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    (UNFINISHED / f"{options.name}.pt").unlink(missing_ok=True)
    print(f"wrote {path}: {info['loss']} {info['loss_is']}")
    return 0
