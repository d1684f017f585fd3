"""The world of instructions: its answers, its wordings, its tests."""

import json
from itertools import islice, pairwise
from statistics import fmean

import pytest

from tools.experiments import RECORDS
from tools.instruct_experiments import STUDENTS, Kind, by_rule, student
from utils.instructions import (
    ACTIONS,
    EVERY,
    HELD_OUT,
    KINDS,
    KNOWN,
    OPERATIONS,
    Operation,
    Task,
    carry_out,
    exam,
    read_instruction,
    sheet,
    solve,
    tasks,
    wordings,
)

COLOUR = ("colour", "colours")


@pytest.mark.parametrize(
    ("instruction", "words", "answer"),
    [
        ("say the first colour", "ben red hat blue", "red"),
        ("please say the colour that comes last", "ben red hat blue", "blue"),
        ("give every person", "ben red tom", "ben tom"),
        ("tell me how many words there are", "ben red tom", "three"),
        ("name the number of feelings in the list", "sad red glad", "two"),
        ("say the things from last to first", "cup red hat", "hat cup"),
        ("write all words but the places", "farm red school tom", "red tom"),
        ("say the words that are not people", "ben red", "red"),
        ("say the words in reverse order", "ben red cup", "cup red ben"),
        ("say the first colour", "ben cup", None),  # there is none
        ("say the first colour and the last person", "ben red", None),  # two jobs
        ("hello", "ben red", None),
        ("say the first colour", "red bicycle", None),  # not of this world
        ("say the first colour", "red blue grey black white green brown", None),
    ],
)
def test_answers_worked_out_by_hand(instruction, words, answer):
    assert solve(instruction, words) == answer


def test_no_word_is_of_two_kinds():
    words = [w for kind in KINDS.values() for w in kind]
    assert len(words) == len(set(words))


def test_operations_and_what_is_held_out():
    assert len(OPERATIONS) == len(set(OPERATIONS)) == 35
    assert len(KNOWN) == 29 and not set(KNOWN) & set(HELD_OUT)
    assert {o.action for o in HELD_OUT} == set(ACTIONS)
    # Each half of what is held out is known from elsewhere.
    assert {o.action for o in HELD_OUT} <= {o.action for o in KNOWN}
    assert {o.kind for o in HELD_OUT} <= {o.kind for o in KNOWN}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o[0]}-{o[1][1]}")
def test_every_wording_is_read_back(operation):
    texts = wordings(operation)
    assert len(texts) == len(set(texts)) == 288
    assert {read_instruction(text) for text in texts} == {operation}


def test_tasks_are_right_varied_and_come_again():
    texts = [text for operation in OPERATIONS for text in wordings(operation)[::40]]
    some = list(islice(tasks(texts, seed=3), 600))
    assert some == list(islice(tasks(texts, seed=3), 600))
    assert some != list(islice(tasks(texts, seed=4), 600))
    for task in some:
        words = task.words.split()
        assert 3 <= len(words) == len(set(words)) <= 6
        assert solve(task.instruction, task.words) == task.answer != ""
    assert {read_instruction(task.instruction) for task in some} == set(OPERATIONS)
    counts = {task.answer for task in some} & {"one", "two", "three", "four"}
    assert len(counts) == 4


def test_without_leaves_something():
    operation = Operation("without", COLOUR)
    assert Operation("without", EVERY) not in OPERATIONS
    assert carry_out(operation, ["red", "blue"]) == []
    for task in islice(tasks(wordings(operation)[:1]), 50):
        assert task.answer and set(task.answer.split()) <= set(task.words.split())


def test_the_exam_asks_nothing_that_is_trained_on():
    learnable, tests = exam(n_tasks=50)
    assert len(learnable) == len(set(learnable)) == 29 * 288 - 1000
    asked = {name: {t.instruction for t in test} for name, test in tests.items()}
    assert not asked["wordings"] & set(learnable)
    assert {read_instruction(t) for t in asked["wordings"]} <= set(KNOWN)
    assert {read_instruction(t) for t in asked["operations"]} == set(HELD_OUT)
    assert {read_instruction(t) for t in learnable} == set(KNOWN)
    assert exam(n_tasks=50) == (learnable, tests)
    assert exam(n_tasks=50, seed=1)[0] != learnable


def test_a_page():
    two = [Task("say the first colour", "ben red", "red"), Task("say hi", "a b", "hi")]
    assert sheet(two) == (
        "task : say the first colour . list : ben red . answer : red . "
        "task : say hi . list : a b . answer : hi ."
    )
    assert two[0].request == "say the first colour : ben red"


def test_messages():
    with pytest.raises(ValueError, match="each ask for one operation.*got none"):
        next(tasks([]))
    with pytest.raises(ValueError, match=r"got \['say hello'\]"):
        next(tasks(["say hello", "say the first colour"]))


# --- the recorded experiment on this world ----------------------------------------


def test_the_record_holds_every_kind_of_student():
    runs = json.loads((RECORDS / "instructions.json").read_text("utf-8"))["runs"]
    assert {run["variant"] for run in runs} == set(STUDENTS)
    for run in runs:
        kind = STUDENTS[run["variant"]]
        if kind.data == "rules":
            assert run["n_instructions"] == kind.n_instructions
            assert run["n_examples"] == kind.n_examples
        assert 0 <= run["operations"] <= 1 and 0 <= run["wordings"] <= 1


def test_the_record_says_what_the_chapter_says():
    runs = json.loads((RECORDS / "instructions.json").read_text("utf-8"))["runs"]

    def mean(variant, measure="wordings"):
        return fmean(run[measure] for run in runs if run["variant"] == variant)

    rising = [mean(f"{k} instructions, 256 examples") for k in (1, 4, 16, 64)]
    assert all(b - a > 0.05 for a, b in pairwise(rising))
    assert mean("64 instructions for 1 operation") < rising[0] + 0.05
    assert abs(mean("self") - mean("as many by rule")) < 0.05
    assert mean("self") > mean("seeds") + 0.3
    base = 0.79  # nats a word
    assert mean("lr 0.003", "story_loss") > base + 1.4  # five times the perplexity
    assert mean("replay, lr 0.003", "story_loss") < base + 0.05
    assert mean("replay, lr 0.003") > mean("lr 0.003") - 0.03


def test_examples_by_rule_are_of_as_many_instructions_and_not_in_the_exam():
    some = by_rule(Kind(n_instructions=16, n_examples=64, n_operations=4), seed=0)
    texts = [task.instruction for task in some]
    assert len(some) == 64 and {texts.count(text) for text in texts} == {4}
    assert len({read_instruction(text) for text in texts}) <= 4
    assert not set(texts) & {task.instruction for task in exam()[1]["wordings"]}
    # Lists of their own: not the same four for each instruction.
    assert len({task.words for task in some}) > 50


def test_a_student_is_measured():
    measured = student("seeds", 0, n_steps=2)
    assert measured["n_instructions"] == measured["n_examples"] == 12
    assert {"wordings", "operations", "story_loss", "loss"} <= set(measured)


def test_one_thing_said_twice_is_one_thing():
    twice = "say the first colour , the colour that comes first"
    assert read_instruction(twice) == read_instruction("say the first colour")


@pytest.mark.parametrize("sizes", [{"n_wordings": 10**4}, {"n_tasks": 0}])
def test_an_exam_that_leaves_nothing_is_refused(sizes):
    with pytest.raises(ValueError, match=f"{next(iter(sizes))} should be"):
        exam(**sizes)
