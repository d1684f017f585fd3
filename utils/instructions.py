"""A small world of instructions whose right answers are known.

An instruction names what to do (say the first, the last, all, how many, ...) and
with which kind of word (colours, people, ...), in one of many wordings; a list of
words from the course's stories comes with it. `solve` reads an instruction back,
so whatever a model writes can be judged.
"""

import random
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice, product
from typing import NamedTuple

from utils.counts import check_count
from utils.stories import COLOURS, FEELINGS, MEN, WOMEN, WORLDS

# what to do -> how it is said
ACTIONS = {
    "first": ("the first {one}", "the {one} that comes first"),
    "last": ("the last {one}", "the {one} that comes last"),
    "all": ("every {one}", "all the {many}"),
    "count": ("how many {many} there are", "the number of {many}"),
    "reverse": ("the {many} in reverse order", "the {many} from last to first"),
    "without": ("all words but the {many}", "the words that are not {many}"),
}
# one, many -> the words of that kind; no word is of two kinds
PEOPLE = (WOMEN + " " + MEN).split()
THINGS = sorted({t for _, things in WORLDS.values() for t in things.split()})
KINDS = {
    ("colour", "colours"): COLOURS.split(),
    ("person", "people"): [x for x in PEOPLE if x not in THINGS],
    ("thing", "things"): [t for t in THINGS if t not in PEOPLE],
    ("feeling", "feelings"): [f for side in FEELINGS for f in side],
    ("place", "places"): list(WORLDS),
}
EVERY = ("word", "words")
OPENERS = (
    "",
    "please",
    "read the list and",
    "look at these words and",
    "with care ,",
    "here is a small job for you ,",
)
VERBS = ("say", "write", "give", "name", "tell me", "find")
CLOSERS = ("", "in the list", "among them", "that you see there")
NUMBERS = "zero one two three four five six".split()


class Operation(NamedTuple):
    """What to do with which kind of word."""

    action: str  # of ACTIONS
    kind: tuple[str, str]  # of KINDS, or EVERY


OPERATIONS = [
    Operation(action, kind)
    for action, kind in product(ACTIONS, [*KINDS, EVERY])
    if (action, kind) != ("without", EVERY)  # would leave nothing
]
# One of each action, so that both halves are known from elsewhere.
HELD_OUT = [
    Operation("first", ("place", "places")),
    Operation("last", ("colour", "colours")),
    Operation("all", ("person", "people")),
    Operation("count", ("feeling", "feelings")),
    Operation("reverse", ("thing", "things")),
    Operation("without", ("place", "places")),
]
KNOWN = [operation for operation in OPERATIONS if operation not in HELD_OUT]
PHRASES = {
    phrase.format(one=operation.kind[0], many=operation.kind[1]): operation
    for operation in OPERATIONS
    for phrase in ACTIONS[operation.action]
}


class Task(NamedTuple):
    """An instruction, the list it is about, and an answer; words between blanks."""

    instruction: str
    words: str
    answer: str

    @property
    def request(self) -> str:
        """What a user would send."""
        return f"{self.instruction} : {self.words}"


def carry_out(operation: Operation, words: Sequence[str]) -> list[str]:
    """Do it by rule; an empty list where nothing is left to say.

    >>> carry_out(Operation("count", ("colour", "colours")), ["red", "ben", "white"])
    ['two']
    """
    action, kind = operation
    fits = [w for w in words if kind == EVERY or w in KINDS[kind]]
    if action == "count":
        return [NUMBERS[len(fits)]]
    return {
        "first": fits[:1],
        "last": fits[-1:],
        "all": fits,
        "reverse": fits[::-1],
        "without": [w for w in words if w not in fits],
    }[action]


def read_instruction(instruction: str) -> Operation | None:
    """What an instruction asks for; None where that is nothing, or not one thing.

    >>> read_instruction("please say the last colour in the list")
    Operation(action='last', kind=('colour', 'colours'))
    """
    found = {
        operation
        for phrase, operation in PHRASES.items()
        if re.search(rf"\b{phrase}\b", instruction)
    }
    return found.pop() if len(found) == 1 else None


def solve(instruction: str, words: str) -> str | None:
    """The right answer, or None where there is none.

    Args:
        instruction: as in a `Task`, in whatever words.
        words: the list, with blanks between, at most six words.

    >>> solve("name the first colour", "ben red white")
    'red'
    """
    operation, listed = read_instruction(instruction), words.split()
    known = {w for kind in KINDS.values() for w in kind}
    if operation is None or len(listed) >= len(NUMBERS) or not known.issuperset(listed):
        return None
    return " ".join(carry_out(operation, listed)) or None


def wordings(operation: Operation) -> list[str]:
    """Every instruction for it: 288."""
    one, many = operation.kind
    phrases = (p.format(one=one, many=many) for p in ACTIONS[operation.action])
    parts = product(OPENERS, VERBS, phrases, CLOSERS)
    return [" ".join(filter(None, words)) for words in parts]


def tasks(instructions: Collection[str], seed: int = 0) -> Iterator[Task]:
    """Write tasks for ever: instructions in turn by chance, each with a new list.

    Raises:
        ValueError: if there is no instruction, or one that `read_instruction`
            does not understand.
    """
    readable = {text: read_instruction(text) for text in instructions}
    wrong = [text for text, operation in readable.items() if operation is None]
    if wrong or not readable:
        raise ValueError(
            "instructions should each ask for one operation, as in "
            f"'say the first colour', got {wrong[:3] or 'none'}"
        )
    rng, texts = random.Random(f"tasks {seed}"), list(readable)
    while True:
        text = rng.choice(texts)
        words = _list_for(readable[text], rng)
        yield Task(text, " ".join(words), " ".join(carry_out(readable[text], words)))


def exam(
    n_tasks: int = 300, n_wordings: int = 1000, seed: int = 0
) -> tuple[list[str], dict[str, list[Task]]]:
    """Part what may be trained on from what is tested.

    Args:
        n_tasks: of each test.
        n_wordings: kept out of training, of all operations but `HELD_OUT`.

    Returns:
        wordings to train on, and two tests: "wordings", none of them trained on, and
        "operations", those of `HELD_OUT`.

    Raises:
        ValueError: if a number is below 1 or no wording is left to train on.
    """
    known = [text for operation in KNOWN for text in wordings(operation)]
    check_count("n_tasks", n_tasks)
    check_count("n_wordings", n_wordings)
    if n_wordings >= len(known):
        raise ValueError(
            f"n_wordings should be below {len(known)}, all there are, got {n_wordings}"
        )
    random.Random(f"exam {seed}").shuffle(known)
    held_out = [text for operation in HELD_OUT for text in wordings(operation)]
    tests = {"wordings": known[:n_wordings], "operations": held_out}
    return known[n_wordings:], {
        name: list(islice(tasks(some, 1000 + seed), n_tasks))
        for name, some in tests.items()
    }


def _list_for(operation: Operation, rng: random.Random) -> list[str]:
    """Three to six different words with an answer, about half of the right kind."""
    while True:
        n, kinds = rng.randint(3, 6), list(KINDS)
        if operation.kind != EVERY:  # about half of them fit
            kinds += [operation.kind] * 3
        words = [rng.choice(KINDS[rng.choice(kinds)]) for _ in range(n)]
        if len(set(words)) == n and carry_out(operation, words):
            return words


def sheet(some: Sequence[Task]) -> str:
    """Tasks below one another, as on a page of exercises."""
    lines = (
        f"task : {t.instruction} . list : {t.words} . answer : {t.answer} ."
        for t in some
    )
    return " ".join(lines)
