"""Decoder-only language models, from GPT-2 to Llama, in one configuration.

GPT-2 (Radford et al., 2019) and Llama (Touvron et al., 2023,
https://arxiv.org/abs/2302.13971) are the same stack of blocks; they differ in
norm, positions, feed-forward part and number of key-value heads. The module is a
little long because it spans both families.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.attention import KVCache, causal_mask, scaled_dot_product_attention
from utils.counts import check_count
from utils.shapes import check_ids, check_shapes


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a model and its style; `gpt2` and `llama` fill in a style.

    Args:
        vocab_size: number of tokens.
        d_model: size of a position's vector.
        n_heads: query heads; each has d_model / n_heads numbers.
        n_layers: blocks.
        d_ff: hidden size of the feed-forward part.
        max_len: longest text, in tokens.
        n_kv_heads: heads of keys and values, each shared by n_heads / n_kv_heads
            query heads (Ainslie et al., 2023, https://arxiv.org/abs/2305.13245).
        rms_norm: True: divide by the root mean square, shift nothing (Zhang &
            Sennrich, 2019, https://arxiv.org/abs/1910.07467); False: layer norm.
        rope_base: wave length of the slowest rotation over 2 pi; 0: learned
            positions. Su et al., 2021, https://arxiv.org/abs/2104.09864
        gated: True: SwiGLU (Shazeer, 2020, https://arxiv.org/abs/2002.05202);
            False: two matrices with a GELU between.
        bias: whether linear layers have one.
        squared_relu: a squared ReLU instead of the GELU (So et al., 2021,
            https://arxiv.org/abs/2109.08668).
        token_shift: before each part, a position also reads the one before it
            (Peng et al., 2023, https://arxiv.org/abs/2305.13048).
        tied: the output shares the embedding's matrix (Press & Wolf, 2017,
            https://aclanthology.org/E17-2025).
        zero_out: matrices that write into the stream of sums start at 0, the
            others as torch starts them, embeddings with standard deviation 1.
        norm_eps: added to the variance.

    Raises:
        ValueError: if a size is out of range or does not divide another.
    """

    vocab_size: int
    d_model: int = 128
    n_heads: int = 4
    n_layers: int = 4
    d_ff: int = 512
    max_len: int = 256
    n_kv_heads: int = 4
    rms_norm: bool = False
    rope_base: float = 0.0
    gated: bool = False
    bias: bool = True
    squared_relu: bool = False
    token_shift: bool = False
    tied: bool = True
    zero_out: bool = False
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        counts = ("vocab_size", "d_model", "n_heads", "n_layers", "d_ff", "max_len")
        for name in (*counts, "n_kv_heads"):
            check_count(name, getattr(self, name))
        divides = self.d_model % self.n_heads == 0
        _require(divides, "n_heads should divide d_model", self)
        shared = self.n_heads % self.n_kv_heads == 0
        _require(shared, "n_kv_heads should divide n_heads", self)
        even = self.rope_base == 0 or self.d_k % 2 == 0
        _require(even, "d_model / n_heads should be even to be rotated", self)
        one = not (self.gated and self.squared_relu)
        _require(one, "gated and squared_relu should not both be True", self)

    @property
    def d_k(self) -> int:
        """Size of a head."""
        return self.d_model // self.n_heads

    @classmethod
    def gpt2(cls, vocab_size: int, **sizes) -> "GPTConfig":
        """Layer norm, learned positions, GELU, biases."""
        sizes.setdefault("n_kv_heads", sizes.get("n_heads", cls.n_heads))
        return cls(vocab_size, **sizes)

    @classmethod
    def llama(cls, vocab_size: int, **sizes) -> "GPTConfig":
        """RMS norm, rotary positions, SwiGLU, no bias."""
        sizes.setdefault("n_kv_heads", sizes.get("n_heads", cls.n_heads))
        style = {"rms_norm": True, "rope_base": 1e4, "gated": True, "bias": False}
        return cls(vocab_size, **{**style, **sizes})

    @classmethod
    def modern(cls, vocab_size: int, **sizes) -> "GPTConfig":
        """A style for quick training: see `utils.recipes`."""
        style = {"gated": False, "squared_relu": True, "token_shift": True}
        style |= {"tied": False, "zero_out": True}
        return cls.llama(vocab_size, **{**style, **sizes})


def _require(true: bool, message: str, config: GPTConfig) -> None:
    if not true:
        raise ValueError(f"{message}, got {config}")


def rotations(config: GPTConfig) -> Tensor:
    """The angles by which RoPE turns the pairs of a head's numbers.

    Pair i at position p is turned by p / base^(2i / d_k): the clocks of chapter
    05, now turning queries and keys. Su et al., 2021, section 3.2.2,
    https://arxiv.org/abs/2104.09864

    Returns:
        (2, max_len, d_k / 2): cosines and sines.
    """
    pair = torch.arange(0, config.d_k, 2, dtype=torch.float32)
    position = torch.arange(config.max_len, dtype=torch.float32)
    speed = config.rope_base ** (-pair / config.d_k)
    angle = position[:, None] * speed  # (max_len, d_k / 2)
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """Turn x (B, H, T, d_k): number i and number i + d_k / 2 are a pair."""
    cos, sin = turn
    a, b = x.chunk(2, dim=-1)  # (B, H, T, d_k / 2)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Places(NamedTuple):
    """What every layer needs to know of the positions."""

    turn: Tensor | None  # (2, B or 1, 1, T, d_k / 2) rotations; None: none
    mask: Tensor | None  # (B or 1, T, Tk) bool, True = may attend; None: all before
    follows: Tensor | None  # (B, T, 1) bool, True = another token stands before


class TokenShift(nn.Module):
    """x_t + mix * x_{t-1}, with a learned share for each number."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.full((d_model,), 0.3))

    def forward(self, x: Tensor, follows: Tensor | None, cache: KVCache) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model)."""
        before = torch.cat([cache.before(self, x), x[:, :-1]], dim=1)
        return x + self.mix * (before if follows is None else before * follows)


class Attention(nn.Module):
    """Causal self-attention whose query heads share fewer key-value heads."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config, bias = config, config.bias
        d_kv = config.n_kv_heads * config.d_k
        self.W_q = nn.Linear(config.d_model, config.d_model, bias=bias)
        self.W_k = nn.Linear(config.d_model, d_kv, bias=bias)
        self.W_v = nn.Linear(config.d_model, d_kv, bias=bias)
        self.W_o = nn.Linear(config.d_model, config.d_model, bias=bias)
        self.W_qkv: nn.Module | None = None  # after `GPT.fuse`

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys (B, H + n_kv_heads, T, d_k), values (B, n_kv_heads, …)."""
        if self.W_qkv is None:
            x = torch.cat([self.W_q(x), self.W_k(x), self.W_v(x)], dim=-1)
        else:
            x = self.W_qkv(x)
        heads = x.unflatten(-1, (-1, self.config.d_k)).transpose(1, 2)
        n_kv = self.config.n_kv_heads
        return heads[:, :-n_kv], heads[:, -n_kv:]

    def forward(
        self, x: Tensor, places: Places, cache: KVCache
    ) -> tuple[Tensor, Tensor | None]:
        """Pass x (B, T, d_model) on; weights (B, H, T, Tk) where there is a mask."""
        qk, v = self._project(x)
        if places.turn is not None:
            qk = rotate(qk, places.turn)
        q, k = qk.split([self.config.n_heads, self.config.n_kv_heads], dim=1)
        is_first = len(cache) == 0
        k, v = cache.extend(k, v)
        n_shared = self.config.n_heads // self.config.n_kv_heads
        if places.mask is None:  # torch's, which keeps no weights
            weights, options = None, {"is_causal": is_first, "enable_gqa": n_shared > 1}
            out = F.scaled_dot_product_attention(q, k, v, **options)
        else:
            k, v = (z.repeat_interleave(n_shared, dim=1) for z in (k, v))
            mask = places.mask[:, None]
            out, weights = scaled_dot_product_attention(q, k, v, mask)
        return self.W_o(out.transpose(1, 2).flatten(2)), weights


class FeedForward(nn.Module):
    """W_down(gelu(W_up x)), or gated: W_down(silu(W_gate x) * W_up x)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.squared_relu = config.squared_relu
        sizes = config.d_model, config.d_ff
        self.W_gate = nn.Linear(*sizes, bias=config.bias) if config.gated else None
        self.W_up = nn.Linear(*sizes, bias=config.bias)
        self.W_down = nn.Linear(*sizes[::-1], bias=config.bias)
        self.W_both: nn.Module | None = None  # after `GPT.fuse`

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, d_model) -> (B, T, d_model), each position alone."""
        if self.W_both is not None:
            gate, up = self.W_both(x).chunk(2, dim=-1)
            return self.W_down(F.silu(gate) * up)
        if self.squared_relu:
            return self.W_down(self.W_up(x).relu().square())
        if self.W_gate is None:
            return self.W_down(F.gelu(self.W_up(x), approximate="tanh"))
        return self.W_down(F.silu(self.W_gate(x)) * self.W_up(x))


class Block(nn.Module):
    """Attention and feed-forward part, each normed before and added after."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        d_model, shifts = config.d_model, config.token_shift
        self.norm_1 = _norm(config)
        self.shift_1 = TokenShift(d_model) if shifts else None
        self.attention = Attention(config)
        self.norm_2 = _norm(config)
        self.shift_2 = TokenShift(d_model) if shifts else None
        self.feed_forward = FeedForward(config)

    def forward(
        self, x: Tensor, places: Places, cache: KVCache
    ) -> tuple[Tensor, Tensor | None]:
        """As `Attention.forward`."""
        h = self.norm_1(x)
        if self.shift_1 is not None:
            h = self.shift_1(h, places.follows, cache)
        seen, weights = self.attention(h, places, cache)
        x = x + seen
        h = self.norm_2(x)
        if self.shift_2 is not None:
            h = self.shift_2(h, places.follows, cache)
        return x + self.feed_forward(h), weights


def _norm(config: GPTConfig) -> nn.Module:
    if config.rms_norm:
        return nn.RMSNorm(config.d_model, eps=config.norm_eps)
    return nn.LayerNorm(config.d_model, eps=config.norm_eps, bias=config.bias)


def joined(*linears: nn.Linear) -> nn.Linear:
    """One layer that gives what several give, side by side.

    Its columns lie together in memory: the product with one token's vector is
    quicker so where a matrix has more rows than columns.
    """
    weight = torch.cat([linear.weight.detach() for linear in linears])
    with torch.device("meta"):  # no memory for values that are replaced at once
        one = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    one.weight = nn.Parameter(weight.T.contiguous().T, requires_grad=False)
    if linears[0].bias is not None:
        bias = torch.cat([linear.bias.detach() for linear in linears])
        one.bias = nn.Parameter(bias, requires_grad=False)
    return one


class GPT(nn.Module):
    """A decoder that gives, at each position, scores for the token after it.

    Matrices and embeddings start normal with standard deviation 0.02, those that
    write into the stream of sums with 0.02 / sqrt(2 n_layers), biases at 0, as in
    GPT-2 (Radford et al., 2019, section 2.3), unless config.zero_out.

    Args:
        config: sizes and style.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.d_model)
        learned = config.rope_base == 0
        self.positions = (
            nn.Embedding(config.max_len, config.d_model) if learned else None
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = _norm(config)
        self.output = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.tied:
            self.output.weight = self.tokens.weight
        turns = None if learned else rotations(config)
        self.register_buffer("turns", turns, persistent=False)
        self.apply(self._start)

    def _start(self, module: nn.Module) -> None:
        std = 0.02 / (2 * self.config.n_layers) ** 0.5
        if self.config.zero_out:
            std = 0.0
        elif isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, Block):
            nn.init.normal_(module.attention.W_o.weight, std=std)
            nn.init.normal_(module.feed_forward.W_down.weight, std=std)

    def states(
        self,
        ids: Tensor,
        real: Tensor | None = None,
        caches: list[KVCache] | None = None,
        look: bool = True,
        documents: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor], list[KVCache]]:
        """The last layer's states of ids (B, T) int64.

        Args:
            ids: (B, T) int64.
            real: (B, T so far) bool, True = a token, for texts padded on the left
                or right; None: all are. It covers the tokens in caches too.
            caches: of the tokens before `ids`, extended in place; None: none.
            look: False gives no weights, and is faster where all are tokens.
            documents: (B, T) int64 in place of `real`, several texts in a row: the
                number of the text a token is of, from 1; 0: padding. No text sees
                another, and positions start anew in each.

        Returns:
            states: (B, T, d_model), what the output layer reads.
            weights: (B, H, T, T so far) of each layer; none without `look`.
            caches: of all tokens so far.

        Raises:
            ValueError: if a shape does not fit or the text exceeds max_len, or there
                are documents beside `real` or caches.
        """
        check_shapes(ids=(ids, "B T"))
        check_ids(ids, self.config.vocab_size)
        if documents is not None and not (real is None and caches is None):
            raise ValueError(
                "documents should come without real and caches: mark padding by 0, "
                "and write on one text a row"
            )
        if caches is None:
            caches = [KVCache() for _ in self.blocks]
        if documents is None:
            places, position = self._places(ids, real, len(caches[0]), look)
        else:
            places, position = self._places_apart(documents, ids)
        x = self.tokens(ids)
        if self.positions is not None:
            x = x + self.positions(position)
        weights = []
        for block, cache in zip(self.blocks, caches, strict=True):
            x, seen = block(x, places, cache)
            if look:
                weights.append(seen)
        return self.norm(x), weights, caches

    def forward(
        self,
        ids: Tensor,
        real: Tensor | None = None,
        caches: list[KVCache] | None = None,
        look: bool = True,
        documents: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor], list[KVCache]]:
        """Score the token after each of ids: as `states`, but logits (B, T, V)."""
        x, weights, caches = self.states(ids, real, caches, look, documents)
        return self.output(x), weights, caches

    @torch.no_grad()
    def fuse(self) -> "GPT":
        """Join matrices that read the same vector, in place: quicker generation.

        The same numbers, up to rounding; the model cannot be trained any more.
        """
        for block in self.blocks:
            part, forward = block.attention, block.feed_forward
            part.W_qkv = joined(part.W_q, part.W_k, part.W_v)
            part.W_q = part.W_k = part.W_v = None
            if self.config.gated:
                forward.W_both = joined(forward.W_gate, forward.W_up)
                forward.W_gate = forward.W_up = None
        self.output = joined(self.output)
        if self.config.tied:
            self.tokens.weight = self.output.weight
        return self

    def _places(
        self, ids: Tensor, real: Tensor | None, n_past: int, look: bool
    ) -> tuple[Places, Tensor]:
        """Masks and rotations of ids (B, T), and each token's position (B or 1, T)."""
        B, T = ids.shape
        n = n_past + T
        if n > self.config.max_len:
            raise ValueError(
                f"the text should have at most max_len={self.config.max_len} tokens, "
                f"has {n}: cut its beginning off"
            )
        if real is not None:
            check_shapes(real=(real, f"{B} {n}"))
            real = None if real.all() else real
        if real is None:
            position = torch.arange(n_past, n, device=ids.device)[None]  # (1, T)
        else:
            position = (real.cumsum(1) - 1).clamp(min=0)[:, n_past:]  # (B, T)
        mask = None
        if look or real is not None or (n_past and T > 1):
            mask = causal_mask(n, ids.device)[None, n_past:]  # (1, T, n)
            mask = mask if real is None else mask & real[:, None]
        follows = None if real is None else (position > 0)[..., None]
        return Places(self._turn(position), mask, follows), position

    def _turn(self, position: Tensor) -> Tensor | None:
        """The rotations at positions (B or 1, T): (2, B or 1, 1, T, d_k / 2)."""
        return None if self.turns is None else self.turns[:, position][:, :, None]

    def _places_apart(self, documents: Tensor, ids: Tensor) -> tuple[Places, Tensor]:
        """As `_places`, for several texts in each row."""
        check_shapes(ids=(ids, "B T"), documents=(documents, "B T"))
        same = documents[:, :, None] == documents[:, None]  # (B, T, T)
        mask = same & causal_mask(ids.shape[1], ids.device)
        position = (mask.sum(-1) - 1).masked_fill(documents == 0, 0)  # (B, T)
        longest = int(position.max()) + 1
        if longest > self.config.max_len:
            raise ValueError(
                f"a text should have at most max_len={self.config.max_len} tokens, "
                f"one has {longest}: cut its beginning off"
            )
        return Places(self._turn(position), mask, (position > 0)[..., None]), position
