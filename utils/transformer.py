"""The Transformer, composed three ways from the same blocks.

Vaswani et al., 2017, https://arxiv.org/abs/1706.03762. An encoder lets every
position see all others (BERT), a decoder only those before it (GPT), and the
encoder-decoder of the paper joins the two by a second attention (T5). The module
is long because the three families stand side by side here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from utils.attention import KVCache, MultiHeadAttention, causal_mask, check_dropout
from utils.corpora import Batch
from utils.counts import check_count
from utils.shapes import check_ids, check_shapes


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a Transformer, and the switches of chapter 05's ablations.

    Args:
        d_model: size of a position's vector (512 in the paper's base model).
        n_heads: attention heads of a layer (8); divides d_model.
        n_layers: blocks of a stack (6).
        d_ff: size of the hidden layer of the feed-forward part (2,048).
        dropout: share dropped of embeddings, attention weights and what each
            sublayer adds (0.1).
        norm_first: True normalises what a sublayer reads ("pre-norm", Xiong et
            al., 2020, https://arxiv.org/abs/2002.04745), False what it has
            written ("post-norm", as in the paper).
        positions: False leaves out the sinusoids.
        skip: False leaves out the skip connections.
        norm: builds a normalisation from d_model; nn.LayerNorm in the paper.
        activation: between the two matrices of the feed-forward part.

    Raises:
        ValueError: if a size is out of range.
    """

    d_model: int = 128
    n_heads: int = 4
    n_layers: int = 2
    d_ff: int = 256
    dropout: float = 0.0
    norm_first: bool = True
    positions: bool = True
    skip: bool = True
    norm: Callable[[int], nn.Module] = nn.LayerNorm
    activation: Callable[[], nn.Module] = nn.ReLU

    def __post_init__(self) -> None:
        for name in ("d_model", "n_heads", "n_layers", "d_ff"):
            check_count(name, getattr(self, name))
        if self.d_model % self.n_heads or self.d_model % 2:
            raise ValueError(
                f"d_model should be even and a multiple of n_heads={self.n_heads}, "
                f"got {self.d_model}"
            )
        check_dropout(self.dropout)


def sinusoids(n_positions: int, d_model: int) -> Tensor:
    """A clock with d_model / 2 hands for each position, slower and slower.

    Section 3.5 of Vaswani et al., 2017:
    PE(pos, 2i) = sin(pos / 10000^(2i / d_model)), PE(pos, 2i+1) = cos(same)

    Args:
        n_positions: T.
        d_model: even.

    Returns:
        (T, d_model), from -1 to 1.

    Raises:
        ValueError: if a size is out of range.

    >>> sinusoids(2, 2)[0].tolist()
    [0.0, 1.0]
    """
    check_count("n_positions", n_positions, least=0)
    check_count("d_model", d_model, least=2)
    if d_model % 2:
        raise ValueError(f"d_model should be even, got {d_model}")
    position = torch.arange(n_positions, dtype=torch.float64)
    even = torch.arange(0, d_model, 2, dtype=torch.float64)
    angle = position[:, None] / 10000 ** (even / d_model)  # (T, d_model / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()


class Embedding(nn.Module):
    """Tokens to vectors: a learned row times sqrt(d_model), plus its position.

    Sections 3.4 and 3.5 of the paper. The rows start normal with standard
    deviation 1 / sqrt(d_model), so that scaled they have size 1, like a sinusoid.
    """

    def __init__(self, vocab_size: int, config: TransformerConfig) -> None:
        super().__init__()
        check_count("vocab_size", vocab_size)
        self.config = config
        self.tokens = nn.Embedding(vocab_size, config.d_model)
        nn.init.normal_(self.tokens.weight, std=config.d_model**-0.5)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, ids: Tensor, start: int = 0) -> Tensor:
        """Embed ids (B, T), the first of which stands at position `start`.

        Raises:
            ValueError: if ids are no integers, or not of this vocabulary.
        """
        check_ids(ids, self.tokens.num_embeddings)
        d_model = self.config.d_model
        x = self.tokens(ids) * math.sqrt(d_model)  # (B, T, d_model)
        if self.config.positions:
            x = x + sinusoids(start + ids.shape[1], d_model)[start:].to(x)
        return self.dropout(x)

    def logits(self, x: Tensor) -> Tensor:
        """Compare x (B, T, d_model) with every token's row: (B, T, V).

        The output shares the embedding's matrix: weight tying, Press & Wolf,
        2017, https://aclanthology.org/E17-2025; section 3.4 of the paper.
        """
        return x @ self.tokens.weight.T


class FeedForward(nn.Sequential):
    """max(0, x W_1 + b_1) W_2 + b_2, at each position alone; eq. 2 of the paper.

    Like the attention's, the matrices start as Glorot & Bengio, 2010, proposed,
    https://proceedings.mlr.press/v9/glorot10a.html; the biases at 0.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(
            nn.Linear(config.d_model, config.d_ff),
            config.activation(),
            nn.Linear(config.d_ff, config.d_model),
        )
        for linear in (self[0], self[2]):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)


class BatchNorm(nn.BatchNorm1d):
    """Normalise each number over the batch; chapter 05 shows why not to.

    Ioffe & Szegedy, 2015, https://arxiv.org/abs/1502.03167. Padding counts too,
    and so a sentence depends on its neighbours in the batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (B, T, d_model) over B and T together."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Residual(nn.Module):
    """Add what a sublayer says to what came in, and keep its size in hand."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = config.norm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)
        self.norm_first, self.skip = config.norm_first, config.skip

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """x + sublayer(norm(x)), or norm(x + sublayer(x)): (B, T, d_model)."""
        said = self.dropout(sublayer(self.norm(x) if self.norm_first else x))
        out = x + said if self.skip else said
        return out if self.norm_first else self.norm(out)


class Block(nn.Module):
    """One layer: look around, in a decoder look at the source, then think.

    Args:
        config: sizes and switches.
        cross: whether there is a memory to look at.
    """

    def __init__(self, config: TransformerConfig, cross: bool = False) -> None:
        super().__init__()
        sizes = config.d_model, config.n_heads, config.dropout
        self.attention, self.residual = MultiHeadAttention(*sizes), Residual(config)
        self.cross_attention = MultiHeadAttention(*sizes) if cross else None
        self.cross_residual = Residual(config) if cross else None
        self.feed_forward = FeedForward(config)
        self.feed_forward_residual = Residual(config)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        memory: "Memory | None" = None,
        cache: KVCache | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Pass x (B, T, d_model) on.

        Returns:
            x: (B, T, d_model).
            weights: (B, H, T, Tk), of the attention to x itself.
            cross_weights: (B, H, T, S), of the attention to the memory.
        """
        seen: list[Tensor] = []  # the weights, as each attention gives them

        def look(y: Tensor) -> Tensor:
            out, weights = self.attention(y, mask=mask, cache=cache)
            seen.append(weights)
            return out

        def look_at_memory(y: Tensor) -> Tensor:
            mask = memory.mask[:, None]  # (B, 1, S)
            out, weights = self.cross_attention(y, memory.states, mask)
            seen.append(weights)
            return out

        x = self.residual(x, look)
        if self.cross_attention is not None:
            x = self.cross_residual(x, look_at_memory)
        x = self.feed_forward_residual(x, self.feed_forward)
        return x, seen[0], seen[1] if len(seen) > 1 else None


class Memory(NamedTuple):
    """What a decoder may look at: the encoded source."""

    states: Tensor  # (B, S, d_model)
    mask: Tensor  # (B, S) bool, True = a real token

    def rows(self, index: Tensor) -> "Memory":
        """The memory of the chosen sentences, in that order."""
        return Memory(*(part[index] for part in self))


class Caches(list[KVCache]):
    """One KVCache a layer: what a decoder remembers of what it has written."""

    def __getitem__(self, rows: object) -> object:
        """A layer's cache by its number, or all caches for the chosen sentences."""
        if isinstance(rows, Tensor):
            return Caches(cache[rows] for cache in self)
        return super().__getitem__(rows)


class Stack(nn.Module):
    """n_layers blocks; after pre-norm blocks one more normalisation."""

    def __init__(self, config: TransformerConfig, cross: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(config, cross) for _ in range(config.n_layers)
        )
        self.norm = config.norm(config.d_model) if config.norm_first else nn.Identity()

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        memory: Memory | None = None,
        caches: "Caches | None" = None,
    ) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
        """Pass x (B, T, d_model) through all blocks.

        Returns:
            x: (B, T, d_model).
            weights, cross_weights: one (B, H, T, Tk) or (B, H, T, S) a layer.
        """
        weights, cross_weights = [], []
        for i, block in enumerate(self.blocks):
            x, w, c = block(x, mask, memory, caches[i] if caches else None)
            weights.append(w)
            cross_weights.append(c)
        return self.norm(x), weights, cross_weights


class Encoder(nn.Module):
    """Encoder-only, like BERT: every position sees every other.

    Args:
        vocab_size: number of tokens.
        config: sizes and switches.
    """

    def __init__(self, vocab_size: int, config: TransformerConfig) -> None:
        super().__init__()
        self.embedding = Embedding(vocab_size, config)
        self.stack = Stack(config)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Memory:
        """Encode ids (B, T) int64; mask (B, T) bool, True = a real token.

        Raises:
            ValueError: if the shapes differ or the mask is not bool.
        """
        return self.look(ids, mask)[0]

    def look(
        self, ids: Tensor, mask: Tensor | None = None
    ) -> tuple[Memory, list[Tensor]]:
        """Like forward, with the attention weights (B, H, T, T) of each layer."""
        check_shapes(ids=(ids, "B T"))
        if mask is None:
            mask = torch.ones_like(ids, dtype=torch.bool)
        check_shapes(ids=(ids, "B T"), mask=(mask, "B T"))
        x, weights, _ = self.stack(self.embedding(ids), mask[:, None])
        return Memory(x, mask), weights


class Decoder(nn.Module):
    """Decoder-only, like GPT: a position sees itself and those before it.

    With `cross` it is the decoder of an encoder-decoder: each block also looks
    at the encoded source.

    Args:
        vocab_size: number of tokens.
        config: sizes and switches.
        cross: whether there is a source to look at.
    """

    def __init__(
        self, vocab_size: int, config: TransformerConfig, cross: bool = False
    ) -> None:
        super().__init__()
        self.embedding = Embedding(vocab_size, config)
        self.stack = Stack(config, cross)

    def forward(
        self,
        ids: Tensor,
        memory: Memory | None = None,
        caches: Caches | None = None,
    ) -> tuple[Tensor, list[Tensor], Caches]:
        """Predict the token after each of ids (B, T) int64.

        Padding on the right needs no mask: no position before it sees it.

        Args:
            ids: (B, T) int64.
            memory: the encoded source, for a decoder with `cross`.
            caches: of the tokens before `ids`, extended in place; None at the
                start.

        Returns:
            logits: (B, T, V).
            weights: (B, H, T, Tk) of each layer; (B, H, T, S), to the source,
                if there is one.
            caches: of all tokens so far.

        Raises:
            ValueError: if ids has another shape, or memory is absent or too much.
        """
        check_shapes(ids=(ids, "B T"))
        crosses = self.stack.blocks[0].cross_attention is not None
        if crosses != (memory is not None):
            should = "the encoded source" if crosses else "None: build it with cross"
            raise ValueError(f"memory should be {should}, got {type(memory).__name__}")
        if caches is None:
            caches = Caches(KVCache() for _ in self.stack.blocks)
        n_past, T = len(caches[0]), ids.shape[1]
        mask = causal_mask(n_past + T, ids.device)[n_past:]  # (T, n_past + T)
        x = self.embedding(ids, start=n_past)
        x, weights, cross_weights = self.stack(x, mask, memory, caches)
        return self.embedding.logits(x), cross_weights if crosses else weights, caches


class EncoderDecoder(nn.Module):
    """The paper's model: read the source, then write the target.

    Args:
        source_size, target_size: the sizes of the two vocabularies.
        config: sizes and switches, the same for both halves.
    """

    def __init__(
        self, source_size: int, target_size: int, config: TransformerConfig
    ) -> None:
        super().__init__()
        self.encoder = Encoder(source_size, config)
        self.decoder = Decoder(target_size, config, cross=True)

    def forward(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Teacher forcing: logits (B, T, V), weights to the source of each layer."""
        batch = batch.to(self.decoder.embedding.tokens.weight.device)
        memory = self.encoder(batch.source, batch.source_mask)
        return self.decoder(batch.target_in, memory)[:2]
