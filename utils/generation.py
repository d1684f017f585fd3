"""Write text with a language model: choose tokens, one at a time or all at once.

Greedy, with temperature, top-k, top-p and a repetition penalty; texts of
different length side by side; streaming. Knows no particular model: whatever maps
(ids, real, caches) to (logits, weights, caches), as `utils.gpt.GPT` does.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from utils.shapes import check_shapes


def next_tokens(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose a token for each row of logits (B, V).

    Args:
        temperature: logits are divided by it; 0 takes the most probable token.
        top_k: only so many of the most probable; 0: all. Fan et al., 2018,
            https://arxiv.org/abs/1805.04833
        top_p: only the fewest most probable with this share of the probability;
            1: all. Holtzman et al., 2019, https://arxiv.org/abs/1904.09751
        generator: of random numbers; torch's own if None.

    Returns:
        ids: (B,) int64.

    Raises:
        ValueError: if a number is out of range or the logits are not finite.
    """
    check_shapes(logits=(logits, "B V"))
    if not (temperature >= 0 and top_k >= 0 and 0 < top_p <= 1):
        raise ValueError(
            "temperature and top_k should be 0 or more and top_p above 0, at most 1, "
            f"got {temperature}, {top_k} and {top_p}"
        )
    if logits.isnan().any():
        raise ValueError("logits should be numbers, some are NaN: look at the model")
    if temperature == 0:
        return logits.argmax(dim=-1)
    ordered, order = (logits.float() / temperature).sort(dim=-1, descending=True)
    if top_k:
        ordered[:, top_k:] = -torch.inf
    p = ordered.softmax(dim=-1)
    p = p * (p.cumsum(dim=-1) - p < top_p)  # the first one always stays
    chosen = p.multinomial(1, generator=generator)  # (B, 1)
    return order.gather(1, chosen)[:, 0]


def penalise(logits: Tensor, ids: Tensor, real: Tensor, penalty: float) -> Tensor:
    """Make tokens that stand in ids already less probable, by `penalty` > 1.

    Keskar et al., 2019, section 4.1, https://arxiv.org/abs/1909.05858: a positive
    logit is divided by the penalty, a negative one multiplied.

    Args:
        logits: (B, V).
        ids, real: (B, T), the tokens so far and whether they are tokens.
    """
    seen = torch.zeros_like(logits, dtype=torch.bool)
    rows = torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids)
    seen[rows[real], ids[real]] = True
    lower = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(seen, lower, logits)


@torch.no_grad()
def stream(
    model: nn.Module,
    ids: Tensor,
    real: Tensor | None = None,
    n_new: int = 50,
    repetition_penalty: float = 1.0,
    use_cache: bool = True,
    **sampling,
) -> Iterator[Tensor]:
    """Yield, one at a time, the next tokens (B,) of some texts.

    Args:
        model: a `GPT`; it has no dropout, so train or eval mode is the same.
        ids: (B, T) int64, texts of different length padded on the left.
        real: (B, T) bool, True = a token; None: all are.
        n_new: how many tokens to write.
        repetition_penalty: see `penalise`; 1: none.
        use_cache: False computes all positions again for each token.
        sampling: temperature, top_k, top_p, generator of `next_tokens`.

    Raises:
        ValueError: if a number is out of range, or a text is empty or padded on
            the right.
    """
    if real is None:
        real = torch.ones_like(ids, dtype=torch.bool)
    check_shapes(ids=(ids, "B T"), real=(real, "B T"))
    if n_new < 0 or repetition_penalty <= 0:
        raise ValueError(
            "n_new should be 0 or more and repetition_penalty above 0, got "
            f"{n_new} and {repetition_penalty}"
        )
    if ids.shape[1] == 0 or not real[:, -1].all():
        raise ValueError(
            "each text should end in a token: pad on the left, give at least one"
        )
    caches, new = None, ids
    for _ in range(n_new):
        if use_cache:
            logits, _, caches = model(new, real, caches, look=False)
        else:
            logits, _, _ = model(ids, real, look=False)
        last = logits[:, -1]  # (B, V)
        if repetition_penalty != 1:
            last = penalise(last, ids, real, repetition_penalty)
        chosen = next_tokens(last, **sampling)
        yield chosen
        new = chosen[:, None]  # (B, 1)
        ids = torch.cat([ids, new], dim=1)
        real = torch.cat([real, torch.ones_like(new, dtype=torch.bool)], dim=1)


def generate(
    model: nn.Module,
    ids: Tensor,
    real: Tensor | None = None,
    n_new: int = 50,
    stop: Iterable[int] = (),
    **options,
) -> list[list[int]]:
    """Write on each of some texts, until a stop token or n_new tokens.

    Args:
        ids, real, n_new, options: as in `stream`.
        stop: ids that end a text; they are left out.

    Returns:
        For each text the new ids.
    """
    stop, out, going = set(stop), [[] for _ in ids], set(range(len(ids)))
    for chosen in stream(model, ids, real, n_new, **options):
        for row, i in enumerate(chosen.tolist()):
            if i in stop:
                going.discard(row)
            if row in going:
                out[row].append(i)
        if not going:
            break
    return out
