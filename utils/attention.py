"""Attention: how well each query fits each key, and the average that follows.

Three ways to score a query against a key, with the letters of the papers:
additive (Bahdanau et al., 2014), dot and general (Luong et al., 2015); then the
scaled dot product and its many heads (Vaswani et al., 2017). Masks are bool
everywhere, True = may attend. The module is long because all of attention is
here, so that chapters 03 to 08 share one softmax and one mask.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.counts import check_count
from utils.shapes import check_shapes


def padding_mask(lengths: Tensor, max_len: int | None = None) -> Tensor:
    """Mark the real tokens of padded rows.

    Args:
        lengths: (B,) int, the number of real tokens of each row.
        max_len: T, the padded length; the longest row if None.

    Returns:
        mask: (B, T) bool, True = a real token.

    Raises:
        ValueError: if a length is negative or longer than `max_len`.

    >>> padding_mask(torch.tensor([1, 2])).tolist()
    [[True, False], [True, True]]
    """
    check_shapes(lengths=(lengths, "B"))
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise ValueError(f"lengths should be integers, got {lengths.dtype}")
    longest = int(lengths.max()) if len(lengths) else 0
    max_len = longest if max_len is None else max_len
    if longest > max_len or (lengths < 0).any():
        raise ValueError(
            f"lengths should be from 0 to max_len={max_len}, "
            f"got {lengths.tolist()}: cut the rows or raise max_len"
        )
    return torch.arange(max_len, device=lengths.device) < lengths[:, None]  # (B, T)


def causal_mask(n_positions: int, device: torch.device | None = None) -> Tensor:
    """Let each position attend to itself and to those before it.

    Args:
        n_positions: T.
        device: where the mask should be; the CPU if None.

    Returns:
        mask: (T, T) bool, True where row t may attend to column j, j <= t.

    Raises:
        ValueError: if `n_positions` is negative.

    >>> causal_mask(2).tolist()
    [[True, False], [True, True]]
    """
    check_count("n_positions", n_positions, least=0)
    ones = torch.ones(n_positions, n_positions, dtype=torch.bool, device=device)
    return ones.tril()


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Turn scores into weights that sum to 1 over the allowed keys.

    Args:
        scores: (..., Tk) float.
        mask: bool, broadcasts to (..., Tk); True = may attend.

    Returns:
        weights: (..., Tk). A row with no allowed key is all 0, and so is its
            gradient.

    Raises:
        ValueError: if the mask is not bool or does not fit the scores.

    >>> masked_softmax(torch.zeros(3), torch.tensor([True, True, False])).tolist()
    [0.5, 0.5, 0.0]
    """
    check_shapes(scores=(scores, "... Tk"))
    if not scores.is_floating_point():
        raise ValueError(f"scores should be floating point, got {scores.dtype}")
    if mask is None:
        return scores.softmax(dim=-1)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind = getattr(mask, "dtype", type(mask).__name__)
        raise ValueError(
            f"mask should be a bool tensor (True = may attend), got {kind}: "
            "write mask.bool()"
        )
    try:
        mask = mask.expand_as(scores)
    except RuntimeError:
        raise ValueError(
            f"mask should broadcast to the scores, {tuple(scores.shape)}, but has "
            f"shape {tuple(mask.shape)}: a (B, S) padding mask needs mask[:, None]"
        ) from None
    # Not -inf: a row with no allowed key would be NaN, and so its gradient.
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, lowest).softmax(dim=-1) * mask


class AdditiveScore(nn.Module):
    """e = v . tanh(W s + U h): a small network compares query and key.

    Bahdanau et al., 2014, appendix A.1.2, https://arxiv.org/abs/1409.0473

    Args:
        d_model: size of queries, keys and of the layer between.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        _check_size(d_model)
        self.W = nn.Linear(d_model, d_model, bias=False)
        self.U = nn.Linear(d_model, d_model)
        self.v = nn.Linear(d_model, 1, bias=False)

    def forward(self, s: Tensor, h: Tensor) -> Tensor:
        """Score queries s (B, T, d_model) against keys h (B, S, d_model).

        Returns:
            scores: (B, T, S).
        """
        _check_pair(s, h)
        hidden = torch.tanh(self.W(s)[:, :, None] + self.U(h)[:, None])
        return self.v(hidden).squeeze(-1)  # (B, T, S, d_model) -> (B, T, S)


class DotScore(nn.Module):
    """e = s . h: the dot product, with nothing to learn.

    Luong et al., 2015, eq. 8, https://arxiv.org/abs/1508.04025
    """

    def forward(self, s: Tensor, h: Tensor) -> Tensor:
        """Score queries s (B, T, d_model) against keys h (B, S, d_model).

        Returns:
            scores: (B, T, S).
        """
        _check_pair(s, h)
        return s @ h.transpose(1, 2)


class GeneralScore(nn.Module):
    """e = s . W h: the dot product after a learned map.

    Luong et al., 2015, eq. 8, https://arxiv.org/abs/1508.04025

    Args:
        d_model: size of queries and keys.
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        _check_size(d_model)
        self.W = nn.Linear(d_model, d_model, bias=False)

    def forward(self, s: Tensor, h: Tensor) -> Tensor:
        """Score queries s (B, T, d_model) against keys h (B, S, d_model).

        Returns:
            scores: (B, T, S).
        """
        _check_pair(s, h)
        return s @ self.W(h).transpose(1, 2)


def _check_pair(s: Tensor, h: Tensor) -> None:
    check_shapes(s=(s, "B T d_model"), h=(h, "B S d_model"))


def _check_size(d_model: int) -> None:
    check_count("d_model", d_model)


def make_score(name: str, d_model: int) -> nn.Module:
    """Build a score by its name in the papers: additive, dot or general.

    Raises:
        ValueError: if there is no such score.
    """
    if name == "additive":
        return AdditiveScore(d_model)
    if name == "dot":
        return DotScore()
    if name == "general":
        return GeneralScore(d_model)
    raise ValueError(f"score should be 'additive', 'dot' or 'general', got {name!r}")


def scaled_dot_product_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Average the values, each weighted by how well its key matches the query.

    Eq. 1 of Vaswani et al., 2017, https://arxiv.org/abs/1706.03762

    Args:
        q: (..., Tq, d_k) queries.
        k: (..., Tk, d_k) keys.
        v: (..., Tk, d_v) values.
        mask: bool, broadcasts to (..., Tq, Tk); True = may attend.
        dropout: share of weights set to 0, the others scaled up; for training.
            Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    Returns:
        out: (..., Tq, d_v).
        weights: (..., Tq, Tk), before dropout. A row sums to 1, or is all 0
            where the mask allows no key at all.

    Raises:
        ValueError: if q, k and v do not fit together, the mask is not bool or
            does not fit, or dropout is not a probability.

    >>> eye = torch.eye(2)
    >>> out, weights = scaled_dot_product_attention(eye, eye, eye)
    >>> [round(w, 2) for w in weights[0].tolist()]
    [0.67, 0.33]
    """
    sizes = check_shapes(q=(q, "... Tq d_k"), k=(k, "... Tk d_k"), v=(v, "... Tk d_v"))
    _check_together(q, k, v)
    check_dropout(dropout)
    # The scale goes to q: in float16 the products could overflow before it.
    scores = (q / math.sqrt(max(sizes["d_k"], 1))) @ k.transpose(-2, -1)
    weights = masked_softmax(scores, mask)  # (..., Tq, Tk)
    used = F.dropout(weights, dropout) if dropout else weights
    return used @ v, weights  # (..., Tq, d_v), (..., Tq, Tk)


def _check_together(q: Tensor, k: Tensor, v: Tensor) -> None:
    """One floating-point type, and batch axes that broadcast."""
    kinds = [x.dtype for x in (q, k, v)]
    if len(set(kinds)) > 1 or not q.is_floating_point():
        raise ValueError(
            "q, k and v should have one floating-point type, have "
            f"{', '.join(map(str, kinds))}: write .float() or .to(q.dtype)"
        )
    axes = [tuple(x.shape[:-2]) for x in (q, k, v)]
    try:
        torch.broadcast_shapes(*axes)
    except RuntimeError:
        raise ValueError(
            f"q, k and v should have the same batch axes, have {axes[0]}, {axes[1]} "
            f"and {axes[2]}"
        ) from None


def check_dropout(dropout: float) -> None:
    """Refuse a dropout that is not a probability below 1.

    Raises:
        ValueError: if it is not.
    """
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout should be from 0 to below 1, got {dropout!r}")


class KVCache:
    """The keys and values of the positions that attention has read so far.

    What was read does not change when more is written, so a decoder that writes
    word by word computes each key and value once.
    """

    def __init__(self) -> None:
        self.kv: tuple[Tensor, Tensor] | None = None
        self.last: dict[nn.Module, Tensor] = {}

    def __len__(self) -> int:
        return 0 if self.kv is None else self.kv[0].shape[-2]

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append k and v (B, H, T, d_k); return all keys and values so far."""
        if self.kv is not None:
            past = self.kv[0]
            if (*past.shape[:2], past.shape[-1]) != (*k.shape[:2], k.shape[-1]):
                check_shapes(past=(past, "B H Tpast d_k"), k=(k, "B H T d_k"))
            k, v = (
                torch.cat(pair, dim=-2) for pair in zip(self.kv, (k, v), strict=True)
            )
        self.kv = k, v
        return k, v

    def before(self, part: nn.Module, x: Tensor) -> Tensor:
        """What `part` read last before x (B, T, d): (B, 1, d), 0 at the start."""
        before = self.last.get(part)
        self.last[part] = x[:, -1:]
        return torch.zeros_like(x[:, :1]) if before is None else before

    def __getitem__(self, rows: Tensor) -> "KVCache":
        """The cache of the chosen sentences, in that order."""
        chosen = KVCache()
        chosen.last = {part: x[rows] for part, x in self.last.items()}
        if self.kv is not None:
            chosen.kv = self.kv[0][rows], self.kv[1][rows]
        return chosen


class MultiHeadAttention(nn.Module):
    """Attend n_heads times in smaller spaces, then mix the results.

    Section 3.2.2 of Vaswani et al., 2017, https://arxiv.org/abs/1706.03762. The
    matrices start uniform within sqrt(6 / (fan_in + fan_out)), Glorot & Bengio,
    2010, https://proceedings.mlr.press/v9/glorot10a.html; the biases at 0.

    Args:
        d_model: size of a position's vector, in and out.
        n_heads: number of heads; divides d_model, d_k = d_model / n_heads.
        dropout: share of attention weights dropped in training.

    Raises:
        ValueError: if a size is below 1 or n_heads does not divide d_model.
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        _check_size(d_model)
        check_count("n_heads", n_heads)
        if d_model % n_heads:
            raise ValueError(
                f"n_heads should divide d_model={d_model}, got "
                f"{n_heads}: each head gets d_model / n_heads numbers"
            )
        check_dropout(dropout)
        self.n_heads, self.dropout = n_heads, dropout
        self.W_q = nn.Linear(d_model, d_model)
        self.W_k = nn.Linear(d_model, d_model)
        self.W_v = nn.Linear(d_model, d_model)
        self.W_o = nn.Linear(d_model, d_model)
        for linear in (self.W_q, self.W_k, self.W_v, self.W_o):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Let each position of x look at memory, or at x itself.

        Args:
            x: (B, Tq, d_model), asks.
            memory: (B, Tk, d_model), is asked; x if None (self-attention).
            mask: bool, broadcasts to (B, Tq, Tk); True = may attend. A padding
                mask (B, Tk) is given as mask[:, None].
            cache: gets the keys and values of `memory`, which then follow those
                it holds: Tk counts them all.

        Returns:
            out: (B, Tq, d_model).
            weights: (B, H, Tq, Tk).

        Raises:
            ValueError: if a shape does not fit.
        """
        memory = x if memory is None else memory
        d_model = str(self.W_q.in_features)
        check_shapes(x=(x, f"B Tq {d_model}"), memory=(memory, f"B Tk {d_model}"))
        q = self._split(self.W_q(x))  # (B, H, Tq, d_k)
        k, v = self._split(self.W_k(memory)), self._split(self.W_v(memory))
        if cache is not None:
            k, v = cache.extend(k, v)  # (B, H, Tk, d_k)
        if mask is not None and mask.ndim == 3:
            mask = mask[:, None]  # (B, 1, Tq, Tk), the same for every head
        dropout = self.dropout if self.training else 0.0
        out, weights = scaled_dot_product_attention(q, k, v, mask, dropout)
        out = out.transpose(1, 2).flatten(2)  # (B, Tq, d_model)
        return self.W_o(out), weights

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, d_model) -> (B, H, T, d_k)"""
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
