"""Numbers that say how good a model is: perplexity, BLEU, alignment error, pass@k."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence, Set

import numpy as np
from torch import Tensor

from utils.arrays import number_array
from utils.shapes import check_shapes

Link = tuple[int, int]


def perplexity(log_probs: object) -> float:
    """How many equally probable tokens a model hesitates between, on average.

    exp of the mean surprise (Jelinek et al., 1977,
    https://doi.org/10.1121/1.2016299). Only comparable between models that cut
    the text into the same tokens.

    Args:
        log_probs: (n,) log-probability of each token that came, in nats.

    Raises:
        ValueError: if there is none, or one is above 0 or NaN.

    >>> perplexity([math.log(1 / 2), math.log(1 / 8)])
    4.0
    """
    return math.exp(-_log_probs(log_probs).mean())


def bits_per_byte(log_probs: object, text: str) -> float:
    """The surprise of a whole text in bits, for each byte of its UTF-8.

    Comparable between any two models that read the same text, as in Gao et al.,
    2020, https://arxiv.org/abs/2101.00027

    Args:
        log_probs: (n,) log-probability of each token of `text`, in nats.
        text: what the tokens spell, all of it and nothing else.

    Raises:
        ValueError: if the text is empty, there is no token, or a log-probability
            is above 0 or NaN.

    >>> bits_per_byte([math.log(1 / 4), math.log(1 / 4)], "to be")
    0.8
    """
    if not text:
        raise ValueError("text should have a byte or more, is empty: give the text")
    n_bits = -float(_log_probs(log_probs).sum()) / math.log(2)
    return n_bits / len(text.encode())


def _log_probs(log_probs: object) -> np.ndarray:
    array = number_array("log_probs", log_probs, 1)
    if array.max() > 0:
        raise ValueError(
            "log_probs should be at most 0 (nats), the largest is "
            f"{array.max():g}: take the log of the probabilities"
        )
    return array


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k answers hold a right one, when c of n answers were right.

    The mean over all choices of k of the n: unbiased, unlike 1 - (1 - c / n)^k.
    Eq. 1 of Chen et al., 2021, https://arxiv.org/abs/2107.03374

    Raises:
        ValueError: unless 0 <= c <= n and 1 <= k <= n.

    >>> pass_at_k(n=4, c=1, k=2)
    0.5
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(
            f"c should be from 0 to n and k from 1 to n, got n={n}, c={c}, k={k}: "
            "draw more answers, or ask for a smaller k"
        )
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def bleu(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> float:
    """Corpus BLEU in percent: n-gram precision up to 4, times a brevity penalty.

    Papineni et al., 2002, https://aclanthology.org/P02-1040. One reference a
    sentence; a precision of 0 is smoothed as in sacrebleu's default ("exp"),
    to which the result is equal on tokenised input.

    Args:
        hypotheses: the model's translations, each a list of tokens.
        references: the right ones, in the same order. Swapping the two gives
            another number: precision counts n-grams of the hypotheses.

    Returns:
        BLEU from 0 to 100.

    Raises:
        ValueError: if the lists are empty, of different length, or hold strings
            instead of lists of tokens.

    >>> round(bleu([["the", "cat", "sat", "down"]], [["the", "cat", "sat", "down"]]))
    100
    """
    _check_sentences(hypotheses, references)
    correct, total = [0] * 4, [0] * 4
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        for n in range(1, 5):
            have, want = _ngrams(hypothesis, n), _ngrams(reference, n)
            correct[n - 1] += (have & want).total()  # clipped: at most as often
            total[n - 1] += have.total()
    if not correct[0] or not total[3]:
        return 0.0
    log_precision, smooth = 0.0, 1.0
    for c, t in zip(correct, total, strict=True):
        if c == 0:
            smooth *= 2
        log_precision += math.log(c / t if c else 1 / (smooth * t)) / 4
    n_hypothesis = sum(map(len, hypotheses))
    n_reference = sum(map(len, references))
    log_brevity = min(0.0, 1 - n_reference / n_hypothesis)
    return 100 * math.exp(log_brevity + log_precision)


def _ngrams(tokens: Sequence[str], n: int) -> Counter:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _check_sentences(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> None:
    for name, sentences in (("hypotheses", hypotheses), ("references", references)):
        if isinstance(sentences, str) or any(isinstance(s, str) for s in sentences):
            raise ValueError(
                f"{name} should be a list of lists of tokens but holds strings: "
                "split each sentence first"
            )
    if not hypotheses or len(hypotheses) != len(references):
        raise ValueError(
            "hypotheses and references should be non-empty and of one length, got "
            f"{len(hypotheses)} and {len(references)}"
        )


def attention_links(weights: Tensor, n_target: int, n_source: int) -> set[Link]:
    """Read hard links off soft attention: for each target word, its top source.

    Args:
        weights: (T, S) attention, one row a target position.
        n_target, n_source: how many rows and columns are words; what follows
            (<eos>, padding) is left out.

    Returns:
        Links (source position, target position).

    Raises:
        ValueError: if there are more words than rows or columns.
    """
    sizes = check_shapes(weights=(weights, "T S"))
    if not (1 <= n_target <= sizes["T"] and 1 <= n_source <= sizes["S"]):
        raise ValueError(
            f"n_target and n_source should be from 1 to {sizes['T']} and "
            f"{sizes['S']} for weights of shape {tuple(weights.shape)}, got "
            f"{n_target} and {n_source}"
        )
    best = weights[:n_target, :n_source].argmax(dim=-1).tolist()
    return {(i, j) for j, i in enumerate(best)}


def aer(
    predicted: Iterable[Set[Link]],
    sure: Iterable[Set[Link]],
    possible: Iterable[Set[Link]],
) -> float:
    """Alignment error rate over a corpus: 0 is perfect, 1 shares nothing.

    AER = 1 - (|A & S| + |A & P|) / (|A| + |S|), Och & Ney, 2003,
    https://aclanthology.org/J03-1002

    Args:
        predicted: for each sentence pair the links A (source, target).
        sure: the gold links S that should be there.
        possible: the gold links P that may be there; contains `sure`.

    Raises:
        ValueError: if the lists differ in length, no link is predicted or sure,
            or a sure link is not possible.

    >>> aer([{(0, 0), (1, 2)}], [{(0, 0)}], [{(0, 0), (1, 1)}])
    0.33333333333333337
    """
    predicted, sure, possible = list(predicted), list(sure), list(possible)
    if not len(predicted) == len(sure) == len(possible):
        raise ValueError(
            "predicted, sure and possible should be of one length, got "
            f"{len(predicted)}, {len(sure)} and {len(possible)}"
        )
    hits = n_links = 0
    for a, s, p in zip(predicted, sure, possible, strict=True):
        if not set(s) <= set(p):
            raise ValueError(
                f"sure links should be possible too, {set(s) - set(p)} are not"
            )
        hits += len(a & s) + len(a & p)
        n_links += len(a) + len(s)
    if not n_links:
        raise ValueError("predicted and sure should hold at least one link, got none")
    return 1 - hits / n_links
