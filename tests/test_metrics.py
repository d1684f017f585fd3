import math
from itertools import combinations, product

import pytest
import sacrebleu
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.metrics import (
    aer,
    attention_links,
    bits_per_byte,
    bleu,
    pass_at_k,
    perplexity,
)

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


# --- perplexity, bits per byte, pass@k -----------------------------------------

LOG_PROBS = st.lists(st.floats(-20, 0), min_size=1, max_size=30)


@given(LOG_PROBS)
def test_perplexity_is_torchs_cross_entropy(log_probs):
    # Two classes, the right one with this probability.
    p = torch.tensor(log_probs, dtype=torch.float64)
    both = torch.stack([p, torch.log1p(-p.exp()).clamp(min=-1e9)], dim=1)
    loss = torch.nn.functional.nll_loss(both, torch.zeros(len(p), dtype=torch.long))
    assert perplexity(log_probs) == pytest.approx(loss.exp().item(), rel=1e-9)


def test_perplexity_of_a_uniform_model_is_the_number_of_tokens():
    assert perplexity([math.log(1 / 50)] * 7) == pytest.approx(50)
    assert perplexity([0.0]) == 1
    # not the mean of the perplexities (5), not the inverse mean probability (3.2)
    assert perplexity([math.log(0.5), math.log(0.125)]) == pytest.approx(4)
    assert perplexity(torch.tensor([0.5, 0.125]).log()) == pytest.approx(4)


@given(LOG_PROBS, st.text(min_size=1, max_size=20))
def test_bits_per_byte_does_not_care_how_the_text_is_cut(log_probs, text):
    expected = bits_per_byte([sum(log_probs)], text)  # one token for it all
    assert bits_per_byte(log_probs, text) == pytest.approx(expected)
    n_bytes = len(text.encode("utf-8"))
    bits = sum(-x / math.log(2) for x in log_probs)
    assert bits_per_byte(log_probs, text) == pytest.approx(bits / n_bytes)


def test_bits_per_byte_counts_bytes_not_characters():
    assert bits_per_byte([math.log(1 / 256)] * 2, "é") == pytest.approx(8)
    assert bits_per_byte([math.log(1 / 4)], "a") == pytest.approx(2)


@pytest.mark.parametrize("n", range(1, 7))
def test_pass_at_k_equals_trying_every_choice(n):
    for c, k in product(range(n + 1), range(1, n + 1)):
        right = [True] * c + [False] * (n - c)
        choices = list(combinations(right, k))
        share = sum(map(any, choices)) / len(choices)
        assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_pass_at_k_is_unbiased_and_the_short_formula_is_not(p):
    n, k = 10, 5
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    true = 1 - (1 - p) ** k
    mean = sum(w * pass_at_k(n, c, k) for c, w in enumerate(chance))
    assert mean == pytest.approx(true)
    short = sum(w * (1 - (1 - c / n) ** k) for c, w in enumerate(chance))
    assert short < true


def test_pass_at_k_of_many_answers_does_not_overflow():
    assert pass_at_k(100_000, 1, 100) == pytest.approx(0.001)
    assert pass_at_k(5, 3, 3) == 1  # only two are wrong


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: perplexity([]), "log_probs should have 1 axes and hold a number"),
        (lambda: perplexity([0.5]), "at most 0 .*largest is 0.5: take the log"),
        (lambda: perplexity([-math.inf]), "should be finite"),
        (lambda: bits_per_byte([-1.0], ""), "text should have a byte or more"),
        (lambda: pass_at_k(3, 4, 1), "c should be from 0 to n .*n=3, c=4, k=1"),
        (lambda: pass_at_k(3, 1, 4), "ask for a smaller k"),
        (lambda: pass_at_k(3, 1, 0), "k from 1 to n"),
    ],
)
def test_messages_of_the_new_scores(action, message):
    with pytest.raises(ValueError, match=message):
        action()
