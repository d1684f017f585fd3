"""BERT: chapter 05's blocks under an embedding with segments, and what it learns.

Devlin et al., 2018, https://arxiv.org/abs/1810.04805
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.counts import check_count
from utils.masking import IGNORE, Packed, Pretraining
from utils.shapes import check_ids, check_shapes
from utils.transformer import Memory, Stack, TransformerConfig


def bert_config(
    d_model: int, n_heads: int, n_layers: int, d_ff: int, dropout: float = 0.0
) -> TransformerConfig:
    """BERT's style: post-norm, GELU, learned positions; sizes as given.

    BERT base has d_model 768, 12 heads, 12 layers and d_ff 3,072.
    """
    return TransformerConfig(
        d_model,
        n_heads,
        n_layers,
        d_ff,
        dropout,
        norm_first=False,
        positions=False,  # learned ones, in `BertEmbedding`
        norm=partial(nn.LayerNorm, eps=1e-12),
        activation=nn.GELU,
    )


class BertEmbedding(nn.Module):
    """Token, position and segment: three learned rows, added and normed."""

    def __init__(
        self, vocab_size: int, config: TransformerConfig, max_len: int = 512
    ) -> None:
        super().__init__()
        check_count("vocab_size", vocab_size)
        check_count("max_len", max_len)
        self.tokens = nn.Embedding(vocab_size, config.d_model)
        self.positions = nn.Embedding(max_len, config.d_model)
        self.segments = nn.Embedding(2, config.d_model)
        self.norm = config.norm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        # BERT starts all three at 0.02. Where a token stands then counts for as much
        # as what it is, and a small model takes long to see past that.
        nn.init.normal_(self.tokens.weight, std=0.1)
        for table in (self.positions, self.segments):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, ids: Tensor, segments: Tensor) -> Tensor:
        """Embed ids (B, T) with segments (B, T), 0 or 1: (B, T, d_model)."""
        check_ids(ids, self.tokens.num_embeddings)
        n, max_len = ids.shape[1], self.positions.num_embeddings
        if n > max_len:
            raise ValueError(f"ids should have at most {max_len} tokens, got {n}")
        places = torch.arange(n, device=ids.device)
        x = self.tokens(ids) + self.positions(places) + self.segments(segments)
        return self.dropout(self.norm(x))


class Bert(nn.Module):
    """Encoder-only: every token sees every other, in both directions.

    Args:
        vocab_size: number of tokens.
        config: from `bert_config`.
        max_len: the longest text, in tokens.
    """

    def __init__(
        self, vocab_size: int, config: TransformerConfig, max_len: int = 512
    ) -> None:
        super().__init__()
        self.embedding = BertEmbedding(vocab_size, config, max_len)
        self.stack = Stack(config)

    def forward(
        self, ids: Tensor, mask: Tensor | None = None, segments: Tensor | None = None
    ) -> Memory:
        """Encode ids (B, T) int64.

        Args:
            mask: (B, T) bool, True = a real token; None: all are.
            segments: (B, T) int64, 0 for the first text, 1 for the second; None: 0.

        Raises:
            ValueError: if the shapes differ or the text is too long.
        """
        return self.look(ids, mask, segments)[0]

    def look(
        self, ids: Tensor, mask: Tensor | None = None, segments: Tensor | None = None
    ) -> tuple[Memory, list[Tensor]]:
        """Like forward, with the attention weights (B, H, T, T) of each layer."""
        check_shapes(ids=(ids, "B T"))
        if mask is None:
            mask = torch.ones_like(ids, dtype=torch.bool)
        segments = torch.zeros_like(ids) if segments is None else segments
        check_shapes(ids=(ids, "B T"), mask=(mask, "B T"), segments=(segments, "B T"))
        x, weights, _ = self.stack(self.embedding(ids, segments), mask[:, None])
        return Memory(x, mask), weights


class BertForPretraining(nn.Module):
    """BERT with its two questions: which token was here, and does B follow A?

    Args:
        vocab_size, config, max_len: as in `Bert`.
    """

    def __init__(
        self, vocab_size: int, config: TransformerConfig, max_len: int = 512
    ) -> None:
        super().__init__()
        d_model = config.d_model
        self.bert = Bert(vocab_size, config, max_len)
        self.transform = nn.Sequential(
            nn.Linear(d_model, d_model), config.activation(), config.norm(d_model)
        )
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.pooler = nn.Sequential(nn.Linear(d_model, d_model), nn.Tanh())
        self.next = nn.Linear(d_model, 2)

    def forward(self, text: Packed) -> tuple[Tensor, Tensor]:
        """Guess each token, and whether B follows A.

        Returns:
            token_logits: (B, T, V); the output shares the embedding's matrix.
            next_logits: (B, 2), from the state of [CLS]; 1 = B follows.
        """
        text = text.to(self.bias.device)
        x = self.bert(*text).states  # (B, T, d_model)
        words = self.bert.embedding.tokens.weight  # (V, d_model)
        token_logits = self.transform(x) @ words.T + self.bias  # (B, T, V)
        return token_logits, self.next(self.pooler(x[:, 0]))


def masked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the labelled places only, in nats per chosen token.

    Padding and tokens not chosen have the label IGNORE: their logits change
    nothing, and get no gradient.

    Args:
        logits: (B, T, V).
        labels: (B, T) int64, IGNORE where nothing is asked.

    Returns:
        A scalar, the mean over the labelled places; 0 if there is none.

    Raises:
        ValueError: if the shapes do not fit.

    >>> logits = torch.zeros(1, 2, 4)
    >>> round(masked_loss(logits, torch.tensor([[3, IGNORE]])).item(), 2)  # ln 4
    1.39
    """
    check_shapes(logits=(logits, "B T V"), labels=(labels, "B T"))
    total = F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum"
    )
    return total / (labels != IGNORE).sum().clamp(min=1)


def pretraining_loss(
    model: BertForPretraining, batch: Pretraining, use_next: bool = True
) -> Tensor:
    """The sum of both losses, in nats; without the second if not `use_next`."""
    batch = batch.to(model.bias.device)
    token_logits, next_logits = model(batch.text)
    loss = masked_loss(token_logits, batch.labels)
    return loss + F.cross_entropy(next_logits, batch.is_next) if use_next else loss


@torch.no_grad()
def pretraining_scores(
    model: BertForPretraining, batches: Iterable[Pretraining]
) -> dict[str, float]:
    """Share of chosen tokens guessed right, and of pairs told right, in [0, 1]."""
    model.eval()
    token_hits, next_hits = [], []
    for batch in batches:
        batch = batch.to(model.bias.device)
        token_logits, next_logits = model(batch.text)
        chosen = batch.labels != IGNORE
        token_hits.append((token_logits.argmax(-1) == batch.labels)[chosen])
        next_hits.append(next_logits.argmax(-1) == batch.is_next)
    hits = {"mlm": token_hits, "nsp": next_hits}
    return {name: torch.cat(h).float().mean().item() for name, h in hits.items()}
