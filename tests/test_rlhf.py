import math
from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from utils.rlhf import (
    AdaptiveKL,
    best_of_n_kl,
    best_of_n_means,
    dpo_loss,
    gae,
    group_advantages,
    grpo_loss,
    kl_estimate,
    kl_k3,
    masked_mean,
    pair_accuracy,
    ppo_policy_loss,
    ppo_value_loss,
    reward_loss,
    sequence_log_probs,
    shaped_rewards,
    token_entropies,
    token_log_probs,
    whiten,
)

torch.manual_seed(0)
REPLY = torch.tensor(
    [
        [0, 0, 1, 1, 1, 1],  # after a prompt, up to the end
        [0, 1, 1, 0, 0, 0],  # padding on the right
        [0, 0, 0, 0, 0, 1],  # one token, padding on the left
        [0, 0, 1, 1, 0, 0],  # something on both sides
        [0, 1, 1, 1, 1, 1],
    ]
).bool()
MASK = REPLY[:, 1:]  # (5, 5)
LOGITS = 2 * torch.randn(5, 6, 7).double()
IDS = torch.randint(7, (5, 6))
OLD, REF, NEW = (-torch.rand(3, 5, 5).double() * 3).unbind()
VALUES, REWARDS, ADVANTAGES = torch.randn(3, 5, 5).double().unbind()
SCORES = torch.randn(5).double()
REAL = st.floats(-1e3, 1e3, allow_subnormal=False)


def f64(*numbers) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def spoiled(x: torch.Tensor, mask: torch.Tensor = MASK) -> torch.Tensor:
    """The same inside the mask, and NaN outside."""
    return x.masked_fill(~mask, torch.nan)


def places(mask: torch.Tensor = MASK) -> list[tuple[int, int]]:
    return [tuple(place) for place in mask.nonzero().tolist()]


# --- log-probabilities --------------------------------------------------------


def test_log_probs_equal_cross_entropy():
    labels = IDS.masked_fill(~REPLY, -100)[:, 1:]
    want = -cross_entropy(
        LOGITS[:, :-1].transpose(1, 2), labels, ignore_index=-100, reduction="none"
    )
    got = token_log_probs(LOGITS, IDS, REPLY)
    assert_close(got, want)
    assert (got < 0).equal(MASK)
    assert_close(sequence_log_probs(LOGITS, IDS, REPLY), want.sum(1))


def test_log_probs_equal_a_loop():
    want = torch.zeros(5, 5).double()
    for b, t in places():
        p = LOGITS[b, t].exp() / LOGITS[b, t].exp().sum()
        want[b, t] = p[IDS[b, t + 1]].log()
    assert_close(token_log_probs(LOGITS, IDS, REPLY), want)


@pytest.mark.parametrize("garbage", [1e30, -7.0, math.nan, math.inf])
def test_prompt_and_padding_change_nothing_and_get_no_gradient(garbage):
    scored = torch.cat([MASK, torch.zeros(5, 1).bool()], dim=1)  # by logits at t
    logits = LOGITS.masked_fill(~scored[..., None], garbage).requires_grad_()
    ids = IDS.masked_fill(~REPLY, -100)
    for spoilt, clean in [
        (token_log_probs(logits, ids, REPLY), token_log_probs(LOGITS, IDS, REPLY)),
        (token_entropies(logits, REPLY), token_entropies(LOGITS, REPLY)),
    ]:
        assert_close(spoilt, clean, atol=0, rtol=0)
        assert not spoilt[~MASK].any()
        (grad,) = torch.autograd.grad(spoilt.sum(), logits)
        assert not grad[~scored].any()
        assert grad[scored].abs().amin(-1).all()


def test_the_gradient_of_a_log_prob_is_one_hot_minus_p():
    logits = LOGITS.clone().requires_grad_()
    sequence_log_probs(logits, IDS, REPLY)[2].backward()
    want = torch.zeros_like(LOGITS)
    want[2, 4] = -LOGITS[2, 4].softmax(-1)
    want[2, 4, IDS[2, 5]] += 1
    assert_close(logits.grad, want)


def test_entropies_equal_torch():
    want = torch.distributions.Categorical(logits=LOGITS[:, :-1]).entropy() * MASK
    assert_close(token_entropies(LOGITS, REPLY), want)
    equal = token_entropies(torch.zeros(5, 6, 7).double(), REPLY)
    assert_close(equal, math.log(7) * MASK.double())


def test_a_forbidden_token_is_no_nan():
    logits = LOGITS.clone()
    logits[..., 0] = -torch.inf
    logits.requires_grad_()
    found = token_entropies(logits, REPLY)
    assert_close(found, token_entropies(LOGITS[..., 1:], REPLY))
    found.sum().backward()
    assert logits.grad.isfinite().all()
    ids = IDS.clamp(min=1)
    got = token_log_probs(logits, ids, REPLY)
    assert_close(got, token_log_probs(LOGITS[..., 1:], ids - 1, REPLY))
    with pytest.raises(ValueError, match="written token should be finite, holds -inf"):
        token_log_probs(logits, torch.zeros_like(IDS), REPLY)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_give_float32(dtype):
    logits = LOGITS.to(dtype)
    got = token_log_probs(logits, IDS, REPLY)
    assert_close(got, token_log_probs(logits.float(), IDS, REPLY), atol=0, rtol=0)
    entropies = token_entropies(logits, REPLY)
    assert_close(entropies, token_entropies(logits.float(), REPLY), atol=0, rtol=0)


def test_nothing_written_gives_zeros_where_that_means_something():
    none = torch.zeros_like(REPLY)
    assert not token_log_probs(LOGITS, IDS, none).any()
    assert not token_entropies(LOGITS, none).any()
    assert token_log_probs(LOGITS[:, :1], IDS[:, :1], REPLY[:, :1]).shape == (5, 0)


def each_row(b: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Results of the whole batch at row b, and of row b alone."""
    one = slice(b, b + 1)
    steps = (NEW, REF, MASK)
    alone = tuple(x[one] for x in steps)
    pairs = [
        (token_log_probs(LOGITS, IDS, REPLY), (LOGITS, IDS, REPLY), token_log_probs),
        (sequence_log_probs(LOGITS, IDS, REPLY), None, sequence_log_probs),
        (token_entropies(LOGITS, REPLY), (LOGITS, REPLY), token_entropies),
    ]
    found = [
        (whole[one], f(*(x[one] for x in args or (LOGITS, IDS, REPLY))))
        for whole, args, f in pairs
    ]
    found += [(f(*steps)[one], f(*alone)) for f in (kl_estimate, kl_k3)]
    shaped = shaped_rewards(SCORES, *steps, 0.3)[one]
    found.append((shaped, shaped_rewards(SCORES[one], *alone, 0.3)))
    whole = gae(REWARDS, VALUES, MASK, 0.9, 0.8)
    single = gae(REWARDS[one], VALUES[one], MASK[one], 0.9, 0.8)
    found += [(x[one], y) for x, y in zip(whole, single, strict=True)]
    return found


@pytest.mark.parametrize("b", range(5))
def test_a_row_alone_gives_what_it_gives_in_a_batch(b):
    for together, alone in each_row(b):
        assert_close(together, alone)


# --- means --------------------------------------------------------------------


def test_masked_mean_equals_a_loop():
    want = sum(VALUES[b, t] for b, t in places()) / len(places())
    assert_close(masked_mean(spoiled(VALUES), MASK), want)
    assert masked_mean(torch.tensor([True, False, True]), torch.ones(3).bool()) == 2 / 3
    x = spoiled(VALUES).requires_grad_()
    masked_mean(x, MASK).backward()
    assert_close(x.grad, MASK.double() / len(places()))


def test_a_long_half_precision_mean_does_not_overflow():
    x = torch.full((1, 3000), 60.0).half()
    assert masked_mean(x, torch.ones(1, 3000).bool()) == 60


@pytest.mark.parametrize("shift_mean", [True, False])
def test_whiten_equals_numpy(shift_mean):
    x = VALUES[MASK].numpy()
    want = (x - x.mean()) / x.std() + (0 if shift_mean else x.mean())
    got = whiten(spoiled(5 * VALUES) / 5, MASK, shift_mean)
    assert_close(got[MASK], torch.tensor(want))
    assert not got[~MASK].any()
    assert_close(got[MASK].var(unbiased=False), f64(1)[0])


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, 6, elements=REAL), st.floats(0.1, 10), st.floats(-9, 9))
def test_whitening_forgets_unit_and_zero(x, unit, zero):
    if x.std() < 1e-3:
        return
    x, mask = torch.tensor(x), torch.tensor([1, 1, 0, 1, 1, 1]).bool()
    if x[mask].std() < 1e-3:
        return
    assert_close(whiten(unit * x + zero, mask), whiten(x, mask), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("mask", [[1, 0, 0], [1, 1, 1]])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_no_spread_whitens_to_zero(mask, dtype):
    mask = torch.tensor(mask).bool()
    x = torch.full((3,), 0.1, dtype=dtype, requires_grad=True)
    white = whiten(x, mask)
    assert white.tolist() == [0, 0, 0]
    assert_close(whiten(x, mask, shift_mean=False), x * mask)
    white.sum().backward()
    assert x.grad.isfinite().all()


# --- the reward model ---------------------------------------------------------


def test_reward_loss_by_hand():
    # The preferred reply wins with chance 1/(1 + e^-2) and 1/(1 + e^1).
    want = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    chosen, rejected = f64(3, 0).requires_grad_(), f64(1, 1).requires_grad_()
    loss = reward_loss(chosen, rejected)
    assert loss.item() == pytest.approx(want, abs=1e-12)
    loss.backward()
    lose = f64(1 / (1 + math.exp(2)), 1 / (1 + math.exp(-1)))
    assert_close(chosen.grad, -lose / 2)
    assert_close(rejected.grad, lose / 2)


def test_reward_loss_sees_differences_only_and_does_not_overflow():
    a, b = SCORES, SCORES.flip(0)
    assert_close(reward_loss(a + 100, b + 100), reward_loss(a, b))
    assert_close(reward_loss(f64(0), f64(1000)), f64(1000)[0])
    assert reward_loss(f64(1000), f64(0)) == 0


def test_pair_accuracy_counts_ties_half():
    assert pair_accuracy(f64(2, 1, 0, 5), f64(1, 1, 3, 4)) == (1 + 0.5 + 0 + 1) / 4
    assert pair_accuracy(torch.tensor([1]), torch.tensor([0])) == 1.0
    assert pair_accuracy(SCORES, SCORES) == 0.5


# --- rewards and KL -----------------------------------------------------------


def test_shaped_rewards_equal_a_loop():
    want = torch.zeros(5, 5).double()
    for b, t in places():
        want[b, t] = -0.3 * (NEW[b, t] - REF[b, t])
        if (b, t + 1) not in places():  # nothing written after it
            want[b, t] += SCORES[b]
    got = shaped_rewards(SCORES, spoiled(NEW), spoiled(REF), MASK, 0.3)
    assert_close(got, want)
    total = SCORES - 0.3 * kl_estimate(NEW, REF, MASK)
    assert_close(got.sum(1), total)


def test_rewards_and_advantages_are_constants():
    log_probs, values = NEW.clone().requires_grad_(), VALUES.clone().requires_grad_()
    rewards = shaped_rewards(SCORES, log_probs, REF, MASK, 0.3)
    assert not rewards.requires_grad
    assert not any(x.requires_grad for x in gae(rewards, values, MASK))


def test_both_estimates_average_to_the_kl_of_every_reply_of_two_tokens():
    ours, theirs = torch.randn(2, 4, 3).double().log_softmax(-1)
    first, later = (ours[0], theirs[0]), (ours[1:], theirs[1:])
    # KL of the pair: that of the first token, plus that of the second given it.
    kl_first = (first[0].exp() * (first[0] - first[1])).sum()
    kl_later = (later[0].exp() * (later[0] - later[1])).sum(-1)  # by first token
    replies = list(product(range(3), range(3)))
    log_p, log_ref = (
        torch.stack([torch.stack([p[0, i], p[1 + i, j]]) for i, j in replies])
        for p in (ours, theirs)
    )
    chance = log_p.sum(1).exp()  # (9,)
    assert_close(chance.sum(), f64(1)[0])
    mask = torch.ones(9, 2).bool()
    k1, k3 = kl_estimate(log_p, log_ref, mask), kl_k3(log_p, log_ref, mask)
    exact = kl_first + (first[0].exp() * kl_later).sum()
    assert_close(chance @ k1, exact)
    assert_close(chance @ k3[:, 0], kl_first)
    assert_close(chance @ k3.sum(1), exact)
    assert k1.min() < 0 <= k3.min()


def test_kl_by_hand_and_nothing_outside():
    mask = torch.tensor([[True, True, False]])
    ours, ref = f64([-1, -2, math.nan]), f64([-1.5, -1, math.nan])
    assert_close(kl_estimate(ours, ref, mask), f64(0.5 - 1))
    want = f64([math.exp(-0.5) + 0.5 - 1, math.exp(1) - 1 - 1, 0])
    assert_close(kl_k3(ours, ref, mask), want)


@settings(deadline=None, max_examples=50)
@given(st.floats(-80, 0), st.floats(-80, 0))
def test_k3_is_never_negative(a, b):
    assert kl_k3(f64([a]), f64([b]), torch.tensor([[True]])) >= 0


def test_the_gradient_of_k3_pulls_towards_the_reference():
    log_probs = NEW.clone().requires_grad_()
    kl_k3(log_probs, REF, MASK).sum().backward()
    assert_close(log_probs.grad, (1 - (REF - NEW).exp()) * MASK)


def test_adaptive_kl_by_hand():
    control = AdaptiveKL(weight=0.1, target=6.0, horizon=100)
    # 6.6 is 10 % above: 0.1 (1 + 0.1 * 50 / 100); then -20 % at most; then on target
    assert control.update(kl=6.6, n=50) == pytest.approx(0.105)
    assert control.update(kl=-3.0, n=50) == pytest.approx(0.105 * 0.9)
    assert control.update(kl=6.0, n=50) == pytest.approx(0.105 * 0.9)
    assert control.update(kl=1e9, n=50) == pytest.approx(0.105 * 0.9 * 1.1)
    assert control.weight == pytest.approx(0.105 * 0.9 * 1.1)
    assert AdaptiveKL().update(kl=7.0, n=64) > 0.1 > AdaptiveKL().update(kl=5.0, n=64)


def test_adaptive_kl_finds_the_weight_that_holds_the_target():
    control = AdaptiveKL(weight=10.0, target=4.0, horizon=100)
    for _ in range(500):  # a policy whose KL is 2 / weight
        control.update(kl=2 / control.weight, n=20)
    assert control.weight == pytest.approx(0.5, rel=1e-3)


# --- GAE ----------------------------------------------------------------------


def slow_gae(rewards, values, mask, gamma, lam):
    """Eq. 16 as it stands: a sum of later TD errors for each step."""
    out = torch.zeros_like(values)
    for b, t in places(mask):
        steps = [s for row, s in places(mask) if row == b and s >= t]
        for s in steps:
            after = values[b, s + 1] if s + 1 in steps else 0.0
            delta = rewards[b, s] + gamma * after - values[b, s]
            out[b, t] += (gamma * lam) ** (s - t) * delta
    return out


@pytest.mark.parametrize(("gamma", "lam"), [(1, 0.95), (0.9, 0.5), (1, 1), (0.7, 0)])
def test_gae_equals_a_slow_loop(gamma, lam):
    rewards, values = REWARDS.clone(), VALUES.clone()
    advantages, returns = gae(spoiled(rewards), spoiled(values), MASK, gamma, lam)
    want = slow_gae(REWARDS, VALUES, MASK, gamma, lam)
    assert_close(advantages, want)
    assert_close(returns, (want + VALUES) * MASK)
    gae(rewards, values, MASK)
    assert rewards.equal(REWARDS) and values.equal(VALUES)  # unchanged


def test_gae_with_lam_1_is_the_discounted_return_minus_the_value():
    advantages, returns = gae(REWARDS, VALUES, MASK, gamma=0.9, lam=1)
    for b, t in places():
        end = max(s for row, s in places() if row == b)
        want = sum(0.9 ** (s - t) * REWARDS[b, s] for s in range(t, end + 1))
        assert_close(returns[b, t], want)
        assert_close(advantages[b, t], want - VALUES[b, t])


def test_gae_with_lam_0_is_the_td_error():
    advantages, _ = gae(REWARDS, VALUES, MASK, gamma=0.9, lam=0)
    after = torch.cat([VALUES[:, 1:], torch.zeros(5, 1)], 1).double()
    follows = torch.cat([MASK[:, 1:], torch.zeros(5, 1).bool()], 1)
    want = REWARDS + 0.9 * after * follows - VALUES
    assert_close(advantages, want * MASK)


def test_gae_of_constant_rewards_is_a_geometric_sum():
    ones = torch.ones(1, 8).double()
    advantages, _ = gae(ones, 0 * ones, ones.bool(), gamma=0.9, lam=0.8)
    left = torch.arange(8, 0, -1).double()  # steps to go
    assert_close(advantages[0], (1 - 0.72**left) / (1 - 0.72))


def test_gae_of_values_that_know_the_future_is_nothing():
    # Reward 5 at the end, value 5 everywhere: no step is better than expected.
    rewards = f64([0, 0, 5, 0])
    mask = torch.tensor([[True, True, True, False]])
    advantages, returns = gae(rewards, f64([5, 5, 5, 9]), mask, lam=0.3)
    assert not advantages.any()
    assert returns.tolist() == [[5, 5, 5, 0]]


@pytest.mark.parametrize("shift", range(4))
def test_gae_does_not_care_where_the_reply_stands(shift):
    mask = torch.tensor([[True] * 2 + [False] * 3])
    rewards, values = REWARDS[:1], VALUES[:1]
    moved = gae(*(x.roll(shift, 1) for x in (rewards, values, mask)), 0.9, 0.8)
    for found, want in zip(moved, gae(rewards, values, mask, 0.9, 0.8), strict=True):
        assert_close(found, want.roll(shift, 1))


def test_gae_of_one_token_and_of_bfloat16():
    one = torch.tensor([[True]])
    advantages, returns = gae(f64([3]), f64([1]), one)
    assert (advantages.item(), returns.item()) == (2, 3)
    got = gae(REWARDS.bfloat16(), VALUES.bfloat16(), MASK)[0]
    assert got.dtype == torch.bfloat16
    # 8 bits of mantissa, over up to 5 steps
    want = gae(REWARDS, VALUES, MASK)[0]
    assert_close(got.double(), want, atol=0.1, rtol=0.05)


# --- PPO ----------------------------------------------------------------------


def test_ppo_clips_by_hand():
    # ratio 1.5 0.5 1.5 0.5 1.1, advantage 2 2 -2 -2 2, clip 0.2: the smaller of
    #   r A      3.0  1.0 -3.0 -1.0  2.2
    #   clip A   2.4  1.6 -2.4 -1.6  2.2
    # is        2.4  1.0 -3.0 -1.6  2.2, in all 1.0; the first and fourth are clipped
    ratio, advantages = f64([1.5, 0.5, 1.5, 0.5, 1.1]), f64([2, 2, -2, -2, 2])
    old = f64([-1, -2, -3, -4, -5])
    log_probs = (ratio.log() + old).requires_grad_()
    mask = torch.ones(1, 5).bool()
    loss, share = ppo_policy_loss(log_probs, old, advantages, mask)
    assert loss.item() == pytest.approx(-1.0 / 5)
    assert share.item() == pytest.approx(2 / 5)
    loss.backward()
    # -A r / 5 where not clipped
    assert_close(log_probs.grad, f64([0, -1, 3, 0, -2.2]) / 5)


def test_ppo_with_the_policy_unchanged_is_the_policy_gradient():
    log_probs = OLD.clone().requires_grad_()
    loss, share = ppo_policy_loss(log_probs, OLD, ADVANTAGES, MASK)
    loss.backward()
    assert_close(loss, -ADVANTAGES[MASK].mean())
    assert share == 0
    assert_close(log_probs.grad, -ADVANTAGES * MASK / MASK.sum())


def test_ppo_equals_a_loop_and_never_reads_outside():
    want, n_clipped = 0.0, 0
    for b, t in places():
        ratio, a = math.exp(NEW[b, t] - OLD[b, t]), ADVANTAGES[b, t].item()
        held = min(max(ratio, 0.9), 1.1)
        want -= min(ratio * a, held * a) / len(places())
        n_clipped += (a > 0 and ratio > 1.1) or (a < 0 and ratio < 0.9)
    log_probs = spoiled(NEW).requires_grad_()
    rest = (spoiled(OLD), spoiled(ADVANTAGES), MASK)
    loss, share = ppo_policy_loss(log_probs, *rest, clip=0.1)
    assert loss.item() == pytest.approx(want)
    assert share.item() == pytest.approx(n_clipped / len(places()))
    assert 0 < share < 1
    loss.backward()
    assert not log_probs.grad[~MASK].any()


def test_ppo_gradients_equal_finite_differences():
    x = NEW.clone().requires_grad_()
    assert gradcheck(lambda p: ppo_policy_loss(p, OLD, ADVANTAGES, MASK)[0], x)
    v = VALUES.clone().requires_grad_()
    assert gradcheck(lambda p: ppo_value_loss(p, OLD, REWARDS, MASK), v)


def test_value_loss_by_hand():
    # old 0, return 1, clip 0.2:  value 1 -> held at 0.2, (0.2 - 1)^2 = 0.64 > 0
    #   value 0.1 -> within, 0.81;  value -1 -> held at -0.2, 1.44 < 4: 4 counts
    values = f64([1, 0.1, -1, math.nan]).requires_grad_()
    zeros, mask = f64([0, 0, 0, 0]), torch.tensor([[True, True, True, False]])
    loss = ppo_value_loss(values, zeros, zeros + 1, mask)
    assert loss.item() == pytest.approx((0.64 + 0.81 + 4) / 2 / 3)
    loss.backward()
    assert_close(values.grad, f64([0, 0.1 - 1, -1 - 1, 0]) / 3)


def test_a_wide_value_clip_is_half_the_squared_error():
    want = (VALUES - REWARDS)[MASK].square().mean() / 2
    args = map(spoiled, (VALUES, OLD, REWARDS))
    assert_close(ppo_value_loss(*args, MASK, clip=1e6), want)


def test_constants_get_no_gradient():
    x = NEW.clone().requires_grad_()
    consts = [y.clone().requires_grad_() for y in (OLD, REF, ADVANTAGES, SCORES)]
    old, ref, advantages, scores = consts
    loss = ppo_policy_loss(x, old, advantages, MASK)[0]
    loss = loss + ppo_value_loss(x, old, advantages, MASK)
    loss = loss + grpo_loss(x, old, ref, scores, MASK)[0]
    loss = loss + dpo_loss(x[0], x[1], ref[0], ref[1])[0]
    loss.backward()
    assert x.grad.any()
    assert all(y.grad is None for y in consts)


def test_a_reply_of_one_token_in_bfloat16():
    one, x = torch.tensor([[True]]), torch.tensor([[-1.0]]).bfloat16()
    loss, share = ppo_policy_loss(x, x, -x, one)
    assert (loss.item(), share.item()) == (-1, 0)
    assert grpo_loss(x, x, x, torch.tensor([3.0]), one)[0].item() == -3
    assert shaped_rewards(torch.tensor([2.0]), x, 2 * x, one, 0.5).item() == 1.5


# --- DPO and GRPO -------------------------------------------------------------

PAIRS = (-torch.rand(4, 5).double() * 9).unbind()


def test_dpo_by_hand():
    # margins 0.5 ((-1 - -2) - (-4 - -1)) = 2 and 0.5 ((-3 - -1) - (-1 - -1)) = -1
    chosen, rejected = f64(-1, -3), f64(-4, -1)
    loss, margins = dpo_loss(chosen, rejected, f64(-2, -1), f64(-1, -1), beta=0.5)
    assert margins.tolist() == [2, -1]
    want = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert loss.item() == pytest.approx(want)


def test_dpo_gradient_equals_the_papers_formula():
    chosen, rejected, *refs = (x.clone().requires_grad_() for x in PAIRS)
    loss, margins = dpo_loss(chosen, rejected, *refs, beta=0.3)
    loss.backward()
    # -beta sigma(r_rejected - r_chosen), the more the wronger the ranking
    want = -0.3 * torch.sigmoid(-margins) / 5
    assert_close(chosen.grad, want)
    assert_close(rejected.grad, -want)
    assert not margins.requires_grad
    assert gradcheck(lambda a, b: dpo_loss(a, b, *refs)[0], (chosen, rejected))


def test_dpo_at_the_reference_is_ln_2_and_is_a_reward_loss():
    a, b, ref_a, ref_b = PAIRS
    loss, margins = dpo_loss(a, b, a, b)
    assert loss.item() == pytest.approx(math.log(2)) and not margins.any()
    loss = dpo_loss(a, b, ref_a, ref_b, beta=0.2)[0]
    assert_close(loss, reward_loss(0.2 * (a - ref_a), 0.2 * (b - ref_b)))


def test_group_advantages_equal_numpy():
    x = torch.randn(3, 4).double().numpy()
    want = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    assert_close(group_advantages(torch.tensor(x)), torch.tensor(want))
    assert group_advantages(torch.tensor([[1, 0], [0, 1]])).tolist() == [
        [1, -1],
        [-1, 1],
    ]


@settings(deadline=None, max_examples=100)
@given(arrays(np.float64, (2, 5), elements=REAL))
def test_group_advantages_have_mean_0_and_variance_1_or_are_0(rewards):
    found = group_advantages(torch.tensor(rewards))
    assert found.isfinite().all()
    assert_close(found.mean(1), f64(0, 0), atol=1e-3, rtol=0)  # rounding, enlarged
    for row, numbers in zip(found, rewards, strict=True):
        if len(set(numbers.tolist())) == 1:
            assert not row.any()
        elif numbers.std() > 1e-6:
            assert_close(row.square().mean(), f64(1)[0])


def test_equal_rewards_are_no_signal_though_their_mean_is_rounded():
    rewards = torch.full((1, 10), 0.1, dtype=torch.float64)
    assert rewards[:, :3].mean() != 0.1
    assert not group_advantages(rewards).any()
    assert not group_advantages(rewards[:, :3]).any()


def test_grpo_equals_a_loop_over_replies():
    want, n_clipped = 0.0, 0
    for b in range(5):
        steps = [t for row, t in places() if row == b]
        for t in steps:
            a = SCORES[b].item()
            ratio = math.exp(NEW[b, t] - OLD[b, t])
            held = min(max(ratio, 0.8), 1.2)
            d = (REF[b, t] - NEW[b, t]).item()
            gain = min(ratio * a, held * a) - 0.3 * (math.exp(d) - d - 1)
            want -= gain / len(steps) / 5
            n_clipped += held * a < ratio * a
    log_probs = spoiled(NEW).requires_grad_()
    rest = (spoiled(OLD), spoiled(REF), SCORES, MASK)
    loss, share = grpo_loss(log_probs, *rest, kl_weight=0.3)
    assert loss.item() == pytest.approx(want)
    assert share.item() == pytest.approx(n_clipped / len(places()))
    loss.backward()
    assert not log_probs.grad[~MASK].any() and log_probs.grad.isfinite().all()


def test_grpo_gradients_equal_finite_differences():
    x = NEW.clone().requires_grad_()
    assert gradcheck(lambda p: grpo_loss(p, OLD, REF, SCORES, MASK)[0], x)


def test_grpo_weighs_replies_not_tokens():
    # One token with advantage 1, four with -1: replies weigh the same.
    mask = torch.tensor([[True, False, False, False], [True] * 4])
    same = torch.zeros(2, 4).double()
    loss, share = grpo_loss(same, same, same, f64(1, -1), mask)
    assert (loss.item(), share.item()) == (0, 0)
    assert ppo_policy_loss(same, same, f64([1] * 4, [-1] * 4), mask)[0] == 3 / 5


def test_a_grpo_step_makes_better_replies_likelier():
    logits = torch.zeros(4, 1, 3).double().requires_grad_()  # one token each
    ids, mask = torch.tensor([[0], [1], [2], [1]]), torch.ones(4, 1).bool()
    log_probs = logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    old = log_probs.detach()
    advantages = group_advantages(f64([1, 0, 0, 0]))[0]
    grpo_loss(log_probs, old, old, advantages, mask)[0].backward()
    after = (logits - logits.grad).log_softmax(-1).gather(-1, ids[..., None])[..., 0]
    assert (after > old).flatten().tolist() == [True, False, False, False]


# --- best of n ----------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 64])
def test_best_of_n_kl_equals_a_sum_over_many_ranks(n):
    # The best of n has rank k of N with chance (k/N)^n - ((k-1)/N)^n.
    edges = np.linspace(0, 1, 200_001) ** n
    p = np.diff(edges)
    p = p[p > 0]
    # N finite ranks bring up to n / N
    assert best_of_n_kl(n) == pytest.approx((p * np.log(p * 200_000)).sum(), abs=1e-3)


def brute(proxy, gold, n):
    """Every draw of n of the N; of tied ones the mean."""
    found = []
    for row, true in zip(proxy.tolist(), gold.tolist(), strict=True):
        for picks in combinations(range(len(row)), n):
            best = max(row[i] for i in picks)
            tied = [true[i] for i in picks if row[i] == best]
            found.append(sum(tied) / len(tied))
    return sum(found) / len(found)


@pytest.mark.parametrize("n", range(1, 8))
def test_best_of_n_means_equal_every_combination(n):
    proxy, gold = torch.randn(2, 3, 7).double().unbind()
    assert best_of_n_means(proxy, gold, n) == pytest.approx(brute(proxy, gold, n))
    ties = torch.tensor([[1, 3, 3, 2, 1, 3, 0], [2] * 7, [6, 5, 4, 3, 2, 1, 0]])
    assert best_of_n_means(ties, gold, n) == pytest.approx(brute(ties, gold, n))
    cubed = best_of_n_means(proxy**3, gold, n)  # only the order counts
    assert cubed == pytest.approx(best_of_n_means(proxy, gold, n))


def test_best_of_n_means_at_both_ends():
    proxy, gold = torch.randn(2, 3, 500).double().unbind()
    assert best_of_n_means(proxy, gold, 1) == pytest.approx(gold.mean().item())
    best = gold[torch.arange(3), proxy.argmax(1)].mean().item()
    assert best_of_n_means(proxy, gold, 500) == pytest.approx(best)
    climb = [best_of_n_means(proxy, proxy, n) for n in (1, 2, 50, 400)]
    assert climb == sorted(climb)
    one = best_of_n_means(torch.tensor([[2.0]]), torch.tensor([[7]]), 1)
    assert one == 7
    turned = best_of_n_means(proxy.T, gold.T, 2)  # not contiguous
    assert turned == pytest.approx(brute(proxy.T, gold.T, 2))
    coarse = proxy.bfloat16()  # many ties
    want = best_of_n_means(coarse.double(), gold, 9)
    assert best_of_n_means(coarse, gold, 9) == want


# --- bad input ----------------------------------------------------------------

NONE = MASK.clone()
NONE[1] = False
HOLE = MASK.clone()
HOLE[4, 2] = False
BAD = NEW.clone()
BAD[0, 2] = torch.nan
FAR = OLD + 800 * (torch.arange(5) == 3)
ONE = f64(1)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: token_log_probs(LOGITS, IDS[:, 1:], REPLY), "T is 5, expected 6"),
        (lambda: token_log_probs(LOGITS, IDS, REPLY.long()), r"write reply.bool\(\)"),
        (lambda: token_log_probs(LOGITS, IDS + 7, REPLY), "ids should be from 0 to 6"),
        (lambda: token_log_probs(LOGITS, IDS.double(), REPLY), "ids should be integ"),
        (lambda: token_log_probs(LOGITS * torch.nan, IDS, REPLY), "finite, holds nan"),
        (lambda: token_entropies(LOGITS * torch.nan, REPLY), "finite, holds nan"),
        (lambda: token_entropies(LOGITS[0], REPLY), "needs 3 axes"),
        (
            lambda: sequence_log_probs(LOGITS, IDS, REPLY & (IDS < 0)),
            "written token in each row, has none in row 0: leave out",
        ),
        (lambda: masked_mean(VALUES, MASK[:, 1:]), r"x should be \(B, T-1\) .* is 5"),
        (lambda: masked_mean(VALUES, MASK & False), "True somewhere, is nowhere"),
        (lambda: masked_mean([1.0], MASK), "turn it into one with torch.tensor"),
        (
            lambda: masked_mean(VALUES, VALUES),
            "mask should be bool .* is torch.float64",
        ),
        (lambda: whiten(BAD, MASK), "x should be finite, holds nan"),
        (lambda: whiten(VALUES, MASK & False), "True somewhere"),
        (lambda: reward_loss(ONE, f64(1, 2)), r"rejected should be \(B\) .* is 2"),
        (lambda: reward_loss(f64(), f64()), "chosen and rejected should not be empty"),
        (lambda: reward_loss(ONE, ONE * torch.inf), "rejected should be finite"),
        (lambda: pair_accuracy(f64(), f64()), "should not be empty"),
        (lambda: shaped_rewards(SCORES, NEW, REF, MASK, -1), "kl_weight .* is -1: try"),
        (lambda: shaped_rewards(SCORES, NEW, REF, NONE, 0), "has none in row 1"),
        (lambda: shaped_rewards(SCORES[1:], NEW, REF, MASK, 0), "expected 4"),
        (lambda: shaped_rewards(SCORES / 0, NEW, REF, MASK, 0), "scores should be fin"),
        (lambda: kl_estimate(NEW, REF, NONE), "has none in row 1"),
        (lambda: kl_estimate(NEW, REF[:, 1:], MASK), "T-1 is 4, expected 5"),
        (lambda: kl_k3(BAD, REF, MASK), "log_probs should be finite, holds nan"),
        (lambda: kl_k3(OLD, FAR, MASK), r"exp\(ref_log_probs - log_probs\) should be"),
        (lambda: AdaptiveKL(weight=0), "weight should be a number, above 0, is 0"),
        (lambda: AdaptiveKL(target=-1), "target should be"),
        (lambda: AdaptiveKL(horizon=math.inf), "horizon should be a number, .* inf"),
        (lambda: AdaptiveKL().update(math.nan, 1), "kl should be a number, finite"),
        (lambda: AdaptiveKL().update(ONE, 1), r"try kl.item\(\)"),
        (lambda: AdaptiveKL().update(1.0, 0), "n should be 1 or more"),
        (lambda: AdaptiveKL(horizon=9).update(1, 45), "below 5 horizons of 9, is 45"),
        (lambda: gae(REWARDS, VALUES, HOLE), "one run .* has gaps in row 4"),
        (lambda: gae(REWARDS, VALUES, NONE), "has none in row 1"),
        (lambda: gae(REWARDS, VALUES, MASK, gamma=1.1), "gamma .* from 0 to 1, is 1.1"),
        (lambda: gae(REWARDS, VALUES, MASK, lam=-0.1), "lam should .* is -0.1: try"),
        (lambda: gae(REWARDS, VALUES[:4], MASK), "B is 4, expected 5"),
        (lambda: gae(REWARDS[0], VALUES[0], MASK[0]), "mask should be .* needs 2 axes"),
        (lambda: gae(BAD, VALUES, MASK), "rewards should be finite"),
        (lambda: ppo_policy_loss(NEW, OLD, VALUES, MASK, clip=0), "clip .* is 0: try"),
        (lambda: ppo_policy_loss(NEW, OLD, VALUES, MASK & False), "True somewhere"),
        (lambda: ppo_policy_loss(NEW, OLD, SCORES, MASK), "advantages should be"),
        (lambda: ppo_policy_loss(FAR, OLD, VALUES, MASK), "the ratio exp.* holds inf"),
        (lambda: ppo_value_loss(VALUES, OLD, BAD, MASK), "returns should be finite"),
        (lambda: ppo_value_loss(VALUES, OLD, OLD, MASK, clip=None), "clip .* is None"),
        (lambda: dpo_loss(ONE, ONE, ONE, ONE, beta=0), "beta should be .* is 0"),
        (lambda: dpo_loss(ONE, ONE, ONE, f64(1, 2)), "ref_rejected should be"),
        (lambda: dpo_loss(ONE, ONE, ONE, ONE / 0), "ref_rejected should be finite"),
        (lambda: group_advantages(f64([1], [2])), "replies to a prompt, .* got 1"),
        (lambda: group_advantages(SCORES), "needs 2 axes"),
        (lambda: group_advantages(f64([1, math.nan])), "rewards should be finite"),
        (lambda: grpo_loss(NEW, OLD, REF, SCORES, NONE), "has none in row 1"),
        (lambda: grpo_loss(NEW, OLD, REF, VALUES, MASK), "needs 1 axes"),
        (
            lambda: grpo_loss(NEW, OLD, REF, SCORES / 0, MASK),
            "advantages should be fin",
        ),
        (lambda: grpo_loss(NEW, OLD, REF, SCORES, MASK, kl_weight=-1), "0 or more"),
        (lambda: best_of_n_kl(0), "n should be 1 or more, got 0"),
        (lambda: best_of_n_kl(1.5), "whole number"),
        (lambda: best_of_n_means(NEW, OLD, 6), "at most the 5 replies .* is 6: sample"),
        (lambda: best_of_n_means(NEW, OLD[:4], 2), "gold should be"),
        (lambda: best_of_n_means(BAD, OLD, 2), "proxy should be finite"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
