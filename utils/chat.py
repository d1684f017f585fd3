"""From conversations to ids: a chat template, which tokens are trained, packing.

A turn is `<|user|> words <|end|>` or `<|assistant|> words <|end|>`. Only what the
assistant says, its <|end|> included, is trained on: the reply.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.corpora import pad
from utils.counts import check_count
from utils.generation import generate
from utils.shapes import check_shapes
from utils.tokenizers import Vocab

USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"
CHAT_TOKENS = (USER, ASSISTANT, END)


class Turn(NamedTuple):
    """What one side says."""

    role: str  # "user" or "assistant"
    text: str  # words with a blank between


class Chats(NamedTuple):
    """Conversations in rows, one in each or several packed."""

    ids: Tensor  # (B, T) int64
    documents: Tensor  # (B, T) int64: which of its row's conversations, from 1; 0: pad
    reply: Tensor  # (B, T) bool, True = said by the assistant

    def to(self, device: torch.device) -> "Chats":
        """The same on another device."""
        return Chats(*(part.to(device) for part in self))


def chat_tokens(turns: Sequence[Turn], prompt: bool = False) -> list[tuple[str, bool]]:
    """Lay a conversation out as tokens, each with whether it is trained on.

    Args:
        turns: in order.
        prompt: end with <|assistant|>, for the model to go on.

    Raises:
        ValueError: if there is no turn, a role is unknown, a turn is empty or says
            one of the template's own tokens.

    >>> chat_tokens([Turn("user", "hi"), Turn("assistant", "yes")])[-3:]
    [('<|assistant|>', False), ('yes', True), ('<|end|>', True)]
    """
    if not turns:
        raise ValueError("turns should hold at least one turn, got none")
    laid = []
    if not all(isinstance(turn, tuple) and len(turn) == 2 for turn in turns):
        raise ValueError(f"turns should be (role, text) pairs, got {turns!r}")
    for role, text in turns:
        words = text.split()
        if role not in ("user", "assistant"):
            raise ValueError(f'role should be "user" or "assistant", got {role!r}')
        if not words or set(words) & set(CHAT_TOKENS):
            raise ValueError(
                f"a turn should have words and none of {', '.join(CHAT_TOKENS)}, got "
                f"{text!r}: whoever may write these could speak for the other side"
            )
        ours = role == "assistant"
        laid.append((ASSISTANT if ours else USER, False))
        laid += [(word, ours) for word in [*words, END]]
    return [*laid, (ASSISTANT, False)] if prompt else laid


def chat_batch(
    chats: Sequence[Sequence[Turn]], vocab: Vocab, max_len: int | None = None
) -> Chats:
    """Conversations as one batch.

    Args:
        chats: each a list of turns.
        vocab: holds `CHAT_TOKENS`.
        max_len: pack as many in a row as fit in so many tokens; None: one in a row.

    Raises:
        ValueError: if there is none, the vocabulary lacks a token of the template or
            of a conversation, or one is longer than max_len.
    """
    _check_vocab(chats, vocab)
    rows: list[list[tuple[int, int, bool]]] = []
    for turns in chats:
        laid = chat_tokens(turns)
        ids = _encode([token for token, _ in laid], vocab)
        if max_len is not None and len(ids) > max_len:
            raise ValueError(
                f"a conversation should have at most max_len={max_len} tokens, one "
                f"has {len(ids)}: cut it or raise max_len"
            )
        if max_len is None or not rows or len(rows[-1]) + len(ids) > max_len:
            rows.append([])
        n = rows[-1][-1][1] + 1 if rows[-1] else 1
        rows[-1] += [(i, n, said) for i, (_, said) in zip(ids, laid, strict=True)]
    ids, documents, reply = (
        pad([[token[k] for token in row] for row in rows], 0)[0] for k in range(3)
    )
    return Chats(ids, documents, reply.bool())


def _check_vocab(texts: Sequence, vocab: Vocab) -> None:
    if not texts:
        raise ValueError("there should be at least one conversation, got none")
    absent = [token for token in CHAT_TOKENS if token not in vocab]
    if absent:
        raise ValueError(f"vocab should hold {', '.join(absent)}: add them first")


def _encode(tokens: Sequence[str], vocab: Vocab) -> list[int]:
    """Ids, of known tokens only: <unk> would be trained on and answered to."""
    unknown = [token for token in tokens if token not in vocab]
    if unknown:
        raise ValueError(
            f"vocab should hold every word, lacks {', '.join(unknown[:3])}: use words "
            "of the stories, in small letters, with blanks around punctuation"
        )
    return vocab.encode(tokens)


def chat_batches(
    chats: Sequence[Sequence[Turn]],
    vocab: Vocab,
    batch_size: int = 32,
    seed: int = 0,
) -> Iterator[Chats]:
    """Batches for ever: each conversation once, in a new order, then all again."""
    check_count("batch_size", batch_size)
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(chats), generator=generator)
        for chosen in order.split(batch_size):
            yield chat_batch([chats[i] for i in chosen.tolist()], vocab)


def reply_loss(model: nn.Module, batch: Chats) -> Tensor:
    """Mean nats a token of the replies; nothing else is trained on.

    Ouyang et al., 2022, https://arxiv.org/abs/2203.02155. The token at t + 1 is
    scored at t, so the first word of a reply is scored at <|assistant|>.

    Args:
        model: maps ids (B, T) with `documents` to logits, as `utils.gpt.GPT`.

    Raises:
        ValueError: if there is no reply to train on.
    """
    batch = batch.to(next(model.parameters()).device)
    check_shapes(
        ids=(batch.ids, "B T"),
        documents=(batch.documents, "B T"),
        reply=(batch.reply, "B T"),
    )
    wanted = batch.reply[:, 1:]
    if not wanted.any():
        raise ValueError("reply should be True somewhere after the first token")
    logits = model(batch.ids, look=False, documents=batch.documents)[0][:, :-1]
    return F.cross_entropy(logits[wanted], batch.ids[:, 1:][wanted])


def prompts(requests: Sequence[str], vocab: Vocab) -> list[list[int]]:
    """Each request as ids that end in <|assistant|>, for a model to reply to.

    Raises:
        ValueError: if there is no request, or the vocabulary lacks a word of one.
    """
    _check_vocab(requests, vocab)
    laid = (chat_tokens([Turn("user", text)], prompt=True) for text in requests)
    return [_encode([token for token, _ in tokens], vocab) for tokens in laid]


def ask(
    model: nn.Module,
    vocab: Vocab,
    requests: Sequence[str],
    n_new: int = 12,
    **options,
) -> list[str]:
    """Send each request alone and return the replies, up to <|end|>.

    Args:
        n_new: the longest reply, in tokens.
        options: of `utils.generation.stream`; temperature=0 if none are given.

    Raises:
        ValueError: if there is no request, or the vocabulary lacks a word of one.
    """
    device = next(model.parameters()).device
    ids, real = (x.to(device) for x in pad(prompts(requests, vocab), left=True))
    options = options or {"temperature": 0}
    with torch.no_grad():
        written = generate(model, ids, real, n_new, vocab.encode([END]), **options)
    return [" ".join(vocab.decode(reply)) for reply in written]
