"""Chapter 10's students: diversity against quantity, forgetting, Self-Instruct.

Every run starts from the same base model and makes the same number of updates; seeds
differ in the instructions, lists and order of the examples.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tools.experiments import told
from tools.pretrain import N_HELD_OUT, N_STORIES, story_ids, story_texts
from utils.chat import Chats, Turn, ask, chat_batches, reply_loss
from utils.instructions import KNOWN, Task, exam, read_instruction, solve, tasks
from utils.pretrained import small_gpt
from utils.recipes import next_token_loss, text_batches, text_loss
from utils.self_instruct import SEEDS, Writer, self_instruct
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train

N_TESTS, BATCH, LR, N_TOKENS = 200, 32, 1e-3, 64
GRID = [(n, 256) for n in (1, 4, 16, 64, 256)]  # instructions, examples
GRID += [(16, 64), (64, 64), (16, 1024), (64, 1024), (256, 1024)]


class Kind(NamedTuple):
    """One way to make a student."""

    data: str = "rules"  # or "seeds", "self", "as many by rule": as many as "self"
    n_instructions: int = 256
    n_examples: int = 1024
    n_operations: int = len(KNOWN)
    lr: float = LR
    replay: bool = False


STUDENTS = {
    **{f"{k} instructions, {n} examples": Kind("rules", k, n) for k, n in GRID},
    "64 instructions for 1 operation": Kind("rules", 64, 256, 1),
    "64 instructions for 4 operations": Kind("rules", 64, 256, 4),
    "lr 0.0003": Kind(lr=3e-4),
    "lr 0.003": Kind(lr=3e-3),
    "replay, lr 0.001": Kind(replay=True),
    "replay, lr 0.003": Kind(lr=3e-3, replay=True),
    "seeds": Kind("seeds"),
    "self": Kind("self"),
    "as many by rule": Kind("as many by rule"),
}


@cache
def stories_as_ids(first: int, last: int) -> Tensor:
    """Some of the pre-training's stories, those at the front held out."""
    return story_ids(story_texts(N_STORIES)[first:last], small_gpt("worksheets")[1])


def by_rule(kind: Kind, seed: int) -> list[Task]:
    """Examples with right answers, as many of each instruction."""
    rng = random.Random(f"instructions {seed}")
    chosen = rng.sample(KNOWN, kind.n_operations)
    pool = [text for text in exam()[0] if read_instruction(text) in chosen]
    some, n_each = rng.sample(pool, kind.n_instructions), kind.n_examples
    n_each //= kind.n_instructions
    # A generator of its own for each: else all would share their lists.
    lists = rng.sample(range(10**6), len(some))
    return [
        task
        for text, own in zip(some, lists, strict=True)
        for task in islice(tasks([text], own), n_each)
    ]


@cache
def by_itself(seed: int) -> tuple[list[Task], dict]:
    """What the base wrote, the test's wordings left out, and how right it was."""
    model, vocab = small_gpt("worksheets")
    written = self_instruct(Writer(model, vocab, seed=seed), SEEDS, 256, 512)
    asked = {task.instruction for task in exam(N_TESTS)[1]["wordings"]}
    some = [task for task in written.tasks if task.instruction not in asked]
    right = [solve(t.instruction, t.words) == t.answer for t in some]
    operations = {read_instruction(t.instruction) for t in some} - {None}
    return some, {
        "n_instructions": len({t.instruction for t in some}),
        "n_examples": len(some),
        "right": round(sum(right) / len(right), 3),
        "n_operations": len(operations),
        "n_held_out": len(operations - set(KNOWN)),
    }


def rehearse(seed: int) -> Callable[[nn.Module, Chats], Tensor]:
    """reply_loss, and the loss of as many rows of pre-training stories / 4."""
    texts: Iterator = text_batches(
        stories_as_ids(N_HELD_OUT, N_STORIES), N_TOKENS, BATCH // 4, seed
    )
    return lambda model, batch: (
        reply_loss(model, batch) + next_token_loss(model, next(texts))
    )


def student(name: str, seed: int, n_steps: int) -> dict:
    """Tune the base in one of the ways and measure what it can do and has lost."""
    kind = STUDENTS[name]
    model, vocab = small_gpt("worksheets")
    facts: dict = {}
    if kind.data == "seeds":
        data = SEEDS
    elif kind.data == "rules":
        data = by_rule(kind, seed)
    else:
        data, facts = by_itself(seed)
        if kind.data != "self":
            rng = random.Random(f"as many {seed}")
            texts = rng.sample(exam()[0], facts["n_instructions"])
            data, facts = list(islice(tasks(texts, seed), len(data))), {}
    seed_all(seed)
    chats = [[Turn("user", t.request), Turn("assistant", t.answer)] for t in data]
    loss_fn = rehearse(seed) if kind.replay else reply_loss
    config = TrainConfig(n_steps, lr=kind.lr, n_warmup=10, show_progress=False)
    losses = train(model, chat_batches(chats, vocab, BATCH, seed), loss_fn, config)
    return {
        "variant": name,
        "seed": seed,
        "n_instructions": len({t.instruction for t in data}),
        "n_examples": len(data),
        "loss": round(sum(losses[-10:]) / 10, 4),
        **measured(model, vocab),
        **({"written": facts} if facts else {}),
    }


def measured(model: nn.Module, vocab: Vocab) -> dict[str, float]:
    """Exact match on both tests, and nats a word on held-out stories."""
    found = {}
    for name, test in exam(N_TESTS)[1].items():
        said = ask(model, vocab, [task.request for task in test], 10)
        right = sum(s == t.answer for s, t in zip(said, test, strict=True))
        found[name] = round(right / len(test), 3)
    held_out = stories_as_ids(0, N_HELD_OUT)
    return {**found, "story_loss": round(text_loss(model, held_out, 128), 3)}


def instructions(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """Every kind of student, on one thread; each measured as soon as it is there."""
    torch.set_num_threads(1)
    return [told(student(name, seed, n_steps)) for seed in seeds for name in STUDENTS]
