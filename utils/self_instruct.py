"""Self-Instruct in small: a base model writes the tasks that it is then tuned on.

Wang et al., 2022, https://arxiv.org/abs/2212.10560. It goes on with pages of tasks:
an instruction, kept if it is unlike all the others, then lists, then answers. No
rule that knows the right answers takes part.
"""

import random
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import NamedTuple

import torch
from torch import nn

from utils.corpora import pad
from utils.counts import check_count
from utils.generation import generate
from utils.instructions import Task, sheet
from utils.overlap import rouge
from utils.tokenizers import Vocab

LONGEST = {"task": 24, "list": 8, "answer": 8}  # tokens, with the "." that ends it

# Seed tasks, written by hand: instruction | list | answer.
SEEDS = [
    Task(*(part.strip() for part in line.split("|")))
    for line in """
say the first colour | ben red white | red
please give the last thing in the list | anna spoon glad hat red | hat
how many people there are , tell me | leo cup mark | two
name every feeling that you see there | sad garden proud emma | sad proud
with care , write the places from last to first | farm blue beach | beach farm
look at these words and find all words but the colours | kite green adam | kite adam
here is a small job for you , say the word that comes first | lamb market tom | lamb
read the list and give the number of places | school forest rope | two
tell me the person that comes last among them | sarah crab david | david
please find all the things | bell happy umbrella | bell umbrella
write the words that are not people in the list | felix grey nut ben | grey nut
read the list and name the feelings in reverse order | merry cross cake | cross merry
""".strip().splitlines()
]


class Written(NamedTuple):
    """What a model wrote, and what fell out on the way."""

    tasks: list[Task]  # fit to train on, the first of each instruction first
    instructions: list[str]  # those kept, seeds' not included
    nearest: list[float]  # ROUGE-L of each well-formed candidate, kept or not
    n_asked: tuple[int, int]  # instructions, instances


def nearest(text: str, others: Iterable[str]) -> float:
    """ROUGE-L (F1) with the most similar of the others; 0 if there is none.

    >>> nearest("say the first colour", ["name a thing", "say the last colour"])
    0.75
    """
    return max((rouge(text, other)["rougeL"].f1 for other in others), default=0.0)


def well_formed(instruction: str | None) -> bool:
    """Ended in time, of three words or more, and no part of the page's form."""
    words = (instruction or "").split()
    return len(words) >= 3 and not {":", "task", "answer"} & set(words)


class Writer:
    """A base model that goes on with pages of tasks.

    Args:
        model: has read such pages, as `utils.gpt.GPT`.
        batch_size: pages at a time.
        seed: of what stands on a page and of what is sampled.
    """

    def __init__(
        self, model: nn.Module, vocab: Vocab, batch_size: int = 64, seed: int = 0
    ) -> None:
        check_count("batch_size", batch_size)
        self.model, self.vocab, self.batch_size = model, vocab, batch_size
        self.device = next(model.parameters()).device
        self.rng = random.Random(f"self-instruct {seed}")
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def go_on(
        self, pages: Sequence[str], part: str, temperature: float = 1.0
    ) -> list[str | None]:
        """What follows on each page up to "." or <eos>; None: none came in time.

        Args:
            pages: words with a blank between.
            part: one of `LONGEST`.

        Raises:
            ValueError: if part is none of these.
        """
        if part not in LONGEST:
            raise ValueError(f"part should be one of {list(LONGEST)}, got {part!r}")
        found: list[str | None] = []
        stop, n_new = [*self.vocab.encode(["."]), self.vocab.eos], LONGEST[part]
        options = {"temperature": temperature, "generator": self.generator}
        for start in range(0, len(pages), self.batch_size):
            some = pages[start : start + self.batch_size]
            texts = [self.vocab.encode(page.split()) for page in some]
            ids, real = (x.to(self.device) for x in pad(texts, left=True))
            for new in generate(self.model, ids, real, n_new, stop, **options):
                done = len(new) < n_new
                found.append(" ".join(self.vocab.decode(new)) if done else None)
        return found

    def page(self, seeds: Sequence[Task], own: Sequence[Task]) -> str:
        """Two tasks of people and one of its own, or three of people."""
        n_own = min(1, len(own))
        shown = self.rng.sample(seeds, 3 - n_own) + self.rng.sample(own, n_own)
        self.rng.shuffle(shown)
        return f"{sheet(shown)} task :"

    def instances(
        self, instructions: Sequence[str], seeds: Sequence[Task], own: Sequence[Task]
    ) -> list[Task]:
        """A list and an answer to each instruction; those that may be trained on.

        The list is sampled, the answer is the most probable one. A list should have
        three words or more and none twice.
        """
        pages = [f"{self.page(seeds, own)} {text} . list :" for text in instructions]
        lists = self.go_on(pages, "list")
        fit = [
            (text, words, f"{page} {words} . answer :")
            for text, words, page in zip(instructions, lists, pages, strict=True)
            if words and len(set(words.split())) == len(words.split()) >= 3
        ]
        answers = self.go_on([page for _, _, page in fit], "answer", temperature=0)
        pairs = zip(fit, answers, strict=True)
        return [
            Task(text, words, answer) for (text, words, _), answer in pairs if answer
        ]


def self_instruct(
    writer: Writer,
    seeds: Sequence[Task],
    n_instructions: int = 256,
    n_instances: int = 512,
    threshold: float = 0.7,
) -> Written:
    """Let a base model write tasks after the model of some seed tasks.

    Args:
        seeds: at least three tasks, written by people.
        n_instructions: to ask for; fewer are kept.
        n_instances: to ask for, the instructions in turn, seeds' included.
        threshold: an instruction stays if its ROUGE-L with each one so far is lower.

    Raises:
        ValueError: if there are fewer than three seeds, or a number is out of range.
    """
    check_count("n_instructions", n_instructions)
    check_count("n_instances", n_instances)
    if len(seeds) < 3:
        raise ValueError(f"seeds should hold three tasks or more, got {len(seeds)}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold should be above 0, at most 1, got {threshold}")
    given = list(dict.fromkeys(task.instruction for task in seeds))
    kept, scores, own = list(given), [], []
    for start in range(0, n_instructions, writer.batch_size):
        n_asked = min(writer.batch_size, n_instructions - start)
        pages = [writer.page(seeds, own) for _ in range(n_asked)]
        new = []
        for text in filter(well_formed, writer.go_on(pages, "task")):
            scores.append(nearest(text, kept))
            if scores[-1] < threshold:
                kept.append(text)
                new.append(text)
        own += writer.instances(new, seeds, own)
    n_more = max(0, n_instances - (len(kept) - len(given)))
    own += writer.instances(list(islice(cycle(kept), n_more)), seeds, list(own))
    different = {(task.instruction, task.words): task for task in reversed(own)}
    tasks = list(reversed(different.values()))
    return Written(tasks, kept[len(given) :], scores, (n_instructions, n_instances))
