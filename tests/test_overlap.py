"""ROUGE against the package rouge-score, SQuAD's scores against a slow loop."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from utils.overlap import (
    answer_f1,
    exact_match,
    longest_common,
    normalise_answer,
    rouge,
)

ORACLE = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
WORDS = st.lists(st.sampled_from("a b c The cat cats sat. U.S. 42 é ,".split()))
TEXT = st.one_of(WORDS.map(" ".join), st.text(max_size=30))


@settings(max_examples=400, deadline=None)
@given(TEXT, TEXT)
@example("", "")
@example("the the the", "the cat")
@example("don't stop", "Don t  STOP!")
def test_rouge_equals_rouge_score(hypothesis, reference):
    expected = ORACLE.score(reference, hypothesis)  # the reference comes first
    got = rouge(hypothesis, reference)
    assert set(got) == set(expected)
    for name, score in expected.items():
        assert got[name] == pytest.approx(tuple(score), abs=1e-12), name


def test_rouge_by_hand():
    got = rouge("the cat sat on the mat", "the cat lay on a mat")
    assert got["rouge1"] == pytest.approx((4 / 6, 4 / 6, 4 / 6))  # the cat on mat
    assert got["rouge2"] == pytest.approx((1 / 5, 1 / 5, 1 / 5))  # the cat
    assert got["rougeL"].recall == pytest.approx(4 / 6)
    assert rouge("mat the on", "on the mat")["rougeL"].f1 == pytest.approx(1 / 3)


@given(WORDS, WORDS)
def test_swapping_the_two_swaps_precision_and_recall(a, b):
    one, other = rouge(" ".join(a), " ".join(b)), rouge(" ".join(b), " ".join(a))
    for name in one:
        assert one[name].precision == other[name].recall
        assert one[name].f1 == pytest.approx(other[name].f1)


def longest_common_by_trying(a, b):
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + longest_common_by_trying(a[1:], b[1:])
    return max(longest_common_by_trying(a[1:], b), longest_common_by_trying(a, b[1:]))


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_longest_common_equals_trying_all(a, b):
    assert longest_common(a, b) == longest_common_by_trying(a, b)


# --- SQuAD ---------------------------------------------------------------------

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def normal_slowly(text):
    """The rule, letter by letter."""
    kept = ""
    for letter in text.lower():
        if letter not in PUNCTUATION:
            kept += letter
    words, word = [], ""
    for letter in kept + " ":
        if letter.isspace():
            if word and word not in ("a", "an", "the"):
                words.append(word)
            word = ""
        else:
            word += letter
    return words


def f1_slowly(answer, gold):
    found, wanted = normal_slowly(answer), normal_slowly(gold)
    if not found or not wanted:
        return 1.0 if found == wanted else 0.0
    left, shared = list(wanted), 0
    for word in found:
        if word in left:
            left.remove(word)
            shared += 1
    if shared == 0:
        return 0.0
    precision, recall = shared / len(found), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


ANSWERS = st.lists(
    st.sampled_from("A an THE theatre cat Cat, cat's U.S. - 'the' 1,000 é".split()),
    max_size=6,
).map(" ".join)


@settings(max_examples=300)
@given(ANSWERS, st.lists(ANSWERS, min_size=1, max_size=3))
def test_squad_scores_equal_the_slow_rule(answer, golds):
    assert normalise_answer(answer).split() == normal_slowly(answer)
    same = any(normal_slowly(answer) == normal_slowly(gold) for gold in golds)
    assert exact_match(answer, golds) == float(same)
    best = max(f1_slowly(answer, gold) for gold in golds)
    assert answer_f1(answer, golds) == pytest.approx(best)


@pytest.mark.parametrize(
    ("answer", "gold", "em", "f1"),
    [
        ("The Denver Broncos!", "Denver Broncos", 1, 1),
        ("Broncos", "Denver Broncos", 0, 2 / 3),
        ("the theatre", "theatre", 1, 1),  # the article, not three letters
        ("well-known", "well known", 0, 0),  # punctuation leaves no space
        ("Seine Seine", "Seine", 0, 2 / 3),  # counted once
        ("Paris", ["London", "Paris, France"], 0, 2 / 3),
        ("", "", 1, 1),
        ("the", "", 1, 1),
        ("", "Paris", 0, 0),
    ],
)
def test_known_values(answer, gold, em, f1):
    assert exact_match(answer, gold) == em
    assert answer_f1(answer, gold) == pytest.approx(f1)


@given(ANSWERS, ANSWERS)
def test_f1_is_symmetric_and_at_least_exact_match(a, b):
    assert answer_f1(a, b) == pytest.approx(answer_f1(b, a))
    assert exact_match(a, b) <= answer_f1(a, b) + 1e-12 <= 1 + 1e-9


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: rouge(["a"], "a"), "hypothesis should be a string, is a list"),
        (lambda: rouge("a", None), "reference should be a string"),
        (lambda: exact_match("a", []), "gold should be a string or some"),
        (lambda: answer_f1("a", [1]), "gold should be a string or some"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
