import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metrics import aer, attention_links, bleu

SENTENCE = st.lists(st.sampled_from("a b c d .".split()), max_size=12)


def oracle(hypotheses, references):
    return sacrebleu.corpus_bleu(
        [" ".join(h) for h in hypotheses],
        [[" ".join(r) for r in references]],
        tokenize="none",
        force=True,
    ).score


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(SENTENCE, SENTENCE.filter(bool)), min_size=1, max_size=6))
def test_bleu_equals_sacrebleu(pairs):
    hypotheses, references = zip(*pairs, strict=True)
    assert bleu(hypotheses, references) == pytest.approx(
        oracle(hypotheses, references), abs=1e-6
    )


def test_bleu_by_hand():
    # Precisions 3/4, 2/3, 1/2, then 0 of 1 smoothed to 1/2; same length.
    got = bleu(["a b c d".split()], ["a b c e".split()])
    assert got == pytest.approx(100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)


def test_bleu_is_clipped_and_not_symmetric():
    long, short = "the the the the the the".split(), "the cat sat on it".split()
    assert bleu([long], [short]) < 20
    a, b = "a b c d e".split(), "a b c d".split()
    assert bleu([a], [b]) != pytest.approx(bleu([b], [a]))


def test_bleu_edges():
    assert bleu([[]], [["a"]]) == 0
    assert bleu([["x"] * 5], [["y"] * 5]) == 0
    assert bleu([list("abcd")] * 3, [list("abcd")] * 3) == pytest.approx(100)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "non-empty and of one length, got 0 and 0"),
        (([["a"]], []), "got 1 and 0"),
        ((["a b"], [["a"]]), "hypotheses should be a list of lists .* split"),
        (([["a"]], "a b"), "references should be"),
    ],
)
def test_bleu_messages(arguments, message):
    with pytest.raises(ValueError, match=message):
        bleu(*arguments)


def test_aer_by_hand():
    predicted, sure, possible = {(0, 0), (1, 1)}, {(0, 0)}, {(0, 0), (1, 1), (2, 2)}
    assert aer([predicted], [sure], [possible]) == pytest.approx(1 - 3 / 3)
    assert aer([{(5, 5)}], [sure], [possible]) == 1
    # 1 - (1 + 1) / (2 + 2), and over a corpus the counts add up.
    assert aer([{(0, 0), (9, 9)}], [{(0, 0), (1, 1)}], [possible]) == 0.5
    both = aer([predicted, {(5, 5)}], [sure, sure], [possible, possible])
    assert both == pytest.approx(1 - 3 / 5)


@given(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1))
def test_aer_of_gold_is_0_and_of_equal_sets_is_1_minus_f1(links):
    assert aer([links], [links], [links]) == 0
    other = {(i, (j + 1) % 5) for i, j in links}
    f1 = 2 * len(links & other) / (len(links) + len(other))
    assert aer([other], [links], [links]) == pytest.approx(1 - f1)


def test_links_leave_out_eos_and_padding():
    weights = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.0, 0.0, 1.0]])
    assert attention_links(weights, n_target=2, n_source=2) == {(1, 0), (0, 1)}
    assert attention_links(weights, 1, 1) == {(0, 0)}


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: aer([set()], [], []), "of one length, got 1, 0 and 0"),
        (lambda: aer([set()], [set()], [set()]), "at least one link"),
        (lambda: aer([set()], [{(0, 0)}], [set()]), "should be possible too"),
        (lambda: attention_links(torch.ones(2, 2), 3, 1), "from 1 to 2 and 2"),
        (lambda: attention_links(torch.ones(2), 1, 1), "needs 2 axes"),
    ],
)
def test_alignment_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
