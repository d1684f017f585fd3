"""Requests, demonstrations, the known taste and labellers who err."""

import math
from itertools import islice

import pytest

from utils.stories import BAD, GOOD
from utils.storytelling import (
    N_WORDS,
    Request,
    demonstrations,
    noise_ceiling,
    prefer,
    requests,
    taste,
)

KITE = Request("tell me a story with a kite", "kite")


@pytest.mark.parametrize(
    ("story", "reward"),
    [
        ("tom has a red kite .", 2),
        ("tom has a red map .", 0),
        ("tom has a kite . tom is merry .", 3),
        ("tom has a kite . tom is merry and glad .", 4),
        ("tom has a kite . tom is merry and glad . leo is proud .", 3),
        ("tom has a kite . tom is not merry but sad .", 2),  # 2 + 1 - 1
        ("tom has a kite . tom has a kite .", 1),
        ("tom has a kite", 1),
        ("tom has a kite . " * 10, 2 - 9 - 1),  # nine times again, and too long
        ("merry " * 7 + ".", 2 - 5),
        ("", -1),
    ],
)
def test_taste_is_what_it_says(story, reward):
    assert taste(KITE, story) == reward


def test_requests_name_their_thing_and_start_anew():
    some = list(islice(requests(3), 200))
    assert all(r.thing in r.text.split() for r in some)
    assert some == list(islice(requests(3), 200)) != list(islice(requests(4), 200))
    assert len({r.thing for r in some}) > 30


def test_demonstrations_are_whole_stories_about_the_thing():
    some = list(islice(demonstrations(0), 300))
    assert all(request.thing in story.split() for request, story in some)
    assert all(3 < story.count(" .") < 6 for _, story in some)
    assert max(len(story.split()) for _, story in some) < N_WORDS
    glad = [sum(w in GOOD.split() for w in story.split()) for _, story in some]
    sad = [sum(w in BAD.split() for w in story.split()) for _, story in some]
    assert 0 < sum(glad) / 300 < 2 and 0 < sum(sad) / 300 < 2


def test_labellers_err_as_often_as_bradley_and_terry_say():
    n, gap, noise = 20_000, 1.5, 0.5
    found = sum(prefer([gap] * n, [0.0] * n, seed=1, noise=noise)) / n
    wanted = 1 / (1 + math.exp(-gap / noise))
    assert abs(found - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / n)


def test_labellers_without_noise_never_err_and_ties_fall_to_chance():
    assert prefer([1, 0, 1e-9], [0, 1, 0], noise=0) == [True, False, True]
    ties = prefer([2.0] * 2000, [2.0] * 2000, noise=0)
    assert 900 < sum(ties) < 1100


def test_the_ceiling_is_how_often_the_truth_agrees():
    gaps = [-2.0, -0.3, 0.0, 0.4, 1.0] * 4000
    said = prefer(gaps, [0.0] * len(gaps), seed=2)
    agree = [
        (gap > 0) == first if gap else 0.5
        for gap, first in zip(gaps, said, strict=True)
    ]
    assert abs(sum(agree) / len(agree) - noise_ceiling(gaps)) < 0.01
    assert noise_ceiling([0.0, 0.0]) == 0.5
    assert noise_ceiling([1.0, -3.0], noise=0) == 1.0
    assert noise_ceiling([1e6]) == 1.0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="of one length, got 1 and 2"):
        prefer([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="noise -1"):
        prefer([1.0], [1.0], noise=-1)
    with pytest.raises(ValueError, match="noise nan"):
        prefer([1.0], [2.0], noise=math.nan)
    with pytest.raises(ValueError, match="a difference of nan"):
        prefer([math.nan], [2.0])
    with pytest.raises(ValueError, match="noise -1"):
        noise_ceiling([1.0], -1)
    with pytest.raises(ValueError, match="at least one difference"):
        noise_ceiling([])
