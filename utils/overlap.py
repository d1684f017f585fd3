"""How much of one text stands in another: ROUGE, exact match and F1. No torch."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Overlap(NamedTuple):
    """Shares from 0 to 1; f1 is the harmonic mean of the other two."""

    precision: float
    recall: float
    f1: float


def _overlap(n_shared: int, n_found: int, n_wanted: int) -> Overlap:
    precision = n_shared / n_found if n_found else 0.0
    recall = n_shared / n_wanted if n_wanted else 0.0
    both = precision + recall
    return Overlap(precision, recall, 2 * precision * recall / both if both else 0.0)


def rouge(hypothesis: str, reference: str) -> dict[str, Overlap]:
    """ROUGE-1, -2 and -L of a text against one reference.

    Lin, 2004, https://aclanthology.org/W04-1013. Words are runs of a to z and 0
    to 9 after lower-casing, all else parts them; no stemming. Equal to the
    package rouge-score with use_stemmer=False, which takes the reference first.

    Args:
        hypothesis: what the model wrote.
        reference: what a person wrote.

    Returns:
        "rouge1", "rouge2" (shared n-grams) and "rougeL" (longest common
        subsequence), each with precision, recall and F1.

    Raises:
        ValueError: if one is not a string.

    >>> rouge("the cat sat", "the black cat sat")["rougeL"].recall
    0.75
    """
    for name, text in (("hypothesis", hypothesis), ("reference", reference)):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise ValueError(f"{name} should be a string, is a {kind}: join its words")
    found, wanted = (
        re.findall("[a-z0-9]+", text.lower()) for text in (hypothesis, reference)
    )
    scores = {}
    for n in (1, 2):
        have, want = (
            Counter(zip(*(words[i:] for i in range(n)), strict=False))
            for words in (found, wanted)
        )
        shared = sum((have & want).values())
        scores[f"rouge{n}"] = _overlap(shared, sum(have.values()), sum(want.values()))
    n_common = longest_common(found, wanted)
    scores["rougeL"] = _overlap(n_common, len(found), len(wanted))
    return scores


def longest_common(a: Sequence, b: Sequence) -> int:
    """The length of the longest sequence found in both in order, gaps allowed.

    >>> longest_common("the cat sat".split(), "the black cat sat".split())
    3
    """
    row = [0] * (len(b) + 1)  # row[j]: of what was read of a and b[:j]
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, start=1):
            above = row[j]
            row[j] = diagonal + 1 if x == y else max(above, row[j - 1])
            diagonal = above
    return row[-1]


def normalise_answer(text: str) -> str:
    """Lower case, without punctuation and articles, one space between words.

    The rule of SQuAD, Rajpurkar et al., 2016, section 6.1,
    https://arxiv.org/abs/1606.05250. Punctuation is ASCII's and leaves no space;
    then a, an and the go where they stand alone.

    >>> normalise_answer("The  U.S. Senate!")
    'us senate'
    """
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(answer: str, gold: str | Sequence[str]) -> float:
    """1 if the answer is, after `normalise_answer`, one of the gold ones, else 0.

    Args:
        answer: what the model wrote.
        gold: a right answer, or several, any of which will do.

    Raises:
        ValueError: if there is no gold answer.

    >>> exact_match("the Seine.", ["Seine", "River Seine"])
    1.0
    """
    normal = normalise_answer(answer)
    return float(any(normal == normalise_answer(g) for g in _golds(gold)))


def answer_f1(answer: str, gold: str | Sequence[str]) -> float:
    """F1 of the answer's words against the gold answer that fits best.

    Words are counted after `normalise_answer`. If one side has none, the score is
    1 where both have none, else 0 (SQuAD 2.0, https://arxiv.org/abs/1806.03822).

    Args:
        answer, gold: as in `exact_match`.

    Raises:
        ValueError: if there is no gold answer.

    >>> answer_f1("It is the river Seine", "The Seine")
    0.4
    """
    found = normalise_answer(answer).split()
    best = 0.0
    for one in _golds(gold):
        wanted = normalise_answer(one).split()
        if not found or not wanted:
            best = max(best, float(found == wanted))
            continue
        shared = sum((Counter(found) & Counter(wanted)).values())
        best = max(best, _overlap(shared, len(found), len(wanted)).f1)
    return best


def _golds(gold: str | Sequence[str]) -> list[str]:
    golds = [gold] if isinstance(gold, str) else list(gold)
    if not golds or not all(isinstance(g, str) for g in golds):
        raise ValueError(f"gold should be a string or some, is {gold!r}: give one")
    return golds
