"""Four tasks on the course's stories, with gold labels: one for each kind of BERT's.

A pair of sentences, a single sentence, the span of an answer, a tag for each word.
"""

import random
from typing import NamedTuple

from utils.counts import check_count
from utils.stories import Sentence, one_story

# word in a sentence -> questions about it, and the words that answer
QUESTIONS = {
    "finds": (
        ("who finds the {t} ?", "{x}"),
        ("what does {x} find ?", "a {c} {t}"),
        ("where is the {t} ?", "near the {s}"),
    ),
    "sees": (
        ("who sees the {t} ?", "{x}"),
        ("what does {x} see ?", "a {c} {t}"),
        ("where is the {t} ?", "behind the {s}"),
    ),
    "gives": (("who gets the {t} ?", "{y}"), ("what does {y} get ?", "the {c} {t}")),
    "loses": (("who loses the {t} ?", "{x}"), ("what does {x} lose ?", "the {c} {t}")),
}


class Example(NamedTuple):
    """One labelled text, or pair of texts."""

    first: str
    second: str | None
    label: object


def _asked(rng: random.Random) -> tuple[list[Sentence], Sentence, str, str]:
    """A story, one of its sentences, and a question that this one answers."""
    while True:
        story = one_story(rng)[:5]
        able = [s for s in story if s.words[1] in QUESTIONS and s.tags[0] != "O"]
        sentence = rng.choice(able or story)
        if able:
            question, answer = rng.choice(QUESTIONS[sentence.words[1]])
            return story, sentence, question, answer


def _pair(rng: random.Random) -> Example:
    """Does the sentence answer the question (1), or not (0)?"""
    while True:
        story, sentence, question, _ = _asked(rng)
        about = sentence.slots[
            next(slot for slot in "txy" if f"{{{slot}}}" in question)
        ]
        others = [s for s in story if about not in s.words]
        label = rng.randrange(2)
        if label or others:
            said = sentence if label else rng.choice(others)
            return Example(question.format(**sentence.slots), said.text, label)


def _single(rng: random.Random) -> Example:
    """Is the sentence in order (1), or are two neighbours exchanged (0)?"""
    while True:
        sentence = rng.choice(one_story(rng))
        words = list(sentence.words)
        label = rng.randrange(2)
        if not label:
            at = rng.randrange(len(words) - 2)
            words[at : at + 2] = words[at + 1], words[at]
        if "I-PER" not in sentence.tags:
            return Example(" ".join(words), None, label)


def _span(rng: random.Random) -> Example:
    """A question, a story, and the first and last word of the answer in it."""
    while True:
        story, sentence, question, answer = _asked(rng)
        words = tuple(answer.format(**sentence.slots).split())
        before = sum(len(s.words) for s in story[: story.index(sentence)])
        fits = range(len(sentence.words) - len(words) + 1)
        here = [i for i in fits if sentence.words[i : i + len(words)] == words]
        if len(here) == 1:
            start = before + here[0]
            asks = question.format(**sentence.slots)
            text = " ".join(s.text for s in story)
            return Example(asks, text, (start, start + len(words) - 1))


def _tagging(rng: random.Random) -> Example:
    """Two sentences of a story, and a tag for each word."""
    story = one_story(rng)
    at = rng.randrange(len(story) - 1)
    chosen = story[at : at + 2]
    tags = tuple(tag for s in chosen for tag in s.tags)
    return Example(" ".join(s.text for s in chosen), None, tags)


TASKS = {"pair": _pair, "single": _single, "span": _span, "tagging": _tagging}


def task_examples(
    task: str, n_train: int = 2000, n_dev: int = 300, n_test: int = 500, seed: int = 0
) -> tuple[list[Example], list[Example], list[Example]]:
    """Write labelled examples: train, dev and test share no text.

    Args:
        task: "pair": a question and a sentence; 1 = it answers. "single": a
            sentence; 1 = its words are in order. "span": a question and a story;
            (first, last) word of the answer in the story. "tagging": two
            sentences; one of TAGS for each word.
        n_train, n_dev, n_test: how many of each.

    Raises:
        ValueError: if there is no such task or a number is below 1.
    """
    if task not in TASKS:
        raise ValueError(f"task should be one of {list(TASKS)}, got {task!r}")
    sizes = {"n_train": n_train, "n_dev": n_dev, "n_test": n_test}
    for name, size in sizes.items():
        check_count(name, size)
    rng, found = random.Random(f"{task} {seed}"), {}
    while len(found) < sum(sizes.values()):
        example = TASKS[task](rng)
        found.setdefault(example[:2], example)
    every = list(found.values())
    held_out = n_test + n_dev
    return every[held_out:], every[n_test:held_out], every[:n_test]
