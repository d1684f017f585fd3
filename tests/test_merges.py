"""Merges: a plain trainer and Rust's give the same; ties and overlaps."""

import json
import random
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from utils.merges import SHORT, apply_merges, learn_merges, merge
from utils.packages import play
from utils.pretokens import pre_tokens


def plain(counts: dict[bytes, int], n_merges: int) -> list[tuple[int, int]]:
    """Count every pair of every word again for each merge."""
    words = {tuple(word): n for word, n in counts.items()}
    merges = []
    for new in range(256, 256 + n_merges):
        totals = Counter()
        for word, n in words.items():
            for i in range(len(word) - 1):
                totals[word[i : i + 2]] += n
        if not totals:
            break
        best = min(totals, key=lambda pair: (-totals[pair], pair))
        merges.append(best)
        again = Counter()
        for word, n in words.items():
            out, i = [], 0
            while i < len(word):
                hit = word[i : i + 2] == best
                out.append(new if hit else word[i])
                i += 1 + hit
            again[tuple(out)] += n
        words = again
    return merges


def rust(counts: dict[bytes, int], n_merges: int) -> list[tuple[int, int]]:
    """The `tokenizers` library, on one CJK character for each byte, in order."""
    texts = ["".join(chr(0x4E00 + b) for b in word) for word in counts]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = [chr(0x4E00 + b) for b in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=256 + n_merges, initial_alphabet=alphabet, show_progress=False
    )
    lines = [" ".join([t] * n) for t, n in zip(texts, counts.values(), strict=True)]
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return [(model["vocab"][a], model["vocab"][b]) for a, b in model["merges"]]


def counts_of(text: str) -> dict[bytes, int]:
    return {w.encode(): n for w, n in Counter(pre_tokens(text)).items()}


@given(st.dictionaries(st.text("abc", min_size=1).map(str.encode), st.integers(1, 9)))
def test_same_merges_as_a_plain_trainer(counts):
    assert learn_merges(counts, 20) == plain(counts, 20)


def test_same_merges_as_rust_on_a_play():
    counts = counts_of(play("hamlet"))
    assert learn_merges(counts, 1500) == rust(counts, 1500)


def test_far_faster_than_the_plain_trainer():
    counts = counts_of(play("hamlet")[:60_000])
    start = time.perf_counter()
    slow = plain(counts, 100)
    middle = time.perf_counter()
    fast = learn_merges(counts, 100)
    end = time.perf_counter()
    assert fast == slow
    # About 30 here, more with more merges; benchmarks/bpe.py measures in full.
    assert middle - start > 8 * (end - middle)


def test_overlapping_pairs():
    a = ord("a")
    assert merge([a] * 3, (a, a), 9) == [9, a]
    assert merge([a] * 4, (a, a), 9) == [9, 9]
    assert merge([a] * 5, (a, a), 9) == [9, 9, a]
    # "aaa" counts (a, a) twice, so it wins over (b, c), which stands once a word.
    assert learn_merges({b"aaa": 2, b"bc": 3}, 1) == [(a, a)]
    assert learn_merges({b"aaaa": 1}, 9) == [(a, a), (256, 256)]
    assert learn_merges({b"aaaaa": 1}, 2) == [(a, a), (256, a)]


def test_ties_go_to_the_smaller_ids():
    a, b, c, d = b"abcd"
    assert learn_merges({b"cd": 1, b"ab": 1}, 1) == [(a, b)]
    assert learn_merges({b"ac": 1, b"ab": 1}, 1) == [(a, b)]
    # A byte comes before a merged token.
    assert learn_merges({b"ab": 3, b"abc": 1, b"dd": 1}, 2) == [(a, b), (d, d)]


def test_rare_pairs_can_be_left_alone():
    counts = {b"ab": 3, b"cd": 2, b"ef": 1}
    assert len(learn_merges(counts, 9)) == 3
    assert len(learn_merges(counts, 9, min_count=2)) == 2
    assert learn_merges({}, 9) == learn_merges({b"a": 5}, 9) == []


def one_at_a_time(ids: list[int], ranks: dict) -> list[int]:
    """Lowest turn first, then leftmost: the definition, slowly."""
    while True:
        places = [
            (ranks[ids[i], ids[i + 1]][0], i)
            for i in range(len(ids) - 1)
            if (ids[i], ids[i + 1]) in ranks
        ]
        if not places:
            return ids
        _, i = min(places)
        ids = [*ids[:i], ranks[ids[i], ids[i + 1]][1], *ids[i + 2 :]]


def test_applied_in_the_order_learned_short_and_long():
    rng = random.Random(0)
    for _ in range(300):
        pairs = list({(rng.randrange(7), rng.randrange(7)) for _ in range(9)})
        rng.shuffle(pairs)
        ranks = {pair: (i, rng.randrange(7)) for i, pair in enumerate(pairs)}
        # Any table, also one that no training gives.
        for n in (0, 1, 2, 9, SHORT, SHORT + 1, 3 * SHORT):
            ids = [rng.randrange(4) for _ in range(n)]
            before = list(ids)
            assert apply_merges(ids, ranks) == one_at_a_time(ids, ranks)
            assert ids == before


@pytest.mark.parametrize("word", [b"a" * 100_000, b"ab" * 50_000])
def test_a_very_long_word_takes_no_quadratic_time(word):
    merges = learn_merges({word: 1}, 12)
    ranks = {pair: (i, 256 + i) for i, pair in enumerate(merges)}
    start = time.perf_counter()
    ids = apply_merges(list(word), ranks)
    assert time.perf_counter() - start < 5
    assert len(ids) < len(word) / 1000
