"""BERT's encoder: chapter 05's blocks under an embedding with segments.

Devlin et al., 2018, https://arxiv.org/abs/1810.04805
"""

from functools import partial

import torch
from torch import Tensor, nn

from utils.counts import check_count
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
        for table in (self.tokens, self.positions, self.segments):
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
