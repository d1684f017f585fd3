"""WEAT against a plain loop over the definition; its p by trying every half."""

import math
from itertools import combinations
from statistics import mean, stdev

import numpy as np
import pytest

from utils.weat import FLOWERS_INSECTS, NAMES_CAREER, associations, weat

RNG = np.random.default_rng(0)
X, Y, A, B = (RNG.normal(size=(n, 5)) for n in (4, 4, 3, 6))


def cosine(u, v):
    dot = sum(a * b for a, b in zip(u, v, strict=True))
    return dot / math.hypot(*u) / math.hypot(*v)


def association(w, a, b):
    return mean(cosine(w, v) for v in a) - mean(cosine(w, v) for v in b)


def test_equals_the_loop_over_the_definition():
    s_x = [association(w, A, B) for w in X]
    s_y = [association(w, A, B) for w in Y]
    effect, p = weat(X, Y, A, B)
    assert effect == pytest.approx((mean(s_x) - mean(s_y)) / stdev(s_x + s_y))
    everyone = s_x + s_y
    statistic = sum(s_x) - sum(s_y)
    larger = total = 0
    for chosen in combinations(range(8), 4):
        inside = sum(everyone[i] for i in chosen)
        larger += inside - (sum(everyone) - inside) >= statistic - 1e-12
        total += 1
    assert p == pytest.approx(larger / total)
    assert total == math.comb(8, 4)


def test_swapping_the_targets_or_the_attributes_turns_the_sign():
    effect, p = weat(X, Y, A, B)
    assert weat(Y, X, A, B)[0] == pytest.approx(-effect)
    assert weat(X, Y, B, A)[0] == pytest.approx(-effect)
    # one-sided: both p cover everything, the observed halves twice
    assert p + weat(Y, X, A, B)[1] >= 1


def test_length_and_rotation_of_vectors_do_not_matter():
    turn, _ = np.linalg.qr(RNG.normal(size=(5, 5)))
    scaled = [v * RNG.uniform(1, 9, size=(len(v), 1)) @ turn for v in (X, Y, A, B)]
    assert weat(*scaled) == pytest.approx(weat(X, Y, A, B))


def test_a_planted_association_is_found_and_drawn_halves_agree():
    x, y = X + A.mean(0) * 5, Y + B.mean(0) * 5
    effect, p = weat(x, y, A, B)
    assert effect > 1.2 and p == pytest.approx(1 / 70)
    drawn = weat(X, Y, A, B, n_permutations=60)[1]
    assert drawn == pytest.approx(weat(X, Y, A, B)[1], abs=0.2)
    many = weat(*(np.tile(v, (3, 1)) for v in (x, y)), A, B, n_permutations=2000)
    assert 1 / 2001 <= many[1] < 0.01


def test_random_vectors_give_small_p_as_rarely_as_they_should():
    p = [weat(*RNG.normal(size=(4, 4, 8)))[1] for _ in range(300)]
    share = np.mean(np.array(p) <= 0.1)
    assert share == pytest.approx(0.1, abs=3 * math.sqrt(0.1 * 0.9 / 300))


def test_the_lists_have_the_papers_sizes():
    assert {k: len(v) for k, v in FLOWERS_INSECTS.items()} == dict.fromkeys("XYAB", 25)
    assert {k: len(v) for k, v in NAMES_CAREER.items()} == dict.fromkeys("XYAB", 8)
    for lists in (FLOWERS_INSECTS, NAMES_CAREER):
        every = [word for words in lists.values() for word in words]
        assert len(set(every)) == len(every)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: weat(X, Y, A, B[:, :4]), "of one size, have 5, 5 and 4"),
        (lambda: associations(X, A, B * 0), "b should be .* none of them 0"),
        (lambda: associations(X[0], A, B), "w should be"),
        (lambda: weat(X, Y, A, A), "differ in their association"),
        (lambda: weat(X, Y, A, B, n_permutations=0), "n_permutations should be 1"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
