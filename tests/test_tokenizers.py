import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.tokenizers import SPECIALS, Vocab

WORDS = st.text(min_size=1).filter(lambda w: w not in SPECIALS)


@given(st.lists(st.lists(WORDS), min_size=1))
def test_known_tokens_survive_the_way_there_and_back(sentences):
    vocab = Vocab.from_sentences(sentences)
    for sentence in sentences:
        assert vocab.decode(vocab.encode(sentence)) == sentence


def test_most_frequent_first_and_ties_by_alphabet():
    vocab = Vocab.from_sentences([["b", "c", "a"], ["c"]])
    assert vocab.tokens == [*SPECIALS, "c", "a", "b"]


def test_rare_tokens_become_unknown():
    vocab = Vocab.from_sentences([["a", "a", "b"]], min_count=2)
    assert vocab.encode(["a", "b", "<pad>"]) == [4, Vocab.unk, Vocab.pad]
    assert "b" not in vocab
    assert len(vocab) == 5


def test_decode_stops_at_eos():
    assert Vocab(["x", "y"]).decode([1, 4, 0, 5, 2, 4]) == ["x", "y"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Vocab("the cat"), "split it first"),
        (lambda: Vocab(["a", "a"]), "'a' comes twice"),
        (lambda: Vocab(["<pad>"]), "'<pad>' comes twice"),
        (lambda: Vocab([""]), "non-empty string"),
        (lambda: Vocab([3]), "got 3"),
        (lambda: Vocab(["a"]).encode("a"), "split it first"),
        (lambda: Vocab(["a"]).decode([5]), "from 0 to 4, got 5"),
        (lambda: Vocab(["a"]).decode([-1]), "got -1"),
        (lambda: Vocab.from_sentences(["a b"]), "split it first"),
        (lambda: Vocab.from_sentences([["a"]], min_count=0), "min_count"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
