"""Fine-tuning BERT on the four kinds of task, and scoring what it does.

Section 4 and figure 4 of Devlin et al., 2018, https://arxiv.org/abs/1810.04805
"""

import copy
import random
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.bert import BertForPretraining, masked_loss
from utils.corpora import pad
from utils.counts import check_count
from utils.masking import IGNORE, Packed, pack
from utils.overlap import answer_f1, exact_match
from utils.spans import best_spans, span_loss
from utils.stories import TAGS
from utils.story_tasks import Example
from utils.training import TrainConfig, train
from utils.wordpiece import WordPiece

N_OUTPUTS = {"pair": 2, "single": 2, "span": 2, "tagging": len(TAGS)}


class BertForTask(nn.Module):
    """BERT with one new linear layer: for a text or for each token.

    The class of a text or of a pair is read from [CLS], a tag from each token's
    state; for a span each token gets two numbers, as its start and as its end.

    Args:
        pretrained: copied, so that it can be used again.
        n_outputs: classes or tags; 2 for a span.
        each_token: whether there is an output for each token.
    """

    def __init__(
        self, pretrained: BertForPretraining, n_outputs: int, each_token: bool = False
    ) -> None:
        super().__init__()
        check_count("n_outputs", n_outputs)
        self.bert = copy.deepcopy(pretrained.bert)
        self.pooler = None if each_token else copy.deepcopy(pretrained.pooler)
        self.out = nn.Linear(pretrained.next.in_features, n_outputs)

    def forward(self, text: Packed) -> Tensor:
        """Logits: (B, n_outputs), or (B, T, n_outputs) if `each_token`."""
        x = self.bert(*text.to(self.out.weight.device)).states  # (B, T, d_model)
        return self.out(x if self.pooler is None else self.pooler(x[:, 0]))


class TaskBatch(NamedTuple):
    """Labelled texts as BERT reads them."""

    text: Packed
    labels: Tensor  # (B,) classes, (B, 2) spans, or (B, T) tags with IGNORE
    allowed: Tensor  # (B, T) bool, True at the first piece of a word of the last text
    words: list[list[int]]  # for each text the positions of its words


def task_batch(
    task: str, examples: Sequence[Example], tokenizer: WordPiece
) -> TaskBatch:
    """Pack examples. A word cut into pieces is spoken for by its first one.

    Raises:
        ValueError: if there is no such task, or no example.
    """
    if task not in N_OUTPUTS:
        raise ValueError(f"task should be one of {list(N_OUTPUTS)}, got {task!r}")
    firsts = [tokenizer.encode(e.first) for e in examples]
    seconds = [e.second and tokenizer.encode(e.second) for e in examples]
    text = pack(tokenizer, firsts, seconds)
    allowed, words = torch.zeros_like(text.mask), []
    for row, (example, first) in enumerate(zip(examples, firsts, strict=True)):
        here = 1 if example.second is None else len(first) + 2
        places = []
        for word in (example.second or example.first).split():
            places.append(here)
            here += len(tokenizer.encode(word))
        allowed[row, places] = True
        words.append(places)
    if task == "tagging":
        rows = [[IGNORE] * text.ids.shape[1] for _ in examples]
        for row, places, example in zip(rows, words, examples, strict=True):
            for place, tag in zip(places, example.label, strict=True):
                row[place] = TAGS.index(tag)
        labels = pad(rows)[0]
    elif task == "span":
        pairs = zip(words, examples, strict=True)
        labels = torch.tensor([[at[i] for i in e.label] for at, e in pairs])
    else:
        labels = torch.tensor([e.label for e in examples])
    return TaskBatch(text, labels, allowed, words)


def task_loss(model: BertForTask, batch: TaskBatch, task: str) -> Tensor:
    """Cross-entropy of classes, tags, or starts and ends, in nats."""
    logits = model(batch.text)
    labels = batch.labels.to(logits.device)
    if task == "tagging":
        return masked_loss(logits, labels)
    if task == "span":
        return span_loss(logits, labels, batch.allowed.to(logits.device))
    return F.cross_entropy(logits, labels)


def task_batches(
    task: str,
    examples: Sequence[Example],
    tokenizer: WordPiece,
    batch_size: int = 32,
    seed: int = 0,
) -> Iterator[TaskBatch]:
    """Yield batches for ever, shuffled anew on each pass over the examples."""
    rng, size = random.Random(seed), min(batch_size, len(examples))
    while True:
        shuffled = rng.sample(examples, len(examples))
        for start in range(0, len(examples) - size + 1, size):
            yield task_batch(task, shuffled[start : start + size], tokenizer)


def fine_tune(
    pretrained: BertForPretraining,
    task: str,
    examples: Sequence[Example],
    tokenizer: WordPiece,
    config: TrainConfig,
    seed: int = 0,
) -> BertForTask:
    """Train all of BERT and a new layer on labelled examples.

    Raises:
        ValueError: if there is no such task, or no example.
    """
    if task not in N_OUTPUTS or not examples:
        raise ValueError(
            f"task should be one of {list(N_OUTPUTS)} with an example or more, got "
            f"{task!r} with {len(examples)}"
        )
    torch.manual_seed(seed)
    model = BertForTask(pretrained, N_OUTPUTS[task], task in ("span", "tagging"))
    model = model.to(pretrained.bias.device)
    batches = task_batches(task, examples, tokenizer, seed=seed)
    train(model, batches, partial(task_loss, task=task), config)
    return model


@torch.no_grad()
def answers(
    model: BertForTask, task: str, examples: Sequence[Example], tokenizer: WordPiece
) -> list:
    """What the model says: a class, a (first, last) word, or a tag for each word."""
    model.eval()
    found: list = []
    for start in range(0, len(examples), 100):
        batch = task_batch(task, examples[start : start + 100], tokenizer)
        logits = model(batch.text).cpu()
        if task == "span":
            spans = best_spans(logits, batch.allowed).tolist()
            pairs = zip(batch.words, spans, strict=True)
            found += [tuple(map(at.index, span)) for at, span in pairs]
        elif task == "tagging":
            best = logits.argmax(-1).tolist()
            pairs = zip(batch.words, best, strict=True)
            found += [tuple(TAGS[row[i]] for i in at) for at, row in pairs]
        else:
            found += logits.argmax(-1).tolist()
    return found


def entities(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """(first word, last word, kind) of each entity; I- without a B- begins one.

    >>> sorted(entities(["B-PER", "I-PER", "O", "B-LOC"]))
    [(0, 1, 'PER'), (3, 3, 'LOC')]
    """
    found: list[tuple[int, int, str]] = []
    for i, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        goes_on = mark == "I" and found and found[-1][1:] == (i - 1, kind)
        if goes_on:
            found[-1] = (found[-1][0], i, kind)
        elif kind:
            found.append((i, i, kind))
    return set(found)


def scores(task: str, said: Sequence, examples: Sequence[Example]) -> dict[str, float]:
    """Accuracy of classes, exact match and F1 of spans, entity F1 of tags, in [0, 1].

    Spans are compared as SQuAD does, word by word, without articles. An entity
    counts if its words and its kind are all right, as in CoNLL-2003.

    Raises:
        ValueError: if there is no answer, or not one for each example.
    """
    if not examples or len(said) != len(examples):
        raise ValueError(
            f"said should have {len(examples)} answers, one or more, has {len(said)}"
        )
    pairs = list(zip(said, examples, strict=True))
    if task == "tagging":
        both = [(entities(tags), entities(e.label)) for tags, e in pairs]
        n_right = sum(len(a & b) for a, b in both)
        return {"f1": 2 * n_right / max(1, sum(len(a) + len(b) for a, b in both))}
    if task == "span":
        texts = [[_words(e, span) for span in (a, e.label)] for a, e in pairs]
        return {
            "em": sum(exact_match(a, b) for a, b in texts) / len(texts),
            "f1": sum(answer_f1(a, b) for a, b in texts) / len(texts),
        }
    return {"accuracy": sum(a == e.label for a, e in pairs) / len(pairs)}


def _words(example: Example, span: tuple[int, int]) -> str:
    return " ".join(example.second.split()[span[0] : span[1] + 1])
