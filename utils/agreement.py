"""Does the verb agree with its subject, however far away? Data, models, measure.

In "the girls behind the house that the boy sees sleep ." the verb must be plural
because of its second word, whatever the nouns between say. The test is that of
Linzen et al., 2016, https://arxiv.org/abs/1611.01368: a language model should
find the right form of the verb more probable than the other one.
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from utils.attention import causal_mask, masked_softmax
from utils.corpora import pad
from utils.grammar import INTRANSITIVE, PEOPLE, PLACES, PREPOSITIONS, TRANSITIVE
from utils.tokenizers import Vocab
from utils.transformer import Decoder, TransformerConfig


class Sentence(NamedTuple):
    """A sentence whose main verb stands at `verb` and agrees with word 1."""

    words: tuple[str, ...]
    verb: int
    other: str  # the verb in the other number
    attracted: bool  # the noun nearest before the verb has the other number

    @property
    def distance(self) -> int:
        """Words between the subject's noun and its verb."""
        return self.verb - 2


def agreement_sentences(
    n_sentences: int, seed: int = 0, max_modifiers: int = 6
) -> list[Sentence]:
    """Write sentences with 0 to `max_modifiers` modifiers after the subject.

    A modifier is a place ("behind the house") or a relative clause with a subject
    of its own ("that the boy sees"). All numbers are drawn by a fair coin.

    Raises:
        ValueError: if a count is out of range.

    >>> " ".join(agreement_sentences(1, seed=3, max_modifiers=1)[0].words)
    'the woman that the cats chase dances .'
    """
    if n_sentences < 1 or max_modifiers < 0:
        raise ValueError(
            "n_sentences should be 1 or more and max_modifiers 0 or more, got "
            f"{n_sentences} and {max_modifiers}"
        )
    rng = random.Random(seed)
    sentences = []
    for _ in range(n_sentences):
        plural = nearest = rng.randrange(2)
        words = ["the", rng.choice(PEOPLE)[plural]]
        for _ in range(rng.randint(0, max_modifiers)):
            nearest = rng.randrange(2)
            if rng.random() < 0.5:
                place = rng.choice(PLACES)[nearest]
                words += [rng.choice(PREPOSITIONS)[0], "the", place]
            else:
                verb = rng.choice(TRANSITIVE[:8])[nearest]  # those of one word
                words += ["that", "the", rng.choice(PEOPLE)[nearest], verb]
        verb = rng.choice(INTRANSITIVE)
        whole = (*words, verb[plural], ".")
        attracted = nearest != plural
        sentences.append(Sentence(whole, len(words), verb[1 - plural], attracted))
    return sentences


class RecurrentLM(nn.Module):
    """A GRU that predicts the next word, with or without attention to its past.

    Args:
        vocab_size: number of tokens.
        d_model: size of embeddings and states.
        attention: whether each state also looks at the states before it (dot
            score), as in chapter 03 the decoder looked at the encoder's.
    """

    def __init__(self, vocab_size: int, d_model: int, attention: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.gru = nn.GRU(d_model, d_model, batch_first=True)
        self.mix = nn.Linear(2 * d_model, d_model) if attention else None
        self.out = nn.Linear(d_model, vocab_size)

    def forward(self, ids: Tensor) -> tuple[Tensor]:
        """Logits (B, T, V) of the word after each of ids (B, T) int64."""
        states, _ = self.gru(self.embedding(ids))  # (B, T, d_model)
        if self.mix is not None:
            mask = causal_mask(ids.shape[1], ids.device)
            weights = masked_softmax(states @ states.transpose(1, 2), mask)
            seen = torch.cat([states, weights @ states], dim=-1)
            states = torch.tanh(self.mix(seen))
        return (self.out(states),)


def language_model(kind: str, vocab_size: int, d_model: int = 64) -> nn.Module:
    """Build "GRU", "GRU + attention" or "Transformer", to predict the next word.

    Raises:
        ValueError: if it is none of the three.
    """
    if kind == "Transformer":
        return Decoder(vocab_size, TransformerConfig(d_model, 4, 2, 2 * d_model))
    if kind not in ("GRU", "GRU + attention"):
        raise ValueError(
            f"kind should be 'GRU', 'GRU + attention' or 'Transformer', got {kind!r}"
        )
    return RecurrentLM(vocab_size, d_model, attention=kind != "GRU")


def sentence_batches(
    sentences: Sequence[Sentence], vocab: Vocab, batch_size: int, seed: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for ever (ids (B, T), mask (B, T)) of sentences drawn at random."""
    rng = random.Random(seed)
    while True:
        chosen = rng.sample(sentences, batch_size)
        yield pad([[Vocab.bos, *vocab.encode(s.words)] for s in chosen])


def next_word_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy in nats per word; padding counts for nothing."""
    ids, mask = (part.to(next(model.parameters()).device) for part in batch)
    logits, real = model(ids[:, :-1])[0], mask[:, 1:]
    return nn.functional.cross_entropy(logits[real], ids[:, 1:][real])


@torch.no_grad()
def agrees(model: nn.Module, sentences: Sequence[Sentence], vocab: Vocab) -> list[bool]:
    """For each sentence: is the right form of the verb more probable?

    Raises:
        ValueError: if there is no sentence.
    """
    device = next(model.parameters()).device
    ids, _ = pad([[Vocab.bos, *vocab.encode(s.words)] for s in sentences])
    logits = model(ids.to(device))[0].cpu()  # (B, T, V)
    rows = torch.arange(len(sentences))
    at = torch.tensor([s.verb for s in sentences])  # the word before the verb
    right = torch.tensor([vocab.encode([s.words[s.verb]])[0] for s in sentences])
    wrong = torch.tensor([vocab.encode([s.other])[0] for s in sentences])
    return (logits[rows, at, right] > logits[rows, at, wrong]).tolist()
