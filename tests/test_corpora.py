import itertools

import pytest
import torch

from utils.corpora import (
    encode_batch,
    pad,
    read_pairs,
    split_pairs,
    translation_batches,
    words,
)
from utils.grammar import Pair, translation_pairs
from utils.tokenizers import Vocab

PAIRS = translation_pairs(300, max_len=12)
SOURCE = Vocab.from_sentences(p.source for p in PAIRS)
TARGET = Vocab.from_sentences(p.target for p in PAIRS)


def test_split_has_no_overlap_on_either_side():
    twins = [Pair((s,), (t,)) for s, t in ["ax", "by", "cx", "dz", "ew", "dv"]]
    train, dev, test = split_pairs(twins, n_dev=2, n_test=2)
    assert (dev, test) == (twins[:2], [twins[3]])  # c is out: its x stands in dev
    assert train == [twins[4]]  # the second d is out: its source stands in test


def test_split_keeps_all_of_the_grammar_but_twins():
    train, dev, test = split_pairs(PAIRS, 50, 50)
    sides = [
        {s for p in part for s in (p.source, p.target)} for part in (train, dev, test)
    ]
    assert not any(a & b for a, b in itertools.combinations(sides, 2))
    assert len(train) >= 190


@pytest.mark.parametrize("sizes", [(150, 150), (-1, 2), (0, 300)])
def test_split_message(sizes):
    with pytest.raises(ValueError, match="leave some for training"):
        split_pairs(PAIRS, *sizes)


def test_words():
    assert words("L’homme  n'est PAS là ?") == [
        "l'",
        "homme",
        "n'",
        "est",
        "pas",
        "là",
        "?",
    ]


def test_read_pairs_normalises_and_ignores_more_columns(tmp_path):
    path = tmp_path / "fra.txt"
    text = "\ufeffGo.\tVa !\tCC-BY (licence)\n\nAn island.\tUne i\u0302le.\n"
    path.write_text(text, encoding="utf-8")
    assert read_pairs(path) == [
        Pair(("go", "."), ("va", "!")),
        Pair(("an", "island", "."), ("une", "île", ".")),
    ]
    assert len(read_pairs(path, max_len=2)) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\tb\nno tab here\n", "line 2 should be .source<TAB>target."),
        (b"a\tb\nc\t \n", "line 2 .* on both sides"),
        (b"a\tb\nc\t\xff\n", "line 2 should be UTF-8 text"),
        (b"\n", "holds no pair"),
    ],
)
def test_read_pairs_names_the_bad_line(tmp_path, data, message):
    path = tmp_path / "bad.txt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_pairs(path)


def test_read_pairs_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_pairs(tmp_path / "none.txt")


def test_pad():
    ids, mask = pad([[5], [6, 7, 8]])
    assert ids.tolist() == [[5, 0, 0], [6, 7, 8]]
    assert mask.tolist() == [[True, False, False], [True] * 3]
    assert (ids.dtype, mask.dtype) == (torch.int64, torch.bool)


@pytest.mark.parametrize("rows", [[], [[1], []]])
def test_pad_message(rows):
    with pytest.raises(ValueError, match="non-empty"):
        pad(rows)


def test_batch_is_shifted_by_one_and_masks_agree():
    batch = encode_batch(PAIRS[:8], SOURCE, TARGET)
    assert torch.equal(
        batch.target_in[:, 1:],
        batch.target_out[:, :-1].where(
            batch.target_mask[:, 1:], batch.target_in[:, 1:]
        ),
    )
    for row, pair in enumerate(PAIRS[:8]):
        assert TARGET.decode(batch.target_out[row]) == list(pair.target)
        assert SOURCE.decode(batch.source[row]) == list(pair.source)
        assert batch.target_mask[row].sum() == len(pair.target) + 1
        assert batch.source_mask[row].sum() == len(pair.source) + 1


def test_one_pass_gives_each_pair_once_and_seeds_repeat():
    def first(seed, n):
        batches = translation_batches(PAIRS, SOURCE, TARGET, 10, seed)
        return [b.source.tolist() for b in itertools.islice(batches, n)]

    rows = [tuple(SOURCE.decode(r)) for batch in first(0, 30) for r in batch]
    assert sorted(rows) == sorted(p.source for p in PAIRS)
    assert first(0, 40) == first(0, 40)
    assert first(0, 3) != first(1, 3)


@pytest.mark.parametrize("size", [0, 301])
def test_batches_message(size):
    with pytest.raises(ValueError, match="batch_size should be from 1 to .* 300"):
        next(translation_batches(PAIRS, SOURCE, TARGET, size))


def test_padding_on_the_left():
    ids, mask = pad([[5, 6, 7], [8]], 9, left=True)
    assert ids.tolist() == [[5, 6, 7], [9, 9, 8]]
    assert mask.tolist() == [[True, True, True], [False, False, True]]
