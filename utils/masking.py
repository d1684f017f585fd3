"""What BERT reads while it is pre-trained: packed pairs with hidden tokens.

Section 3.1 and appendix A of Devlin et al., 2018, https://arxiv.org/abs/1810.04805
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from utils.corpora import pad
from utils.counts import check_count
from utils.shapes import check_shapes
from utils.wordpiece import WordPiece

IGNORE = -100  # a label that asks for nothing; cross_entropy leaves it out
Ids = Sequence[int]


class Packed(NamedTuple):
    """Texts as BERT reads them: [CLS] A [SEP], or [CLS] A [SEP] B [SEP]."""

    ids: Tensor  # (B, T) int64
    mask: Tensor  # (B, T) bool, True = a real token
    segments: Tensor  # (B, T) int64, 1 for B and the [SEP] after it

    def to(self, device: torch.device | str) -> "Packed":
        """The same on another device."""
        return Packed(*(part.to(device) for part in self))


def pack(
    tokenizer: WordPiece,
    firsts: Sequence[Ids],
    seconds: Sequence[Ids | None] | None = None,
) -> Packed:
    """Join texts, or pairs of texts, with [CLS] and [SEP], and pad them.

    Args:
        tokenizer: the one that encoded them, with [PAD], [CLS] and [SEP].
        firsts: n texts, each a list of ids.
        seconds: n texts, None for one that has none; None: none has.

    Raises:
        ValueError: if there is no text, or seconds are not as many.

    >>> tokenizer = WordPiece("[PAD] [UNK] [CLS] [SEP] hi you".split())
    >>> pack(tokenizer, [[4], [4]], [[5], None]).ids.tolist()
    [[2, 4, 3, 5, 3], [2, 4, 3, 0, 0]]
    """
    seconds = [None] * len(firsts) if seconds is None else seconds
    if not len(firsts) or len(firsts) != len(seconds):
        raise ValueError(
            "firsts should be one text or more and seconds as many, got "
            f"{len(firsts)} and {len(seconds)}: use None where there is no second"
        )
    cls, sep, filler = (tokenizer.specials[t] for t in ("[CLS]", "[SEP]", "[PAD]"))
    rows, segments = [], []
    for first, second in zip(firsts, seconds, strict=True):
        a = [cls, *first, sep]
        b = [] if second is None else [*second, sep]
        rows.append(a + b)
        segments.append([0] * len(a) + [1] * len(b))
    ids, mask = pad(rows, filler)
    return Packed(ids, mask, pad(segments, 0)[0])


def mask_tokens(
    ids: Tensor,
    tokenizer: WordPiece,
    generator: torch.Generator | None = None,
    share: float = 0.15,
) -> tuple[Tensor, Tensor]:
    """Choose tokens for BERT to guess, and hide most of them.

    In each row `share` of the tokens that are not special is chosen, at least one
    if there is any. Of the chosen, 80 % become [MASK], 10 % another token drawn at
    random, 10 % stay as they are. Special tokens and padding are never chosen.

    Args:
        ids: (B, T) int64.
        tokenizer: the one that encoded them, with [MASK].
        generator: where the random numbers come from.
        share: 0.15 in the paper.

    Returns:
        ids: (B, T), with tokens hidden.
        labels: (B, T), the token that stood at a chosen place, elsewhere IGNORE.

    Raises:
        ValueError: if ids are not (B, T), share is not from 0 to 1, or [MASK] is
            absent.
    """
    check_shapes(ids=(ids, "B T"))
    if not 0 < share <= 1:
        raise ValueError(f"share should be above 0 and at most 1, got {share}")
    if "[MASK]" not in tokenizer.specials:
        raise ValueError("[MASK] should be among the tokens, is not: add it")
    special = torch.tensor(sorted(tokenizer.specials.values()), device=ids.device)
    ordinary = torch.ones(len(tokenizer), dtype=torch.bool, device=ids.device)
    ordinary[special] = False
    maskable = ordinary[ids]  # (B, T)
    n_chosen = (maskable.sum(1, keepdim=True) * share).round().clamp(min=1)  # (B, 1)
    draw = torch.rand(ids.shape, generator=generator).to(ids.device)
    rank = draw.masked_fill(~maskable, 2.0).argsort(1).argsort(1)  # 0 = the lowest
    chosen = (rank < n_chosen) & maskable
    how = torch.rand(ids.shape, generator=generator).to(ids.device)
    words = ordinary.nonzero()[:, 0]
    other = torch.randint(len(words), ids.shape, generator=generator).to(ids.device)
    hidden = ids.where(~chosen | (how >= 0.9), words[other])
    hidden = hidden.masked_fill(chosen & (how < 0.8), tokenizer.specials["[MASK]"])
    return hidden, ids.masked_fill(~chosen, IGNORE)


class Pretraining(NamedTuple):
    """A batch with both of BERT's questions."""

    text: Packed
    labels: Tensor  # (B, T) int64, IGNORE where nothing is asked
    is_next: Tensor  # (B,) int64, 1 if B follows A in the same document

    def to(self, device: torch.device | str) -> "Pretraining":
        """The same on another device."""
        text = self.text.to(device)
        return Pretraining(text, self.labels.to(device), self.is_next.to(device))


def sentence_pairs(
    documents: Sequence[Sequence[Ids]],
    n_pairs: int,
    rng: random.Random,
    most: int = 3,
) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """Cut a document in two; half the time another document goes on from there.

    B begins at the same sentence, wherever it comes from, as far as its document has
    one: how far a story has come must not give the answer away.

    Args:
        documents: lists of sentences, each a list of ids; two of them or more,
            each of two sentences or more.
        n_pairs: how many pairs.
        rng: where the random numbers come from.
        most: sentences of A before the cut, and of B after it, at most.

    Returns:
        firsts, seconds: n_pairs lists of ids each.
        is_next: 1 where the second follows the first.

    Raises:
        ValueError: if a document is too short, or there are too few.
    """
    check_count("n_pairs", n_pairs)
    if len(documents) < 2 or min(map(len, documents)) < 2:
        raise ValueError(
            "documents should be two or more, each of two sentences or more, got "
            f"{len(documents)} with {min(map(len, documents), default=0)} or more"
        )
    firsts, seconds, is_next = [], [], []
    for _ in range(n_pairs):
        here, other = rng.sample(range(len(documents)), 2)
        is_next.append(rng.randrange(2))
        first, second = documents[here], documents[here if is_next[-1] else other]
        cut = rng.randrange(1, len(first))
        start = min(cut, len(second) - 1)
        firsts.append(sum(map(list, first[max(0, cut - most) : cut]), []))
        seconds.append(sum(map(list, second[start : start + most]), []))
    return firsts, seconds, is_next


def pretraining_batches(
    documents: Sequence[Sequence[Ids]],
    tokenizer: WordPiece,
    batch_size: int = 32,
    seed: int = 0,
) -> Iterator[Pretraining]:
    """Yield batches for ever; tokens are chosen anew each time.

    Raises:
        ValueError: as `sentence_pairs` and `mask_tokens` say.
    """
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    while True:
        firsts, seconds, is_next = sentence_pairs(documents, batch_size, rng)
        text = pack(tokenizer, firsts, seconds)
        ids, labels = mask_tokens(text.ids, tokenizer, generator)
        yield Pretraining(text._replace(ids=ids), labels, torch.tensor(is_next))
