"""The stories and the four tasks: gold labels right, splits apart, same each time."""

from itertools import pairwise

import pytest

from utils.finetuning import entities
from utils.stories import (
    BAD,
    FEELINGS,
    MEN,
    TAGS,
    WOMEN,
    WORLDS,
    stories,
    used_pieces,
)
from utils.story_tasks import TASKS, task_examples
from utils.wordpiece import SPECIALS, WordPiece

PEOPLE = set((WOMEN + " " + MEN).split())


def tagged(sentence):
    """(word, tag) of each word."""
    return zip(sentence.words, sentence.tags, strict=True)


SMALL = {task: task_examples(task, 200, 50, 50) for task in TASKS}


def test_stories_differ_and_come_again():
    told = stories(300, seed=1)
    assert len({tuple(s.words for s in story) for story in told}) == 300
    assert told == stories(300, seed=1)
    assert told[0] != stories(1, seed=2)[0]


def test_a_story_keeps_to_its_people_place_and_things():
    for story in stories(200):
        names = {w for s in story for w, t in tagged(s) if t == "B-PER"}
        assert len(names) == 2 and names <= PEOPLE
        things = {w for s in story for w, t in tagged(s) if t == "B-OBJ"}
        assert any(things <= set(own.split()) for _, own in WORLDS.values())
        assert 6 <= len(story) <= 10


def test_a_thing_keeps_its_colour():
    for story in stories(200):
        colours = {}
        for s in story:
            for before, (word, tag) in pairwise(tagged(s)):
                if tag == "B-OBJ" and before[0] != "the":
                    assert colours.setdefault(word, before[0]) == before[0]


def test_who_loses_or_breaks_is_not_glad():
    bad = set(BAD.split())
    for story in stories(300):
        for one, two in pairwise(story):
            if two.words[1] in ("is", "feels") and "not" not in two.words:
                felt = set(two.words) & set(FEELINGS[0] + FEELINGS[1])
                hurt = bool({"loses", "drops", "breaks"} & set(one.words))
                assert felt and (felt <= bad) == hurt


def test_some_words_are_names_here_and_things_there():
    tags = {}
    for story in stories(1000):
        for s in story:
            for word, tag in tagged(s):
                tags.setdefault(word, set()).add(tag)
    for word in ("rose", "daisy", "robin", "penny", "olive"):
        assert {"B-PER", "B-OBJ"} <= tags[word]
    assert {"B-LOC", "I-PER"} <= tags["hill"] and tags["she"] == {"O"}


@pytest.mark.parametrize("task", TASKS)
def test_splits_share_no_text(task):
    parts = [{e[:2] for e in part} for part in SMALL[task]]
    assert [len(p) for p in parts] == [200, 50, 50]
    assert len(set.union(*parts)) == 300
    assert task_examples(task, 200, 50, 50) == SMALL[task]


@pytest.mark.parametrize("task", ["pair", "single"])
def test_classes_are_balanced(task):
    labels = [e.label for e in task_examples(task, 1000, 1, 1)[0]]
    assert set(labels) == {0, 1} and 400 < sum(labels) < 600


def test_pair_an_answer_names_what_is_asked():
    for example in SMALL["pair"][0]:
        asked = set(example.first.split()) & (
            PEOPLE | set(" ".join(t for _, t in WORLDS.values()).split())
        )
        said = set(example.second.split())
        assert bool(asked & said) == bool(example.label), example


def test_single_a_wrong_sentence_is_a_right_one_with_neighbours_exchanged():
    right = {s.words for story in stories(4000, seed=5) for s in story}
    vocabulary = {word for words in right for word in words}
    n_found = 0
    for example in SMALL["single"][0]:
        words = example.first.split()
        assert set(words) <= vocabulary
        if example.label == 0:
            assert tuple(words) not in right, example
            swaps = range(len(words) - 1)
            back = [
                (*words[:i], words[i + 1], words[i], *words[i + 2 :]) for i in swaps
            ]
            n_found += any(b in right for b in back)
    assert n_found > 20  # short ones come again in other stories


def test_span_is_the_answer():
    for example in SMALL["span"][0]:
        first, last = example.label
        words = example.second.split()[first : last + 1]
        kind = example.first.split()[0]
        if kind == "who":
            assert len(words) == 1 and words[0] in PEOPLE
        elif kind == "where":
            assert words[0] in ("near", "behind") and words[1] == "the"
        else:
            assert kind == "what" and words[0] in ("a", "the")


def test_tags_fit_their_words():
    for example in SMALL["tagging"][0]:
        words = example.first.split()
        assert len(words) == len(example.label) and set(example.label) <= set(TAGS)
        for first, _, kind in entities(example.label):
            assert (kind == "PER") <= (words[first] in PEOPLE)


def test_used_pieces_cut_as_the_real_list_does():
    real = WordPiece(["[UNK]", "a", "##b", "##c", "ab", "abc", "[CLS]", "x"])
    small = used_pieces(real, ["ab x", "ac", "[CLS]"])
    assert small.tokens == [*SPECIALS, "a", "##c", "ab", "x"]
    assert small.tokenize("ab ac x") == real.tokenize("ab ac x")


def test_messages():
    with pytest.raises(ValueError, match="n_stories should be 1 or more, got 0"):
        stories(0)
    with pytest.raises(ValueError, match="task should be one of .*, got 'quiz'"):
        task_examples("quiz")
    with pytest.raises(ValueError, match="n_dev should be 1 or more, got 0"):
        task_examples("pair", n_dev=0)
