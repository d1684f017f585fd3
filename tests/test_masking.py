"""Packing and masking: the rule 80-10-10, special tokens, pairs half and half."""

import random

import pytest
import torch

from utils.masking import (
    IGNORE,
    mask_tokens,
    pack,
    pretraining_batches,
    sentence_pairs,
)
from utils.wordpiece import SPECIALS, WordPiece

TOKENIZER = WordPiece([*SPECIALS, *(f"w{i}" for i in range(95))])
MASK = TOKENIZER.specials["[MASK]"]


def ordinary_rows(n_rows: int, n: int) -> torch.Tensor:
    return torch.randint(
        5, 100, (n_rows, n), generator=torch.Generator().manual_seed(1)
    )


def test_pack_by_hand():
    text = pack(TOKENIZER, [[7, 8], [9]], [[10], None])
    assert text.ids.tolist() == [[2, 7, 8, 3, 10, 3], [2, 9, 3, 0, 0, 0]]
    assert text.segments.tolist() == [[0, 0, 0, 0, 1, 1], [0] * 6]
    assert text.mask.tolist() == [[True] * 6, [True] * 3 + [False] * 3]


def test_pack_an_empty_second_text_keeps_its_separator():
    assert pack(TOKENIZER, [[7]], [[]]).ids.tolist() == [[2, 7, 3, 3]]


def test_shares_of_the_rule():
    ids = ordinary_rows(400, 100)
    hidden, labels = mask_tokens(ids, TOKENIZER, torch.Generator().manual_seed(0))
    chosen = labels != IGNORE
    assert (chosen.sum(1) == 15).all()
    share = lambda what: what[chosen].float().mean().item()  # noqa: E731
    assert share(hidden == MASK) == pytest.approx(0.8, abs=0.02)
    other = (hidden != ids) & (hidden != MASK)
    assert share(other) == pytest.approx(0.1, abs=0.015)
    assert share(hidden == ids) == pytest.approx(0.1, abs=0.015)
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(hidden[~chosen], ids[~chosen])
    # every place is chosen as often as any other, and every token may come instead
    assert chosen.float().mean(0).std() < 0.03
    assert set(hidden[other & chosen].tolist()) <= set(range(5, 100))
    assert len(set(hidden[other & chosen].tolist())) > 90


def test_special_tokens_and_padding_are_never_chosen():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(100, (500, 30), generator=generator)
    ids[:, 20:] = 0
    for _ in range(5):
        hidden, labels = mask_tokens(ids, TOKENIZER, generator, share=0.9)
        assert (labels[ids < 5] == IGNORE).all()
        assert torch.equal(hidden[ids < 5], ids[ids < 5])


def test_at_least_one_is_chosen_and_none_where_none_may():
    ids = torch.tensor([[2, 7, 3, 0], [2, 3, 0, 0]])
    hidden, labels = mask_tokens(ids, TOKENIZER, torch.Generator().manual_seed(3))
    assert (labels != IGNORE).sum(1).tolist() == [1, 0]
    assert labels[0, 1] == 7 and torch.equal(hidden[1], ids[1])


def test_the_argument_stays_and_the_generator_decides():
    ids = ordinary_rows(4, 20)
    before = ids.clone()
    a, b, c = (
        mask_tokens(ids, TOKENIZER, torch.Generator().manual_seed(s))[0]
        for s in (0, 0, 1)
    )
    assert torch.equal(ids, before)
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_pairs_are_half_and_half_and_go_on_where_they_should():
    documents = [[[100 * d + s] for s in range(4 + d % 5)] for d in range(40)]
    firsts, seconds, is_next = sentence_pairs(documents, 2000, random.Random(0))
    assert 0.46 < sum(is_next) / 2000 < 0.54
    for first, second, follows in zip(firsts, seconds, is_next, strict=True):
        assert len(first) <= 3 and len(second) <= 3
        assert (first[0] // 100 == second[0] // 100) == follows
        if follows:
            assert second[0] == first[-1] + 1
        else:  # as far into the other document
            n_other = len(documents[second[0] // 100])
            assert second[0] % 100 == min(first[-1] % 100 + 1, n_other - 1)


def test_batches_come_again_and_hide_nothing_else():
    documents = [[[5 + d, 40 + s] for s in range(5)] for d in range(30)]
    one, two = (next(pretraining_batches(documents, TOKENIZER, 8, 3)) for _ in "ab")
    assert torch.equal(one.text.ids, two.text.ids)
    assert torch.equal(one.labels, two.labels) and len(one.is_next) == 8
    clean = one.text.ids.where(one.labels == IGNORE, one.labels)
    assert (clean[:, 0] == 2).all() and not (clean == MASK).any()
    assert ((clean == 3).sum(1) == 2).all()
    assert torch.equal(clean == 0, ~one.text.mask)


def test_messages():
    with pytest.raises(ValueError, match="one text or more and seconds as many"):
        pack(TOKENIZER, [[7]], [[8], [9]])
    with pytest.raises(ValueError, match="share should be above 0"):
        mask_tokens(ordinary_rows(1, 4), TOKENIZER, share=0.0)
    with pytest.raises(ValueError, match=r"\[MASK\] should be among the tokens"):
        mask_tokens(ordinary_rows(1, 4), WordPiece(["[UNK]", "a"]))
    with pytest.raises(ValueError, match=r"ids should be \(B, T\)"):
        mask_tokens(torch.arange(4), TOKENIZER)
    with pytest.raises(ValueError, match="each of two sentences or more"):
        sentence_pairs([[[5]], [[6], [7]]], 2, random.Random(0))
