"""Self-Instruct: filters against loops, and a base that plays its part by rule."""

import pytest
import torch
from torch import nn

from utils.chat import CHAT_TOKENS
from utils.instructions import HELD_OUT, Task, read_instruction, sheet, solve
from utils.overlap import longest_common
from utils.pretrained import small_gpt
from utils.self_instruct import SEEDS, Writer, nearest, self_instruct, well_formed
from utils.tokenizers import Vocab

TEXTS = [
    "say the first colour",  # a seed's own: overlap 1
    "say the last colour",  # 3 of 4 words with a seed: 0.75
    "find a thing that you like",
    "find a thing that you like",
]
WORDS = [*TEXTS, *(f"{s.instruction} {s.words} {s.answer}" for s in SEEDS)]
VOCAB = Vocab(
    [*CHAT_TOKENS, ".", ":"]
    + sorted({"task", "list", "answer"} | {w for text in WORDS for w in text.split()})
)


class Parrot(nn.Module):
    """A base that says the next of its lines wherever a page asks for one."""

    def __init__(self, lines: dict[str, list[str]]) -> None:
        super().__init__()
        self.lines = {part: list(lines[part]) for part in lines}
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, ids, real, caches, look=False):
        """As `GPT.forward`: logits that leave no choice."""
        if caches is None:
            parts = [VOCAB.decode([row[row != 0][-2]])[0] for row in ids]
            said = [f"{self.lines[part].pop(0)} ." for part in parts]
            caches = [[VOCAB.encode(s.split()) for s in said], 0]
        lines, at = caches
        logits = torch.full((len(ids), 1, len(VOCAB)), -1e3)
        for row, line in enumerate(lines):
            logits[row, 0, line[min(at, len(line) - 1)]] = 1e3
        return logits, [], [lines, at + 1]


# --- filters --------------------------------------------------------------------


def test_nearest_equals_a_loop_over_longest_common_subsequences():
    texts = [task.instruction for task in SEEDS]
    for i, text in enumerate(texts):
        others = texts[:i] + texts[i + 1 :]
        a = text.replace(",", "").split()
        slow = 0.0
        for other in others:
            b = other.replace(",", "").split()
            slow = max(slow, 2 * longest_common(a, b) / (len(a) + len(b)))
        assert nearest(text, others) == pytest.approx(slow)
        assert nearest(text, texts) == 1.0
    assert nearest("say the first colour", []) == 0.0


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("say the first colour", True),
        ("say it", False),
        ("", False),
        (None, False),
        ("say the first colour : red", False),
        ("task say the first colour", False),
    ],
)
def test_well_formed(text, fits):
    assert well_formed(text) is fits


def test_seeds_are_right_and_unlike_each_other():
    texts = [task.instruction for task in SEEDS]
    assert [solve(task.instruction, task.words) for task in SEEDS] == [
        task.answer for task in SEEDS
    ]
    operations = {read_instruction(text) for text in texts}
    assert len(operations) == len(SEEDS) == 12
    assert not operations & set(HELD_OUT)
    for i, text in enumerate(texts):
        assert nearest(text, texts[:i]) < 0.7


# --- the pipeline, on a base that is known ----------------------------------------


def test_only_what_is_new_and_well_formed_gets_in():
    lines = {
        "task": [*TEXTS, "say it"],
        # one list for the new instruction, then one for each in turn
        "list": [
            "ben red cup",
            "ben ben cup red",
            "red cup",
            "red ben cup",
            "cup red ben",
        ],
        "answer": ["cup", "red", "ben"],
    }
    writer = Writer(Parrot(lines), VOCAB)
    written = self_instruct(writer, SEEDS, n_instructions=5, n_instances=5)
    assert written.instructions == ["find a thing that you like"]
    assert written.nearest[:2] == [1.0, 0.75]
    assert written.nearest[2] < 0.7 and written.nearest[3:] == [1.0]
    assert written.tasks == [
        Task("find a thing that you like", "ben red cup", "cup"),
        # The next two lists had a word twice, or too few.
        Task(SEEDS[2].instruction, "red ben cup", "red"),
        Task(SEEDS[3].instruction, "cup red ben", "ben"),
    ]


def test_the_threshold_decides():
    lines = {"task": TEXTS[1:2], "list": ["ben red cup"], "answer": ["red"]}
    kept = [
        self_instruct(Writer(Parrot(lines), VOCAB), SEEDS, 1, 1, threshold).instructions
        for threshold in (0.75, 0.76)
    ]
    assert kept == [[], ["say the last colour"]]


def test_a_repeated_instance_is_kept_once():
    new = "find a thing that you like"
    lines = {
        "task": [new],
        "list": ["ben red cup"] * 14,
        "answer": ["cup", *["red"] * 12, "ben"],
    }
    written = self_instruct(Writer(Parrot(lines), VOCAB), SEEDS, 1, 14)
    same = [task for task in written.tasks if task.instruction == new]
    assert same == [Task(new, "ben red cup", "cup")]  # not "ben", which came later
    assert len(written.tasks) == 13


def test_what_finds_no_end_is_none():
    parrot = Parrot({"list": ["red " * 20, "ben cup red"]})
    pages = ["task : say hi . list :"] * 2
    assert Writer(parrot, VOCAB).go_on(pages, "list") == [None, "ben cup red"]


def test_a_page_shows_two_of_people_and_one_of_its_own():
    own = [Task("name it", "a b c", "a")]
    for _ in range(20):
        page = Writer(Parrot({}), VOCAB).page(SEEDS, own)
        assert page.count("task :") == 4 and page.endswith(". task :")
        assert page.count(sheet(own)) == 1
        assert sum(sheet([seed]) in page for seed in SEEDS) == 2
    page = Writer(Parrot({}), VOCAB).page(SEEDS, [])
    assert sum(sheet([seed]) in page for seed in SEEDS) == 3


# --- and on the course's ----------------------------------------------------------


def test_the_base_writes_tasks_that_are_mostly_right():
    model, vocab = small_gpt("worksheets")
    one, two = (
        self_instruct(Writer(model, vocab, 16, seed=1), SEEDS, 32, 48) for _ in "ab"
    )
    assert one == two
    assert len(one.instructions) >= 10 and len(one.tasks) >= 30
    kept = [task.instruction for task in SEEDS]
    for text in one.instructions:
        assert nearest(text, kept) < 0.7
        kept.append(text)
    assert sum(score < 0.7 for score in one.nearest) == len(one.instructions)
    right = [solve(task.instruction, task.words) == task.answer for task in one.tasks]
    assert sum(right) / len(right) > 0.8
    pairs = {(task.instruction, task.words) for task in one.tasks}
    assert len(pairs) == len(one.tasks)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": SEEDS[:2]}, "three tasks or more, got 2"),
        ({"threshold": 0}, "above 0, at most 1, got 0"),
        ({"threshold": 1.1}, "above 0, at most 1, got 1.1"),
        ({"n_instructions": 0}, "n_instructions"),
        ({"n_instances": 1.5}, "n_instances"),
    ],
)
def test_messages(change, words):
    given = {"writer": Writer(Parrot({}), VOCAB), "seeds": SEEDS, **change}
    with pytest.raises(ValueError, match=words):
        self_instruct(**given)


def test_message_of_the_writer():
    with pytest.raises(ValueError, match="batch_size"):
        Writer(Parrot({}), VOCAB, 0)
