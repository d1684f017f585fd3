"""The corpus keeps the promises that the chapters make about it."""

import pytest

from utils.grammar import PEOPLE, PLACES, TRANSITIVE, translation_pairs


@pytest.fixture(scope="module")
def pairs():
    return translation_pairs(50_000)


def test_50_000_distinct_pairs_of_4_to_50_tokens(pairs):
    assert len({p.source for p in pairs}) == 50_000
    lengths = {len(side) for p in pairs for side in (p.source, p.target)}
    assert (min(lengths), max(lengths)) == (4, 50)
    assert set(range(4, 51)) == {len(p.source) for p in pairs}


def test_every_word_is_linked_and_every_link_is_in_range(pairs):
    for pair in pairs[:5000]:
        assert pair.sure <= pair.possible
        assert {i for i, _ in pair.possible} == set(range(len(pair.source)))
        assert {j for _, j in pair.sure} == set(range(len(pair.target)))


def test_links_join_words_that_translate_each_other(pairs):
    """Independent of the rules: read the lexicon and look at content words."""
    french = {row[k]: {row[2 + k]} for row in PEOPLE + PLACES for k in (0, 1)}
    for row in TRANSITIVE:
        for k in (0, 1):
            french.setdefault(row[k].split()[0], set()).add(row[2 + k])
            # The bare form also follows does not / do not.
            french[row[1].split()[0]] = {row[2], row[3]}
    checked = 0
    for pair in pairs[:5000]:
        for i, j in pair.sure:
            if pair.source[i] in french:
                assert pair.target[j] in french[pair.source[i]], pair
                checked += 1
    assert checked > 10_000


def test_adjectives_agree_and_take_their_side():
    pairs = translation_pairs(20_000, max_len=12)
    texts = {" ".join(p.source): " ".join(p.target) for p in pairs}
    blob = "\n".join(texts.values())
    assert "la femme blanche" in blob and "la blanche femme" not in blob
    assert "la petite fille" in blob and "la fille petite" not in blob
    assert "les chats noirs" in blob and "les chats noir " not in blob


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("does not see him", "ne le voit pas"),
        ("do not wait for me", "ne m' attendent pas"),
        ("often hears them", "les entend souvent"),
        ("that sleeps", "qui dort"),
        ("because he", "parce qu' il"),
        ("my friend", "mon amie"),
        ("this bird", "cet oiseau"),
        ("two trees", "deux arbres"),
    ],
)
def test_constructions(pairs, english, french):
    hits = [p for p in pairs if f" {english} " in f" {' '.join(p.source)} "]
    assert hits
    assert all(f" {french} " in f" {' '.join(p.target)} " for p in hits)


def test_object_relative_and_agreement_at_a_distance(pairs):
    far = [
        p
        for p in pairs
        if " that the dog sees sleeps ." in " ".join(p.source)
        or " that the dog sees sleep ." in " ".join(p.source)
    ]
    for pair in far:
        verb = "dort" if pair.source[-2] == "sleeps" else "dorment"
        assert pair.target[-2] == verb
    assert any("that the" in " ".join(p.source) for p in pairs)


def test_no_unelided_vowel_is_left(pairs):
    short = {"le", "la", "ne", "me", "que", "ce", "ma"}
    for pair in pairs[:5000]:
        for word, after in zip(pair.target, pair.target[1:], strict=False):
            assert not (word in short and after[0] in "aeiouâàéèêëîïôûù"), pair


def test_same_seed_same_pairs():
    assert translation_pairs(50, seed=3) == translation_pairs(50, seed=3)
    assert translation_pairs(50, seed=3) != translation_pairs(50, seed=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_pairs": 0}, "n_pairs should be 1 or more, got 0"),
        ({"n_pairs": 5, "min_len": 3}, "4 <= min_len"),
        ({"n_pairs": 5, "max_len": 51}, "max_len <= 50"),
        ({"n_pairs": 10**4, "max_len": 4}, "ask for fewer or widen the range"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(ValueError, match=message):
        translation_pairs(**arguments)
