"""Chapter 08's experiments: pre-training a reader, a scaling law.

Both run on one thread a job, and on as many jobs at a time as there are cores.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.experiments import told
from utils.gpt import GPT, GPTConfig
from utils.packages import play
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train

# --- a scaling law ------------------------------------------------------------

PLAYS = (
    "coriolanus", "hamlet", "julius_caesar", "lear", "macbeth", "othello",
    "romeo_and_juliet", "tempest", "twelfth_night",
)  # fmt: skip
T, B = 64, 16
SIZES = ((8, 1), (16, 1), (24, 2), (32, 3), (48, 3), (64, 4), (80, 4))
RATES = (3e-3, 1e-2, 2e-2)


def character_ids() -> tuple[Tensor, Tensor, int]:
    """Nine plays as ids: the first 90 % of each, the rest, and the alphabet's size."""
    texts = [play(name) for name in PLAYS]
    ids = {c: i for i, c in enumerate(sorted(set("".join(texts))))}
    known, held_out = [], []
    for text in texts:
        cut = 9 * len(text) // 10
        known.append(text[:cut])
        held_out.append(text[cut:])
    train_ids, val_ids = (
        torch.tensor([ids[c] for c in "".join(part)]) for part in (known, held_out)
    )
    return train_ids, val_ids, len(ids)


def n_parameters(model: nn.Module) -> int:
    """Numbers to learn, without the embedding, as Kaplan et al. count."""
    return sum(p.numel() for name, p in model.named_parameters()
               if not name.startswith(("tokens", "positions", "output")))  # fmt: skip


def next_character_loss(model: nn.Module, ids: Tensor) -> Tensor:
    """Nats per character of ids (B, T + 1)."""
    logits = model(ids[:, :-1])[0]  # (B, T, V)
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def windows(ids: Tensor, seed: int) -> Iterator[Tensor]:
    """(B, T + 1) pieces of a text, from random places."""
    generator = torch.Generator().manual_seed(seed)
    pieces = ids.unfold(0, T + 1, 1)
    while True:
        yield pieces[torch.randint(len(pieces), (B,), generator=generator)]


def _sized(job: tuple[int, int, int, int, float]) -> tuple[float, int]:
    """The held-out loss of one size after n_steps, and its parameters."""
    torch.set_num_threads(1)
    d_model, n_layers, seed, n_steps, lr = job
    known, held_out, vocab_size = character_ids()
    seed_all(seed)
    config = GPTConfig.llama(
        vocab_size, d_model=d_model, n_layers=n_layers, n_heads=max(1, d_model // 16),
        d_ff=4 * d_model, gated=False, max_len=T,
    )  # fmt: skip
    model = GPT(config)
    training = TrainConfig(n_steps, lr=lr, n_warmup=n_steps // 20, show_progress=False)
    train(model, windows(known, seed), next_character_loss, training)
    model.eval()
    with torch.no_grad():
        step = len(held_out) // 640
        pieces = held_out.unfold(0, T + 1, step)[:600]
        losses = [next_character_loss(model, part) for part in pieces.split(60)]
    return torch.stack(losses).mean().item(), n_parameters(model)


def scaling(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """Seven sizes on equally many characters; the rate is chosen on a third."""
    with ProcessPoolExecutor() as pool:
        tries = [(*size, 0, n_steps // 3, lr) for size in SIZES for lr in RATES]
        tried = dict(zip(tries, pool.map(_sized, tries), strict=True))
        jobs = []
        for size in SIZES:
            own = [job for job in tries if job[:2] == size]
            best = min(own, key=lambda job: tried[job])[-1]
            jobs += [(*size, seed, n_steps, best) for seed in seeds]
        found = pool.map(_sized, jobs)
        return [
            told({
                "model": f"d_model {d_model}, {n_layers} layers",
                "seed": seed,
                "n_parameters": n,
                "n_characters": n_steps * B * T,
                "lr": lr,
                "loss": round(loss, 4),
            })
            for (d_model, n_layers, seed, _, lr), (loss, n) in zip(
                jobs, found, strict=True
            )
        ]  # fmt: skip


# --- which play? --------------------------------------------------------------

GUESSED = ("hamlet", "macbeth", "othello", "tempest", "twelfth_night", "henry_v")
N_WORDS, N_FEW, N_TEST = 30, 30, 100
STARTS = ("none", "autoencoder", "language model")


class Reader(nn.Module):
    """A GRU that reads a passage; words, classes and a copy are read off it."""

    def __init__(self, vocab_size: int, n_classes: int, d_model: int = 96) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.gru = nn.GRU(d_model, d_model, batch_first=True)
        self.words = nn.Linear(d_model, vocab_size)
        self.classes = nn.Linear(d_model, n_classes)

    def states(self, ids: Tensor, start: Tensor | None = None) -> Tensor:
        """(B, T, d_model) after each word of ids (B, T)."""
        start = None if start is None else start[None].contiguous()
        return self.gru(self.embedding(ids), start)[0]


def language_model_loss(model: Reader, ids: Tensor) -> Tensor:
    """Nats per word: predict each from those before."""
    logits = model.words(model.states(ids[:, :-1]))
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def autoencoder_loss(model: Reader, ids: Tensor) -> Tensor:
    """Nats per word: read it all, then write it again from the last state.

    One network reads and writes, as in Dai & Le, 2015, section 2.
    """
    last = model.states(ids)[:, -1]
    logits = model.words(model.states(F.pad(ids[:, :-1], (1, 0)), last))
    return F.cross_entropy(logits.flatten(0, 1), ids.flatten())


def class_loss(model: Reader, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Nats per passage: say the class after the last word."""
    ids, labels = batch
    return F.cross_entropy(model.classes(model.states(ids)[:, -1]), labels)


def passages() -> tuple[Tensor, Tensor, int]:
    """Passages of six plays as ids (n, N_WORDS), their plays, and how many words.

    Speakers, stage directions and words with a capital are left out, so that no name
    gives a play away; words seen fewer than four times are one word.
    """
    rows, labels = [], []
    for label, name in enumerate(GUESSED):
        text = re.split(r"ACT (?:I|1|FIRST)\b", play(name), maxsplit=1)[1]
        text = re.sub(r"\[[^]]*\]", " ", text)
        spoken = (p.split("\n", 1)[-1] for p in text.split("\n\n") if "\n" in p.strip())
        words = re.findall(r"(?<![A-Za-z'])[a-z']+", "\n".join(spoken))
        for i in range(0, len(words) - N_WORDS + 1, N_WORDS):
            rows.append(words[i : i + N_WORDS])
            labels.append(label)
    vocab = Vocab.from_sentences(rows, min_count=4)
    ids = torch.tensor([vocab.encode(row) for row in rows])
    return ids, torch.tensor(labels), len(vocab)


def _drawn(n: int, size: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randint(n, (size,), generator=generator)


def _read(job: tuple[str, int, int]) -> dict:
    """Pre-train one reader, or not; train it on few labels; measure its errors."""
    torch.set_num_threads(1)
    start, seed, n_steps = job
    ids, labels, vocab_size = passages()
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))
    by_play = [order[labels[order] == label] for label in range(len(GUESSED))]
    test = torch.cat([rows[:N_TEST] for rows in by_play])
    few = torch.cat([rows[N_TEST : N_TEST + N_FEW] for rows in by_play])
    dev = torch.cat([rows[N_TEST + N_FEW : N_TEST + 2 * N_FEW] for rows in by_play])
    others = torch.cat([rows[N_TEST:] for rows in by_play])  # for pre-training
    seed_all(seed)
    model, loss_fn = Reader(vocab_size, len(GUESSED)), _PRETRAINING[start]
    result = {"variant": start, "seed": seed, "n_labels": len(few)}
    if loss_fn is not None:
        batches = (ids[others[rows]] for rows in _drawn(len(others), 64, seed))
        config = TrainConfig(n_steps, show_progress=False)
        losses = train(model, batches, loss_fn, config)
        result["pretraining_loss"] = round(sum(losses[-50:]) / 50, 3)
    batches = (
        (ids[few[rows]], labels[few[rows]]) for rows in _drawn(len(few), 32, seed)
    )
    best = (2.0, 2.0)
    for _ in range(12):  # as many times 25 steps; the best on dev counts
        config = TrainConfig(25, lr=1e-3, n_warmup=0, decay=0, show_progress=False)
        train(model, batches, class_loss, config)
        best = min(best, (_errors(model, ids[dev], labels[dev]),
                          _errors(model, ids[test], labels[test])))  # fmt: skip
    return {**result, "dev_error": round(best[0], 4), "error": round(best[1], 4)}


_PRETRAINING: dict[str, Callable | None] = {
    "none": None,
    "autoencoder": autoencoder_loss,
    "language model": language_model_loss,
}


@torch.no_grad()
def _errors(model: Reader, ids: Tensor, labels: Tensor) -> float:
    """Share of passages given to the wrong play."""
    guess = model.classes(model.states(ids)[:, -1]).argmax(-1)
    return (guess != labels).float().mean().item()


def which_play(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """A reader from nothing, from copying, and from predicting the next word."""
    jobs = [(start, seed, n_steps) for seed in seeds for start in STARTS]
    with ProcessPoolExecutor() as pool:
        return [told(result) for result in pool.map(_read, jobs)]
