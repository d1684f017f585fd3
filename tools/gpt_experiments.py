"""Chapter 08's experiments: pre-training a reader, a scaling law.

Both run on one thread a job, and on as many jobs at a time as there are cores.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.experiments import told
from utils.corpora import shakespeare_ids
from utils.gpt import GPT, GPTConfig
from utils.recipes import next_token_loss, text_batches
from utils.stories import stories
from utils.story_tasks import task_examples
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train

QUIET = {"show_progress": False}

# --- a scaling law ------------------------------------------------------------

T, B = 64, 16
SIZES = ((8, 1), (16, 1), (24, 2), (32, 3), (48, 3), (64, 4), (80, 4))
RATES = (3e-3, 1e-2, 2e-2)


def n_parameters(model: nn.Module) -> int:
    """Numbers to learn, without the embedding, as Kaplan et al. count."""
    return sum(p.numel() for name, p in model.named_parameters()
               if not name.startswith(("tokens", "positions", "output")))  # fmt: skip


def _sized(job: tuple[int, int, int, int, float]) -> tuple[float, int]:
    """The held-out loss of one size after n_steps, and its parameters."""
    torch.set_num_threads(1)
    d_model, n_layers, seed, n_steps, lr = job
    known, held_out, letters = shakespeare_ids()
    seed_all(seed)
    config = GPTConfig.llama(
        len(letters), d_model=d_model, n_layers=n_layers, n_heads=max(1, d_model // 16),
        d_ff=4 * d_model, gated=False, max_len=T,
    )  # fmt: skip
    model = GPT(config)
    training = TrainConfig(n_steps, lr=lr, n_warmup=n_steps // 20, show_progress=False)
    train(model, text_batches(known, T, B, seed), next_token_loss, training)
    model.eval()
    with torch.no_grad():
        step = len(held_out) // 640
        pieces = held_out.unfold(0, T + 1, step)[:600]
        parts = ((part[:, :-1], part[:, 1:]) for part in pieces.split(60))
        losses = [next_token_loss(model, part) for part in parts]
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


# --- a reader that was pre-trained, or not ------------------------------------

N_LABELS, N_DEV, N_TEST = 200, 100, 500


class Reader(nn.Module):
    """A GRU that reads a sentence; words, classes and a copy are read off it."""

    def __init__(self, vocab_size: int, n_classes: int = 2, d_model: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.gru = nn.GRU(d_model, d_model, batch_first=True)
        self.words = nn.Linear(d_model, vocab_size)
        self.classes = nn.Linear(d_model, n_classes)

    def states(self, ids: Tensor, start: Tensor | None = None) -> Tensor:
        """(B, T, d_model) after each word of ids (B, T)."""
        start = None if start is None else start[None].contiguous()
        return self.gru(self.embedding(ids), start)[0]


class Sentences(NamedTuple):
    """Sentences as ids (n, T), 0 = padding, on the left to read, right to write."""

    read: Tensor
    write: Tensor

    @classmethod
    def of(cls, texts: Sequence[str], vocab: Vocab) -> "Sentences":
        rows = [vocab.encode(text.split()) for text in texts]
        longest = max(map(len, rows))
        left = [[0] * (longest - len(row)) + row for row in rows]
        right = [row + [0] * (longest - len(row)) for row in rows]
        return cls(torch.tensor(left), torch.tensor(right))

    def __getitem__(self, rows: Tensor) -> "Sentences":
        return Sentences(self.read[rows], self.write[rows])


def _word_loss(logits: Tensor, ids: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), ids.flatten(), ignore_index=0)


def language_model_loss(model: Reader, batch: Sentences) -> Tensor:
    """Nats per word: predict each from those before."""
    return _word_loss(model.words(model.states(batch.read[:, :-1])), batch.read[:, 1:])


def autoencoder_loss(model: Reader, batch: Sentences) -> Tensor:
    """Nats per word: read it all, then write it again from the last state.

    One network reads and writes, as in Dai & Le, 2015, section 2,
    https://arxiv.org/abs/1511.01432
    """
    last = model.states(batch.read)[:, -1]
    logits = model.words(model.states(F.pad(batch.write[:, :-1], (1, 0)), last))
    return _word_loss(logits, batch.write)


PRETRAINING: dict[str, Callable[[Reader, Sentences], Tensor] | None] = {
    "none": None,
    "autoencoder": autoencoder_loss,
    "language model": language_model_loss,
}


def class_loss(model: Reader, batch: tuple[Sentences, Tensor]) -> Tensor:
    """Nats per sentence: say the class after the last word."""
    sentences, labels = batch
    return F.cross_entropy(model.classes(model.states(sentences.read)[:, -1]), labels)


def _drawn(n: int, size: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randint(n, (size,), generator=generator)


def read(job: tuple[str, int, int]) -> dict:
    """Pre-train one reader, or not; train it on few labels; measure its errors."""
    torch.set_num_threads(1)
    start, seed, n_steps = job
    texts = [s.text for story in stories(2000, seed) for s in story]
    vocab = Vocab.from_sentences(text.split() for text in texts)
    parts = task_examples("single", N_LABELS, N_DEV, N_TEST, seed)
    data = [Sentences.of([e.first for e in part], vocab) for part in parts]
    labels = [torch.tensor([e.label for e in part]) for part in parts]
    seed_all(seed)
    model, loss_fn = Reader(len(vocab)), PRETRAINING[start]
    result = {"variant": start, "seed": seed, "n_labels": N_LABELS}
    if loss_fn is not None:
        plain = Sentences.of(texts, vocab)
        batches = (plain[rows] for rows in _drawn(len(texts), 64, seed))
        losses = train(model, batches, loss_fn, TrainConfig(n_steps, **QUIET))
        result["pretraining_loss"] = round(sum(losses[-50:]) / 50, 3)
    rows = _drawn(N_LABELS, 32, seed)
    batches = ((data[0][i], labels[0][i]) for i in rows)
    tried = []
    for _ in range(20):  # 25 steps each; the best on dev counts
        config = TrainConfig(25, lr=2e-3, n_warmup=0, decay=0, **QUIET)
        train(model, batches, class_loss, config)
        tried.append([_errors(model, data[i], labels[i]) for i in (1, 2)])
    dev, test = min(tried, key=lambda pair: pair[0])
    return {**result, "dev_error": round(dev, 4), "error": round(test, 4)}


@torch.no_grad()
def _errors(model: Reader, sentences: Sentences, labels: Tensor) -> float:
    """Share of sentences put into the wrong class."""
    guess = model.classes(model.states(sentences.read)[:, -1]).argmax(-1)
    return (guess != labels).float().mean().item()


def readers(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """A reader from nothing, from copying, and from predicting the next word."""
    jobs = [(start, seed, n_steps) for seed in seeds for start in PRETRAINING]
    with ProcessPoolExecutor() as pool:
        return [told(result) for result in pool.map(read, jobs)]
