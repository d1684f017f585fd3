"""A GRU encoder-decoder, with a fixed context or with attention, and search.

The two models differ in one line: the context is the encoder's summary, the
same at every step, or an average of its states, weighted anew at every step.
Attention follows the GRU (Luong et al., 2015, without input feeding), so that
in training the whole target sentence is one call. The module is long because
searching for the best translation needs the model's own states and stands here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from utils.attention import make_score, masked_softmax
from utils.corpora import Batch, encode_batch, pad
from utils.grammar import Pair
from utils.shapes import check_shapes
from utils.tokenizers import Vocab


class Memory(NamedTuple):
    """What the decoder may look at."""

    states: Tensor  # (B, S, d_model)
    mask: Tensor  # (B, S) bool, True = a real token
    summary: Tensor  # (B, d_model)

    def rows(self, index: Tensor) -> "Memory":
        """The memory of the chosen sentences, in that order."""
        return Memory(*(part[index] for part in self))


class Encoder(nn.Module):
    """Read the source in both directions.

    Cho et al., 2014, https://arxiv.org/abs/1406.1078; in both directions as in
    Bahdanau et al., 2014, https://arxiv.org/abs/1409.0473

    Args:
        vocab_size: number of source tokens.
        d_model: size of a state, even; each direction has half of it.
        bidirectional: False reads from left to right only.
    """

    def __init__(
        self, vocab_size: int, d_model: int, bidirectional: bool = True
    ) -> None:
        super().__init__()
        if d_model < 2 or d_model % 2:
            raise ValueError(f"d_model should be even and at least 2, got {d_model}")
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.gru = nn.GRU(
            d_model,
            d_model // 2 if bidirectional else d_model,
            batch_first=True,
            bidirectional=bidirectional,
        )

    def forward(self, source: Tensor, source_mask: Tensor) -> Memory:
        """Encode source (B, S) int64 with source_mask (B, S) bool.

        Raises:
            ValueError: if the shapes differ, the mask is not bool, or a row has
                no real token or a gap between its tokens.
        """
        check_shapes(source=(source, "B S"), source_mask=(source_mask, "B S"))
        _check_padding(source_mask)
        # Packed, so that the backward GRU starts at the last word, not at padding.
        packed = pack_padded_sequence(
            self.embedding(source),
            source_mask.sum(dim=1).cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        states, last = self.gru(packed)
        states, _ = pad_packed_sequence(
            states, batch_first=True, total_length=source.shape[1]
        )  # (B, S, d_model)
        return Memory(states, source_mask, torch.cat(tuple(last), dim=-1))


def _check_padding(mask: Tensor) -> None:
    """Padding is bool, leaves a token in each row and stands on the right."""
    if mask.dtype != torch.bool:
        raise ValueError(
            f"source_mask should be bool (True = a real token), got {mask.dtype}: "
            "write source_mask.bool()"
        )
    if not mask[:, 0].all() or (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError(
            "source_mask should be True for the first tokens of each row, at least "
            "one, and False after them: pad on the right, drop empty sentences"
        )


class Decoder(nn.Module):
    """Write the target word by word, given the words before.

    Args:
        vocab_size: number of target tokens.
        d_model: size of a state.
        score: "additive", "dot" or "general"; None for the fixed context.
    """

    def __init__(self, vocab_size: int, d_model: int, score: str | None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.start = nn.Linear(d_model, d_model)
        self.gru = nn.GRU(d_model, d_model, batch_first=True)
        self.score = make_score(score, d_model) if score else None
        self.mix = nn.Linear(3 * d_model, d_model)
        self.out = nn.Linear(d_model, vocab_size)

    def forward(
        self, target_in: Tensor, memory: Memory, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Predict the word after each word of target_in (B, T).

        Args:
            target_in: (B, T) int64, the words before the ones to predict.
            memory: the encoded source.
            state: (B, d_model) to go on from, None at the start.

        Returns:
            logits: (B, T, V).
            weights: (B, T, S) attention, None with the fixed context.
            state: (B, d_model) after the last word.
        """
        check_shapes(
            target_in=(target_in, "B T"), states=(memory.states, "B S d_model")
        )
        if state is None:
            state = torch.tanh(self.start(memory.summary))  # (B, d_model)
        y = self.embedding(target_in)  # (B, T, d_model)
        s, last = self.gru(y, state[None])  # (B, T, d_model)
        if self.score is None:
            weights = None
            context = memory.summary[:, None].expand_as(s)  # the same at every step
        else:
            scores = self.score(s, memory.states)  # (B, T, S)
            weights = masked_softmax(scores, memory.mask[:, None])
            context = weights @ memory.states  # (B, T, d_model), one for each step
        mixed = torch.tanh(self.mix(torch.cat([s, context, y], dim=-1)))
        return self.out(mixed), weights, last[0]  # (B, T, V), (B, T, S), (B, d_model)


class Seq2Seq(nn.Module):
    """An encoder and a decoder.

    Args:
        source_size, target_size: the sizes of the two vocabularies.
        d_model: size of embeddings and states.
        score: "additive", "dot" or "general"; None for no attention.
        bidirectional: whether the encoder reads in both directions.
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        d_model: int = 128,
        score: str | None = None,
        bidirectional: bool = True,
    ) -> None:
        super().__init__()
        if min(source_size, target_size) <= Vocab.unk:
            raise ValueError(
                "source_size and target_size should be len(vocab), at least 5, got "
                f"{source_size} and {target_size}"
            )
        self.encoder = Encoder(source_size, d_model, bidirectional)
        self.decoder = Decoder(target_size, d_model, score)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: logits (B, T, V) and weights (B, T, S) or None."""
        batch = batch.to(self.decoder.out.weight.device)
        memory = self.encoder(batch.source, batch.source_mask)
        logits, weights, _ = self.decoder(batch.target_in, memory)
        return logits, weights


def translation_loss(
    model: nn.Module, batch: Batch, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy in nats per target token; padding counts for nothing.

    Args:
        model: maps a batch to (logits (B, T, V), weights).
        batch: sentence pairs.
        label_smoothing: share of the goal spread evenly over all tokens; Szegedy
            et al., 2015, https://arxiv.org/abs/1512.00567

    Raises:
        ValueError: if `label_smoothing` is not from 0 to 1.
    """
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            f"label_smoothing should be from 0 to 1, got {label_smoothing}"
        )
    logits, _ = model(batch)  # (B, T, V)
    batch = batch.to(logits.device)
    real = batch.target_mask
    return nn.functional.cross_entropy(
        logits[real], batch.target_out[real], label_smoothing=label_smoothing
    )


@torch.no_grad()
def greedy_search(
    model: nn.Module, source: Tensor, source_mask: Tensor, max_len: int = 60
) -> list[list[int]]:
    """Take the most probable word at every step.

    Args:
        model: `Seq2Seq` or `utils.transformer.EncoderDecoder`.
        source: (B, S) int64; source_mask: (B, S) bool.
        max_len: stop after so many words.

    Returns:
        For each sentence its ids, without <bos> and <eos>.

    Raises:
        ValueError: if `max_len` is below 1 or the source does not fit its mask.
    """
    return beam_search(model, source, source_mask, beam_size=1, max_len=max_len)


@torch.no_grad()
def beam_search(
    model: nn.Module,
    source: Tensor,
    source_mask: Tensor,
    beam_size: int = 4,
    length_penalty: float = 0.6,
    max_len: int = 60,
) -> list[list[int]]:
    """Keep the `beam_size` best beginnings of every sentence at every step.

    A finished sentence Y is ranked by log P(Y) / ((5 + |Y|) / 6) ** penalty,
    eq. 14 of Wu et al., 2016, https://arxiv.org/abs/1609.08144

    Args:
        model: `Seq2Seq` or `utils.transformer.EncoderDecoder`.
        source: (B, S) int64; source_mask: (B, S) bool.
        beam_size: 1 is greedy search.
        length_penalty: 0 ranks by probability alone, which favours short ones.
        max_len: stop after so many words.

    Returns:
        For each sentence the ids of its best translation, without <bos>, <eos>.

    Raises:
        ValueError: if a number is out of range or the source misfits its mask.
    """
    _check_search(beam_size, max_len, length_penalty)
    was_training = model.training
    model.eval()
    memory = model.encoder(source, source_mask)
    n = len(source)
    first = torch.arange(n, device=source.device).repeat_interleave(beam_size)
    memory, state = memory.rows(first), None  # B * K rows
    ids = torch.full((n * beam_size, 1), Vocab.bos, device=source.device)
    # At the start all beams of a sentence are alike: only the first may count.
    total = torch.full((n, beam_size), -torch.inf, device=source.device)
    total[:, 0] = 0.0
    finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(n)]
    for length in range(1, max_len + 1):
        logits, _, state = model.decoder(ids[:, -1:], memory, state)
        best, parent, token = _best_steps(total, logits[:, 0])  # each (B, 2K)
        ended = token == Vocab.eos
        scale = ((5 + length) / 6) ** length_penalty
        # Only among the best K does an end count: beam 1 is then greedy search.
        among_k = (ended & best.isfinite())[:, :beam_size].nonzero()
        for row, k in among_k.tolist():
            found = ids[row * beam_size + int(parent[row, k]), 1:].tolist()
            finished[row].append((best[row, k].item() / scale, found))
        total, place = best.masked_fill(ended, -torch.inf).topk(beam_size)  # (B, K)
        rows = (parent.gather(1, place) + first.view(n, -1) * beam_size).flatten()
        ids = torch.cat([ids[rows], token.gather(1, place).view(-1, 1)], dim=1)
        state = state[rows]
        if all(len(done) >= beam_size for done in finished):
            break
    model.train(was_training)
    rest = ids.view(n, beam_size, -1)[:, 0, 1:].tolist()
    return [max(done)[1] if done else rest[i] for i, done in enumerate(finished)]


def _check_search(beam_size: int, max_len: int, length_penalty: float) -> None:
    if beam_size < 1 or max_len < 1 or not length_penalty >= 0:
        raise ValueError(
            "beam_size and max_len should be 1 or more and length_penalty 0 or "
            f"more, got {beam_size}, {max_len} and {length_penalty}"
        )


def _best_steps(total: Tensor, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The 2K best next words of K beams: log-probability, beam and word, (B, 2K).

    Twice as many as beams, so that K are left where all the best ones end.
    """
    log_p = logits.log_softmax(dim=-1).view(*total.shape, -1)  # (B, K, V)
    log_p[..., [Vocab.pad, Vocab.bos]] = -torch.inf  # never words of a translation
    joint = (total[..., None] + log_p).flatten(1)  # (B, K * V)
    best, index = joint.topk(min(2 * total.shape[1], joint.shape[1]), dim=-1)
    n_words = log_p.shape[-1]
    return best, index // n_words, index % n_words


def translate(
    model: nn.Module,
    sentences: Sequence[Sequence[str]],
    source_vocab: Vocab,
    target_vocab: Vocab,
    beam_size: int = 1,
) -> list[list[str]]:
    """Translate tokenised sentences, 100 at a time, sorted by length.

    Raises:
        ValueError: if there is no sentence or one is empty.
    """
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    device = next(model.parameters()).device
    out: dict[int, list[str]] = {}
    for start in range(0, max(1, len(order)), 100):
        chunk = order[start : start + 100]
        rows = [[*source_vocab.encode(sentences[i]), Vocab.eos] for i in chunk]
        ids, mask = pad(rows)
        found = beam_search(model, ids.to(device), mask.to(device), beam_size)
        out.update(zip(chunk, map(target_vocab.decode, found), strict=True))
    return [out[i] for i in range(len(sentences))]


@torch.no_grad()
def attention_of(
    model: Seq2Seq, pair: Pair, source_vocab: Vocab, target_vocab: Vocab
) -> Tensor:
    """The attention while the model is given this very translation.

    Returns:
        weights: (T + 1, S + 1), rows for target words and <eos>, columns for
            source words and <eos>.

    Raises:
        ValueError: if the model has no attention.
    """
    _, weights = model(encode_batch([pair], source_vocab, target_vocab))
    if weights is None:
        raise ValueError("model should have attention: build it with score='dot'")
    return weights[0]
