"""The losses and estimates of RLHF: tensors in, tensors out; no model, no text.

A sequence has T tokens; logits at t score token t + 1. `reply` (B, T) bool is True
at the tokens that the model wrote, the one that ends the reply included, and False
at prompt and padding, on whichever side. A step chooses the next token, so tensors
over steps are (B, T-1), and their `mask` is `reply[:, 1:]`. What stands outside the
mask is never read: it may be anything, even NaN, and gets no gradient.

Log-probabilities, KL and entropies are in nats. Whole numbers and bools count as
floats. Tensors that do not fit together, NaN or infinity inside the mask and numbers
out of range are refused with ValueError, here and nowhere said again.

Long because it is one formula sheet: twenty short functions, chapter 11's letters.
"""

import math
from numbers import Real

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from utils.counts import check_count
from utils.shapes import check_ids, check_shapes

STEPS = "B T-1"
RANGES = {
    "finite": lambda value: True,
    "0 or more": lambda value: value >= 0,
    "above 0": lambda value: value > 0,
    "from 0 to 1": lambda value: 0 <= value <= 1,
}


# --- what every function refuses ----------------------------------------------


def _check_number(name: str, value: float, allowed: str, usual: float) -> None:
    """Refuse what is no finite number in the named one of RANGES."""
    real = isinstance(value, Real) and math.isfinite(value)
    if not real or not RANGES[allowed](value):
        raise ValueError(
            f"{name} should be a number, {allowed}, is {value!r}: try {usual}"
        )


def _check_mask(name: str, mask: Tensor) -> None:
    """Refuse a mask that is not bool."""
    if mask.dtype != torch.bool:
        raise ValueError(
            f"{name} should be bool (True = a token that the model wrote), is "
            f"{mask.dtype}: write {name}.bool()"
        )


def _check_rows(name: str, mask: Tensor) -> None:
    """Refuse a row without a written token."""
    empty = (~mask.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"{name} should have a written token in each row, has none in row "
            f"{empty[0]}: leave out sequences without a reply"
        )


def _finite(name: str, x: Tensor) -> Tensor:
    """The tensor as floats, without NaN and infinity."""
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    if not x.isfinite().all():
        bad = x[~x.isfinite()].flatten()[0].item()
        raise ValueError(f"{name} should be finite, holds {bad}: look where it is from")
    return x


def _numbers(axes: str, **named: Tensor) -> list[Tensor]:
    """Tensors of the same shape, finite and not empty, as floats."""
    sizes = check_shapes(**{name: (x, axes) for name, x in named.items()})
    if 0 in sizes.values():
        raise ValueError(
            f"{' and '.join(named)} should not be empty, have {sizes}: give one"
        )
    return [_finite(name, x) for name, x in named.items()]


def _inside(mask: Tensor, axes: str = STEPS, **named: Tensor) -> list[Tensor]:
    """Tensors shaped as the mask, finite inside it, as floats that are 0 outside."""
    pairs = {name: (x, axes) for name, x in named.items()}
    check_shapes(mask=(mask, axes), **pairs)
    _check_mask("mask", mask)
    if not mask.any():
        raise ValueError(
            f"mask {tuple(mask.shape)} should be True somewhere, is nowhere: "
            "was it cut too short, or is it turned round?"
        )
    return [_finite(name, x.masked_fill(~mask, 0)) for name, x in named.items()]


def _axes(mask: Tensor) -> str:
    """Names for as many axes as the mask has, 4 at most."""
    return " ".join([*STEPS.split(), "U", "V"][: getattr(mask, "ndim", 2)])


# --- log-probabilities of a reply ---------------------------------------------


def _choices(logits: Tensor, reply: Tensor) -> Tensor:
    """log p (n, V) at the n steps that chose a written token, float32 at least."""
    _check_mask("reply", reply)
    rows = logits[:, :-1][reply[:, 1:]]  # (n, V): nothing else enters the graph
    return rows.log_softmax(-1, dtype=torch.promote_types(rows.dtype, torch.float32))


def _at_steps(found: Tensor, reply: Tensor) -> Tensor:
    """Put the n numbers of the written tokens back in place, 0 elsewhere."""
    mask = reply[:, 1:]
    return found.new_zeros(mask.shape).masked_scatter(mask, found)  # (B, T-1)


def token_log_probs(logits: Tensor, ids: Tensor, reply: Tensor) -> Tensor:
    """How probable the model found each token of its reply: log p(token | before).

    Args:
        logits: (B, T, V); those at t score token t + 1.
        ids: (B, T) integers; outside the reply anything, such as -100.
        reply: (B, T) bool, True = written by the model. A first token is scored
            by no logits and does not count.

    Returns:
        (B, T-1) in nats, exactly 0 where the token is not of the reply; float32
        for half-precision logits, whose ratios would be too coarse.

    Raises:
        ValueError: if a written token has no finite log-probability, besides what
            the module refuses.

    >>> ids, reply = torch.tensor([[5, 0, 1]]), torch.tensor([[False, False, True]])
    >>> token_log_probs(torch.zeros(1, 3, 4), ids, reply)[0].exp()  # 1 = not counted
    tensor([1.0000, 0.2500])
    """
    sizes = check_shapes(
        logits=(logits, "B T V"), ids=(ids, "B T"), reply=(reply, "B T")
    )
    log_p = _choices(logits, reply)  # (n, V)
    chosen = ids[:, 1:][reply[:, 1:]]  # (n,)
    check_ids(chosen, sizes["V"])
    found = log_p.gather(-1, chosen.long()[:, None])[:, 0]  # (n,)
    return _at_steps(_finite("log p of a written token", found), reply)


def sequence_log_probs(logits: Tensor, ids: Tensor, reply: Tensor) -> Tensor:
    """log p(reply | prompt), the sum over the tokens of each reply.

    Args:
        logits, ids, reply: as in `token_log_probs`.

    Returns:
        (B,) in nats.

    Raises:
        ValueError: if a row has no reply.

    >>> ids, reply = torch.tensor([[5, 0, 1]]), torch.tensor([[False, True, True]])
    >>> sequence_log_probs(torch.zeros(1, 3, 4), ids, reply).exp()  # 1/4 of 1/4
    tensor([0.0625])
    """
    found = token_log_probs(logits, ids, reply)
    _check_rows("reply[:, 1:]", reply[:, 1:])
    return found.sum(-1)


def token_entropies(logits: Tensor, reply: Tensor) -> Tensor:
    """How undecided the model was at each token of its reply.

    Args:
        logits: (B, T, V); -inf forbids a token.
        reply: (B, T) bool.

    Returns:
        (B, T-1) in nats, from 0 to ln V; 0 outside the reply.

    >>> token_entropies(torch.zeros(1, 2, 4), torch.tensor([[False, True]])).exp()
    tensor([[4.]])
    """
    check_shapes(logits=(logits, "B T V"), reply=(reply, "B T"))
    log_p = _choices(logits, reply)  # (n, V)
    # 0 log 0 is 0; without the fill it would be NaN.
    found = -(log_p.exp() * log_p.masked_fill(log_p == -math.inf, 0)).sum(-1)
    return _at_steps(_finite("entropy of a written token", found), reply)


# --- means --------------------------------------------------------------------


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """The mean over the True places: a scalar.

    Args:
        x, mask: one shape, of 1 to 4 axes; mask bool.

    Raises:
        ValueError: if no place is True.

    >>> masked_mean(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False]))
    tensor(2.)
    """
    (x,) = _inside(mask, _axes(mask), x=x)
    return x[mask].mean()


def _standardise(x: Tensor) -> Tensor:
    """Mean 0, variance 1 (over n, not n - 1) on the last axis; all equal gives 0."""
    flat = x.amax(-1, keepdim=True) == x.amin(-1, keepdim=True)
    # Equal numbers may differ from their rounded mean; that is no signal to enlarge.
    off = (x - x.mean(-1, keepdim=True)).masked_fill(flat, 0)
    variance = off.square().mean(-1, keepdim=True)
    return off / variance.masked_fill(variance == 0, 1).sqrt()


def whiten(x: Tensor, mask: Tensor, shift_mean: bool = True) -> Tensor:
    """Bring the True places to mean 0 and variance 1 (over n, not n - 1).

    Args:
        x, mask: one shape, of 1 to 4 axes; mask bool.
        shift_mean: if False the mean stays what it was, as for rewards in
            Ziegler et al., 2019, https://arxiv.org/abs/1909.08593

    Returns:
        The shape of x, 0 outside the mask. Equal numbers, or a single one, have
        no spread to scale: they give 0 (their mean if not `shift_mean`).

    Raises:
        ValueError: if no place is True.

    >>> whiten(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([True, True, False]))
    tensor([-1.,  1.,  0.])
    """
    (x,) = _inside(mask, _axes(mask), x=x)
    values = x[mask]  # (n,)
    white = _standardise(values) + (0 if shift_mean else values.mean())
    return torch.zeros_like(x).masked_scatter(mask, white)


# --- the reward model ---------------------------------------------------------


def reward_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Bradley-Terry: -log of the chance that the preferred reply wins, the mean.

    Eq. 1 of Ouyang et al., 2022, https://arxiv.org/abs/2203.02155

    Args:
        chosen, rejected: (B,) rewards of the two replies of each pair.

    Returns:
        A scalar, nats per pair; ln 2 if the rewards say nothing.

    >>> reward_loss(torch.tensor([2.0]), torch.tensor([2.0])).exp()
    tensor(2.)
    """
    chosen, rejected = _numbers("B", chosen=chosen, rejected=rejected)
    return -logsigmoid(chosen - rejected).mean()


def pair_accuracy(chosen: Tensor, rejected: Tensor) -> float:
    """The share of pairs ranked as the labeller did, from 0 to 1; a tie is a half.

    Args:
        chosen, rejected: (B,) rewards of the two replies of each pair.

    >>> pair_accuracy(torch.tensor([2.0, 1.0]), torch.tensor([0.0, 1.0]))
    0.75
    """
    chosen, rejected = _numbers("B", chosen=chosen, rejected=rejected)
    n_wins = (chosen > rejected).sum().item()
    n_ties = (chosen == rejected).sum().item()
    return (n_wins + n_ties / 2) / len(chosen)


# --- rewards and KL of a policy -----------------------------------------------


def _gaps(log_probs: Tensor, ref_log_probs: Tensor, mask: Tensor) -> Tensor:
    """log p - log p_ref at each written token, 0 elsewhere (B, T-1)."""
    ours, ref = _inside(mask, log_probs=log_probs, ref_log_probs=ref_log_probs)
    return ours - ref


def shaped_rewards(
    scores: Tensor,
    log_probs: Tensor,
    ref_log_probs: Tensor,
    mask: Tensor,
    kl_weight: float,
) -> Tensor:
    """Each written token pays for leaving the reference; the last earns the score.

    Eq. 2 of Ziegler et al., 2019, https://arxiv.org/abs/1909.08593, token by token.

    Args:
        scores: (B,) the reward of each whole reply.
        log_probs, ref_log_probs: (B, T-1) under policy and reference, in nats.
        mask: (B, T-1) bool.
        kl_weight: reward per nat, 0 or more.

    Returns:
        (B, T-1), 0 outside the mask; constants, no gradient flows through.

    Raises:
        ValueError: if a row has no written token.

    >>> log_probs, mask = torch.tensor([[-1.0, -1.0]]), torch.tensor([[True, True]])
    >>> shaped_rewards(torch.tensor([5.0]), log_probs, 2 * log_probs, mask, 0.1)
    tensor([[-0.1000,  4.9000]])
    """
    _check_number("kl_weight", kl_weight, "0 or more", 0.1)
    check_shapes(scores=(scores, "B"), mask=(mask, STEPS))
    gaps = _gaps(log_probs, ref_log_probs, mask).detach()
    _check_rows("mask", mask)
    scores = _finite("scores", scores.detach())
    n_left = mask.sum(1, keepdim=True) - mask.cumsum(1)  # (B, T-1)
    last = mask & (n_left == 0)
    return scores[:, None] * last - kl_weight * gaps


def kl_estimate(log_probs: Tensor, ref_log_probs: Tensor, mask: Tensor) -> Tensor:
    """log p(reply) - log p_ref(reply): its mean over samples is the KL (k1).

    Unbiased, but a single reply's may be negative. Schulman, 2020,
    http://joschu.net/blog/kl-approx.html

    Args:
        log_probs, ref_log_probs: (B, T-1) of tokens sampled from the policy.
        mask: (B, T-1) bool.

    Returns:
        (B,) in nats per reply.

    Raises:
        ValueError: if a row has no written token.

    >>> log_probs, mask = torch.tensor([[-1.0, -1.0]]), torch.tensor([[True, True]])
    >>> kl_estimate(log_probs, 2 * log_probs, mask)
    tensor([2.])
    """
    gaps = _gaps(log_probs, ref_log_probs, mask)
    _check_rows("mask", mask)
    return gaps.sum(-1)


def kl_k3(log_probs: Tensor, ref_log_probs: Tensor, mask: Tensor) -> Tensor:
    """exp(d) - d - 1 with d = log p_ref - log p: the KL, never negative (k3).

    Unbiased like k1 and steadier where both models are close. Schulman, 2020,
    http://joschu.net/blog/kl-approx.html, as in eq. 4 of Shao et al., 2024,
    https://arxiv.org/abs/2402.03300

    Args:
        log_probs, ref_log_probs: (B, T-1) of tokens sampled from the policy.
        mask: (B, T-1) bool.

    Returns:
        (B, T-1) in nats per token, 0 outside the mask.

    Raises:
        ValueError: if exp(d) is too large for a float.

    >>> mask = torch.tensor([[True]])
    >>> kl_k3(torch.tensor([[-1.0]]), torch.tensor([[-2.0]]), mask)  # 1/e
    tensor([[0.3679]])
    """
    d = -_gaps(log_probs, ref_log_probs, mask)
    return _finite("exp(ref_log_probs - log_probs)", d.expm1()) - d


class AdaptiveKL:
    """Raise the KL weight when the policy strays beyond a target, lower it within.

    Ziegler et al., 2019, section 2.2, https://arxiv.org/abs/1909.08593; what they
    call K is n / horizon here, as in their code.

    Args:
        weight: to begin with, reward per nat, above 0.
        target: KL to hold, nats per reply.
        horizon: in replies; an error of 20 % or more moves the weight by about
            20 % in so many.

    >>> control = AdaptiveKL(weight=0.1, target=6.0, horizon=1000)
    >>> round(control.update(kl=12.0, n=100), 6)  # twice the target: cut to + 0.2
    0.102
    """

    def __init__(
        self, weight: float = 0.1, target: float = 6.0, horizon: float = 10_000
    ) -> None:
        _check_number("weight", weight, "above 0", 0.1)
        _check_number("target", target, "above 0", 6.0)
        _check_number("horizon", horizon, "above 0", 10_000)
        self.weight, self.target, self.horizon = weight, target, horizon

    def update(self, kl: float, n: int) -> float:
        """The new weight, after n replies with a mean KL of `kl` nats."""
        _check_number("kl", kl, "finite", "kl.item() if it is a tensor")
        check_count("n", n)
        if n >= 5 * self.horizon:  # then 1 - 0.2 n / horizon is not above 0
            raise ValueError(
                f"n should be below 5 horizons of {self.horizon}, is {n}: "
                "raise the horizon"
            )
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        self.weight *= 1 + error * n / self.horizon
        return self.weight


# --- PPO ----------------------------------------------------------------------


def gae(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    gamma: float = 1.0,
    lam: float = 0.95,
) -> tuple[Tensor, Tensor]:
    """How much better than expected each step turned out.

    Eq. 16 of Schulman et al., 2015, https://arxiv.org/abs/1506.02438, backwards:
    A_t = delta_t + gamma lam A_{t+1}, delta_t = r_t + gamma V_{t+1} - V_t, with
    nothing after the last written token.

    Args:
        rewards: (B, T-1) for choosing the token.
        values: (B, T-1) what was expected before choosing it.
        mask: (B, T-1) bool, one run of True a row, wherever it starts and ends.
        gamma: discount per step, from 0 to 1.
        lam: from 0 (trust the values: least variance) to 1 (trust the rewards:
            no bias).

    Returns:
        advantages: (B, T-1), 0 outside the mask.
        returns: (B, T-1) advantages + values, what the values should have been;
            both constants, no gradient flows through.

    Raises:
        ValueError: if a row has no written token, or a gap between two.

    >>> rewards, mask = torch.tensor([[0.0, 1.0]]), torch.tensor([[True, True]])
    >>> gae(rewards, torch.tensor([[0.5, 0.5]]), mask, lam=0.5)
    (tensor([[0.2500, 0.5000]]), tensor([[0.7500, 1.0000]]))
    """
    _check_number("gamma", gamma, "from 0 to 1", 1.0)
    _check_number("lam", lam, "from 0 to 1", 0.95)
    steps = _inside(mask, rewards=rewards, values=values)
    rewards, values = (x.detach() for x in steps)
    _check_rows("mask", mask)
    ends = mask & ~torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], dim=1)
    if (ends.sum(1) > 1).any():
        row = int((ends.sum(1) > 1).nonzero()[0])
        raise ValueError(
            f"mask should be one run of True in each row, has gaps in row {row}: "
            "give each reply a row of its own"
        )
    advantages = torch.zeros_like(rewards + values)
    after = value_after = torch.zeros_like(advantages[:, 0])  # (B,)
    for t in reversed(range(mask.shape[1])):
        delta = rewards[:, t] + gamma * value_after - values[:, t]
        after = (delta + gamma * lam * after) * mask[:, t]
        advantages[:, t], value_after = after, values[:, t]
    return advantages, advantages + values


def _clipped(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip: float
) -> tuple[Tensor, Tensor]:
    """PPO's objective at each step, and whether the clip took its gradient away."""
    _check_number("clip", clip, "above 0", 0.2)
    advantages = advantages.detach()
    ratio = (log_probs - old_log_probs.detach()).exp()
    ratio = _finite("the ratio exp(log_probs - old_log_probs)", ratio)
    plain = ratio * advantages
    bounded = ratio.clamp(1 - clip, 1 + clip) * advantages
    return torch.minimum(plain, bounded), bounded < plain


def ppo_policy_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip: float = 0.2,
) -> tuple[Tensor, Tensor]:
    """Make good steps likelier and bad ones rarer, as long as the change is small.

    Eq. 7 of Schulman et al., 2017, https://arxiv.org/abs/1707.06347, negated: with
    ratio r, -min(r A, clip(r, 1 - clip, 1 + clip) A), the mean over written tokens.

    Args:
        log_probs: (B, T-1) of the policy now, in nats.
        old_log_probs: (B, T-1) of the policy that wrote the replies; constants.
        advantages: (B, T-1), constants.
        mask: (B, T-1) bool.
        clip: above 0.

    Returns:
        loss: a scalar.
        clipped_share: a scalar, the share of written tokens, from 0 to 1, that
            the clip leaves without gradient.

    Raises:
        ValueError: if no token is written or a ratio is too large for a float.

    >>> zero, mask = torch.zeros(1, 2), torch.tensor([[True, True]])
    >>> now = torch.tensor([[1.5, 0.5]]).log()  # ratios to the old 1
    >>> ppo_policy_loss(now, zero, torch.ones(1, 2), mask)  # -(1.2 + 0.5) / 2
    (tensor(-0.8500), tensor(0.5000))
    """
    log_probs, old, advantages = _inside(
        mask, log_probs=log_probs, old_log_probs=old_log_probs, advantages=advantages
    )
    gain, is_clipped = _clipped(log_probs, old, advantages, clip)
    return -masked_mean(gain, mask), masked_mean(is_clipped, mask)


def ppo_value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    clip: float = 0.2,
) -> Tensor:
    """Half the squared error of the values, which may move by `clip` at a time.

    Not in the paper but in its code and most since: the worse of the values and
    of the values clipped to within `clip` of the old ones counts. Huang et al.,
    2022, https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/

    Args:
        values: (B, T-1) now.
        old_values: (B, T-1) when the replies were written; constants.
        returns: (B, T-1) from `gae`; constants.
        mask: (B, T-1) bool.
        clip: above 0, in units of reward.

    Returns:
        A scalar, the mean over written tokens.

    >>> mask, zero = torch.tensor([[True]]), torch.zeros(1, 1)
    >>> ppo_value_loss(zero + 1, zero, zero + 1, mask)  # (0.2 - 1)^2 / 2
    tensor(0.3200)
    """
    _check_number("clip", clip, "above 0", 0.2)
    values, old, returns = _inside(
        mask, values=values, old_values=old_values, returns=returns
    )
    old, returns = old.detach(), returns.detach()
    bounded = old + (values - old).clamp(-clip, clip)
    worse = torch.maximum((values - returns).square(), (bounded - returns).square())
    return masked_mean(worse, mask) / 2


# --- DPO and GRPO: no value function ------------------------------------------


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    beta: float = 0.1,
) -> tuple[Tensor, Tensor]:
    """Bradley-Terry with the policy itself as reward model: beta log(p / p_ref).

    Eq. 7 of Rafailov et al., 2023, https://arxiv.org/abs/2305.18290

    Args:
        chosen, rejected: (B,) log-probabilities of whole replies, in nats.
        ref_chosen, ref_rejected: (B,) the same under the reference; constants.
        beta: reward per nat, above 0.

    Returns:
        loss: a scalar, nats per pair; ln 2 while the policy is the reference.
        margins: (B,) reward of chosen minus rejected, to look at: no gradient.

    >>> one, two = torch.tensor([-1.0]), torch.tensor([-2.0])
    >>> dpo_loss(one, two, two, two, beta=0.5)[1]
    tensor([0.5000])
    """
    _check_number("beta", beta, "above 0", 0.1)
    chosen, rejected, ref_chosen, ref_rejected = _numbers(
        "B",
        chosen=chosen,
        rejected=rejected,
        ref_chosen=ref_chosen,
        ref_rejected=ref_rejected,
    )
    ref_margins = (ref_chosen - ref_rejected).detach()
    margins = beta * (chosen - rejected - ref_margins)  # (B,)
    return -logsigmoid(margins).mean(), margins.detach()


def group_advantages(rewards: Tensor) -> Tensor:
    """How much better than its siblings each reply to a prompt did.

    Shao et al., 2024, section 4.1.2, https://arxiv.org/abs/2402.03300. The standard
    deviation is that of the group itself, over G; libraries that divide by G - 1
    get numbers smaller by sqrt((G - 1) / G).

    Args:
        rewards: (P, G) of G replies to each of P prompts, G of 2 or more.

    Returns:
        (P, G), mean 0 and variance 1 in each row; 0 where all rewards are equal.

    Raises:
        ValueError: if a group has fewer than 2 replies.

    >>> group_advantages(torch.tensor([[1.0, 0.0], [3.0, 3.0]]))
    tensor([[ 1., -1.],
            [ 0.,  0.]])
    """
    (rewards,) = _numbers("P G", rewards=rewards)
    check_count("G, the replies to a prompt,", rewards.shape[1], least=2)
    return _standardise(rewards)


def grpo_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    ref_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip: float = 0.2,
    kl_weight: float = 0.04,
) -> tuple[Tensor, Tensor]:
    """PPO's clip with one advantage for a whole reply, and the KL in the loss.

    Eq. 3 of Shao et al., 2024, https://arxiv.org/abs/2402.03300, negated: the mean
    over the tokens of each reply, then over replies.

    Args:
        log_probs: (B, T-1) of the policy now, in nats.
        old_log_probs: (B, T-1) of the policy that wrote the replies; constants.
        ref_log_probs: (B, T-1) of the reference; constants.
        advantages: (B,) from `group_advantages`, flattened; constants.
        mask: (B, T-1) bool.
        clip: above 0.
        kl_weight: of `kl_k3`, reward per nat, 0 or more.

    Returns:
        loss: a scalar.
        clipped_share: as in `ppo_policy_loss`.

    Raises:
        ValueError: if a row has no written token or a ratio is too large.

    >>> same, mask = torch.zeros(1, 2), torch.tensor([[True, True]])
    >>> grpo_loss(same, same, same, torch.tensor([2.0]), mask)[0]
    tensor(-2.)
    """
    _check_number("kl_weight", kl_weight, "0 or more", 0.04)
    check_shapes(advantages=(advantages, "B"), mask=(mask, STEPS))
    ours, old, ref = _inside(
        mask,
        log_probs=log_probs,
        old_log_probs=old_log_probs,
        ref_log_probs=ref_log_probs,
    )
    _check_rows("mask", mask)
    advantages = _finite("advantages", advantages)[:, None]  # (B, 1)
    gain, is_clipped = _clipped(ours, old, advantages, clip)
    gain = (gain - kl_weight * kl_k3(ours, ref.detach(), mask)) * mask  # (B, T-1)
    of_replies = gain.sum(1) / mask.sum(1)  # (B,)
    return -of_replies.mean(), masked_mean(is_clipped, mask)


# --- best of n ----------------------------------------------------------------


def best_of_n_kl(n: int) -> float:
    """How far picking the best of n strays from the model: log n - (n - 1) / n.

    Stiennon et al., 2020, appendix G.3, https://arxiv.org/abs/2009.01325; exact
    where no two replies tie, otherwise an upper bound (Beirami et al., 2024,
    https://arxiv.org/abs/2401.01879).

    Returns:
        KL in nats per reply.

    >>> best_of_n_kl(1), round(best_of_n_kl(16), 2)
    (0.0, 1.84)
    """
    check_count("n", n)
    return math.log(n) - (n - 1) / n


def best_of_n_means(proxy: Tensor, gold: Tensor, n: int) -> float:
    """The true reward to expect of the best of n by proxy, over every draw of n.

    The estimator of Nakano et al., 2021, https://arxiv.org/abs/2112.09332: one set
    of N samples serves for every n up to N. Of replies that tie for the best each
    is as likely to be taken.

    Args:
        proxy: (P, N) rewards by which the best is chosen, of N replies to each of
            P prompts.
        gold: (P, N) the true rewards of the same replies.
        n: how many of the N are drawn, without replacement.

    Raises:
        ValueError: if n is not from 1 to N.

    >>> best_of_n_means(torch.tensor([[1.0, 2, 3]]), torch.tensor([[0.0, 3, 6]]), 2)
    5.0
    """
    check_count("n", n)
    named = _numbers("P N", proxy=proxy, gold=gold)
    proxy, gold = (x.detach().cpu().double().contiguous() for x in named)
    n_all = proxy.shape[1]
    if n > n_all:
        raise ValueError(
            f"n should be at most the {n_all} replies of a prompt, is {n}: "
            "sample more replies"
        )
    # Of all draws, the share that stays among the k replies with the least proxy.
    within = [math.comb(k, n) / math.comb(n_all, n) for k in range(n_all + 1)]
    shares = torch.tensor(within, dtype=torch.float64)
    ordered = proxy.sort(-1).values
    below, up_to = (
        torch.searchsorted(ordered, proxy, right=right) for right in (False, True)
    )  # (P, N): how many have less, and how many have no more
    chance = (shares[up_to] - shares[below]) / (up_to - below)  # of being chosen
    return (chance * gold).sum(-1).mean().item()
