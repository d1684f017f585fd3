"""The loops of RLHF, on models small enough to check by hand or by a loop."""

import copy
import signal
from itertools import cycle

import pytest
import torch
from torch.testing import assert_close

from utils import rlhf
from utils.chat import ASSISTANT, CHAT_TOKENS, END, USER, Turn, chat_batch, reply_loss
from utils.gpt import GPT, GPTConfig
from utils.ppo import (
    Experience,
    PPOConfig,
    Scorer,
    comparison_batches,
    comparison_loss,
    conversations,
    last_score,
    learn,
    ppo,
    preference_loss,
    proxy,
    reply_log_probs,
    rollout,
)
from utils.preferences import Preference
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train

VOCAB = Vocab([*CHAT_TOKENS, *"go on a b c d .".split()])
TEXTS = ["go", "go on", "on"]
SIZES = {"d_model": 16, "n_heads": 2, "n_kv_heads": 2, "n_layers": 1, "d_ff": 32}


def small(seed: int = 0) -> GPT:
    seed_all(seed)
    return GPT(GPTConfig.modern(len(VOCAB), max_len=64, **SIZES))


def taught(seed: int = 0) -> GPT:
    """A model that ends its replies after one to three letters."""
    model = small(seed)
    replies = ["a b", "b", "c d a", "d", "a c"]
    chats = [
        [Turn("user", text), Turn("assistant", reply)]
        for text in TEXTS
        for reply in replies
    ]
    config = TrainConfig(n_steps=60, lr=1e-2, n_warmup=5, show_progress=False)
    train(model, cycle([chat_batch(chats, VOCAB)]), reply_loss, config)
    return model


@pytest.fixture(scope="module")
def policy() -> GPT:
    return taught()


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def count_a(_, replies) -> list[float]:
    return [float(reply.split().count("a")) for reply in replies]


# --- writing -------------------------------------------------------------------


def test_a_rollout_holds_request_and_reply(policy, generator):
    batch, replies = rollout(policy, VOCAB, TEXTS * 20, 6, generator)
    assert len(set(replies)) > 3
    for ids, documents, reply, text, said in zip(
        *batch, TEXTS * 20, replies, strict=True
    ):
        tokens = [VOCAB.tokens[i] for i in ids[documents > 0]]
        prompt = [USER, *text.split(), END, ASSISTANT]
        assert tokens[: len(prompt)] == prompt
        written = [VOCAB.tokens[i] for i in ids[reply]]
        assert tokens == prompt + written and not reply[: len(prompt)].any()
        assert written == said.split() + [END] or len(written) == 6
        assert END not in written[:-1]


def test_a_rollout_of_the_longest_length_has_no_end(generator):
    batch, replies = rollout(small(), VOCAB, ["go"], 1, generator)
    assert batch.reply.sum() == 1
    assert batch.ids.shape[1] == 5  # <|user|> go <|end|> <|assistant|> and one token


def test_any_token_of_the_template_ends_a_reply(generator):
    model = small()
    with torch.no_grad():
        model.output.weight.zero_()
    _, replies = rollout(model, VOCAB, ["go"] * 500, 8, generator)
    assert not any(set(reply.split()) & set(CHAT_TOKENS) for reply in replies)


def test_log_probs_are_those_it_was_written_with(policy, generator):
    """Written on the left of nothing, looked at with padding on the right."""
    double = copy.deepcopy(policy).double()
    batch, _ = rollout(double, VOCAB, TEXTS, 6, generator)
    together, entropies = reply_log_probs(double, batch)
    for row in range(len(TEXTS)):
        ids = batch.ids[row][batch.documents[row] > 0]
        log_p = double(ids[None])[0][0].log_softmax(-1)  # (T, V)
        for t in range(len(ids) - 1):
            wanted, spread = torch.zeros((), dtype=torch.double), 0.0
            if batch.reply[row, t + 1]:
                wanted = log_p[t, ids[t + 1]]
                spread = -(log_p[t].exp() * log_p[t]).sum().item()
            assert_close(together[row, t], wanted)
            assert abs(entropies[row, t].item() - spread) < 1e-6


# --- the reward model ------------------------------------------------------------


def test_a_scorer_starts_at_zero_and_leaves_its_gpt_alone(policy):
    before = copy.deepcopy(policy.state_dict())
    scorer = Scorer(policy)
    batch = conversations([("go", "a b"), ("go on", "c")], VOCAB)
    assert_close(scorer(batch), torch.zeros(batch.ids.shape))
    scorer.gpt.tokens.weight.data.zero_()
    assert all(
        torch.equal(before[name], value) for name, value in policy.state_dict().items()
    )


def test_the_reward_is_read_at_the_last_token_whatever_the_padding(policy):
    scorer = Scorer(policy).double()
    torch.nn.init.normal_(scorer.gpt.output.weight)
    texts = [("go", "a b c d a b"), ("go on", "c")]
    together = last_score(scorer, conversations(texts, VOCAB))
    alone = [last_score(scorer, conversations([text], VOCAB)) for text in texts]
    assert_close(together, torch.cat(alone))
    each = scorer(conversations(texts[1:], VOCAB))
    assert_close(alone[1], each[:, -1])
    assert_close(
        torch.tensor(proxy(scorer, VOCAB)(*zip(*texts, strict=True))).double(), together
    )


def test_an_empty_reply_has_a_score(policy):
    assert proxy(Scorer(policy), VOCAB)(["go"], [""]) == [0.0]


def test_comparisons_come_winners_first_and_each_once(policy):
    some = [Preference("go", f"a {x}", f"b {x}") for x in "abcd"]
    batches = comparison_batches(some, VOCAB, batch_size=3, seed=5)
    first, second = next(batches), next(batches)
    assert (len(first.ids), len(second.ids)) == (6, 2)
    said = [
        [VOCAB.tokens[i] for i in ids[reply]]
        for batch in (first, second)
        for ids, reply in zip(batch.ids, batch.reply, strict=True)
    ]
    winners, losers = said[:3] + said[6:7], said[3:6] + said[7:]
    assert sorted(w[1] for w in winners) == list("abcd")
    assert [w[0] for w in winners] == ["a"] * 4 and [x[0] for x in losers] == ["b"] * 4
    assert [w[1] for w in winners] == [x[1] for x in losers]


def test_a_reward_model_learns_what_labellers_like(policy):
    some = [
        Preference(text, f"{x} a {y}", f"{x} b {y}")
        for text in TEXTS
        for x in "abcd"
        for y in "bcd"
    ]
    scorer = Scorer(policy)
    start = comparison_loss(scorer, next(comparison_batches(some, VOCAB)))
    assert_close(start.item(), 0.6931471, atol=1e-6, rtol=0)  # ln 2
    config = TrainConfig(n_steps=40, lr=1e-2, n_warmup=2, show_progress=False)
    losses = train(scorer, comparison_batches(some, VOCAB), comparison_loss, config)
    assert losses[-1] < 0.1
    better, worse = proxy(scorer, VOCAB)(["go", "go"], ["d a c", "d b c"])
    assert better > worse + 2


# --- DPO -------------------------------------------------------------------------


def test_dpo_starts_at_ln_2_and_moves_the_pair_apart(policy):
    some = [Preference(text, "a", "b") for text in TEXTS]
    model, batches = copy.deepcopy(policy), comparison_batches(some, VOCAB)
    reference = copy.deepcopy(policy)
    loss = preference_loss(model, next(batches), reference)
    assert_close(loss.item(), 0.6931471, atol=1e-5, rtol=0)
    loss.backward()
    assert all(p.grad is None for p in reference.parameters())
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
    assert preference_loss(model, next(batches), reference) < 0.69


def test_dpo_is_the_formula_on_whole_replies(policy):
    other = taught(seed=3).double()
    reference = copy.deepcopy(policy).double()
    pair = Preference("go on", "a b", "d")
    (batch,) = [next(comparison_batches([pair], VOCAB))]

    def total(model: GPT, reply: str) -> torch.Tensor:
        words = [USER, "go", "on", END, ASSISTANT, *reply.split(), END]
        ids = torch.tensor(VOCAB.encode(words))
        log_p = model(ids[None])[0][0].log_softmax(-1)
        return sum(log_p[t, ids[t + 1]] for t in range(4, len(ids) - 1))

    margin = total(other, "a b") - total(reference, "a b")
    margin = margin - (total(other, "d") - total(reference, "d"))
    wanted = -torch.nn.functional.logsigmoid(0.3 * margin)
    assert_close(preference_loss(other, batch, reference, 0.3), wanted)


# --- PPO -------------------------------------------------------------------------


def run(policy: GPT, score=count_a, seed: int = 0, **options):
    policy, reference = copy.deepcopy(policy), copy.deepcopy(policy)
    settings = {"n_steps": 8, "n_requests": 32, "n_new": 6, "lr": 3e-3}
    config = PPOConfig(show_progress=False, **(settings | options))
    value = Scorer(policy) if config.n_group == 1 else None
    history = ppo(
        policy, value, reference, score, cycle(TEXTS), VOCAB, config, seed=seed
    )
    return history, policy, reference


def test_ppo_raises_the_reward_and_leaves_the_reference_alone(policy):
    before = copy.deepcopy(policy.state_dict())
    history, learned, reference = run(policy, n_steps=20, kl_weight=0.01)
    early = sum(told["reward"] for told in history[:3]) / 3
    late = sum(told["reward"] for told in history[-3:]) / 3
    assert late > early + 0.5
    for name, value in reference.state_dict().items():
        assert torch.equal(value, before[name])
    assert not torch.equal(learned.output.weight, before["output.weight"])


def test_grpo_raises_the_reward_without_a_value_model(policy):
    history, _, _ = run(policy, n_steps=15, n_requests=8, n_group=6, kl_weight=0.01)
    early = sum(told["reward"] for told in history[:3]) / 3
    late = sum(told["reward"] for told in history[-3:]) / 3
    assert late > early + 0.5


def test_a_heavier_penalty_keeps_it_nearer(policy):
    far, near = (run(policy, n_steps=20, kl_weight=w)[0][-1]["kl"] for w in (0.0, 1.0))
    assert near < far / 2


def test_the_same_seed_gives_the_same_run(policy):
    first, second = (run(policy, n_steps=3)[0] for _ in range(2))
    other = run(policy, n_steps=3, seed=1)[0]
    assert first == second != other


def test_the_first_round_is_the_reference(policy):
    history, _, _ = run(policy, n_steps=1)
    assert history[0]["kl"] == 0 and set(history[0]) == {
        "reward",
        "kl",
        "entropy",
        "length",
        "clipped",
        "kl_weight",
    }


def test_the_weight_adapts_towards_the_target(policy):
    tight, _, _ = run(policy, n_steps=6, target_kl=0.001, horizon=200)
    loose, _, _ = run(policy, n_steps=6, target_kl=100.0, horizon=200)
    assert tight[-1]["kl_weight"] > tight[0]["kl_weight"] > loose[-1]["kl_weight"]


def test_what_watch_gives_is_in_the_history(policy):
    heard = []

    def watch(requests, replies) -> dict[str, float]:
        heard.append((list(requests), list(replies)))
        return {"true": 7.0}

    model = copy.deepcopy(policy)
    config = PPOConfig(n_steps=2, n_requests=4, n_new=4, show_progress=False)
    history = ppo(
        model, Scorer(model), policy, count_a, cycle(TEXTS), VOCAB, config, watch=watch
    )
    assert [told["true"] for told in history] == [7.0, 7.0]
    assert heard[0][0] == ["go", "go on", "on", "go"]
    rewards = [sum(count_a(*said)) / 4 for said in heard]
    assert [told["reward"] for told in history] == rewards


def test_the_replies_of_a_group_stand_together(policy):
    asked = []

    def score(requests, replies) -> list[float]:
        asked.extend(requests)
        return [0.0] * len(replies)

    history, _, _ = run(policy, score, n_steps=1, n_requests=2, n_group=3)
    assert asked == ["go"] * 3 + ["go on"] * 3
    assert history[0]["reward"] == 0


def test_an_update_is_the_losses_of_rlhf(policy, generator):
    """One update equals a step down the sum of both losses, written out."""
    config = PPOConfig(n_epochs=1, lr=0.1, max_grad_norm=1e9, lam=0.5, gamma=0.9)
    model, value = copy.deepcopy(policy).double(), Scorer(policy).double()
    torch.nn.init.normal_(value.gpt.output.weight, std=0.1)
    reference = taught(seed=2).double()
    batch, replies = rollout(model, VOCAB, TEXTS * 2, 5, generator)
    scores = torch.tensor(count_a(None, replies)).double()
    parts = model, value, reference, batch, scores, config, 0.3
    seen = Experience.of(*parts)
    now, _ = reply_log_probs(model, batch)
    mask = batch.reply[:, 1:]
    rewards = -0.3 * (now - reply_log_probs(reference, batch)[0]).detach()
    last = mask.shape[1] - 1 - mask.flip(1).long().argmax(1)
    rewards[torch.arange(len(last)), last] += scores
    advantages, returns = rlhf.gae(
        rewards, value(batch)[:, :-1].detach(), mask, gamma=0.9, lam=0.5
    )
    advantages = rlhf.whiten(advantages, mask)
    gap = (value(batch)[:, :-1] - returns)[mask].square().mean() / 2
    wanted = torch.autograd.grad(
        -(now.exp() / now.detach().exp() * advantages)[mask].mean() + gap,
        [model.output.weight, value.gpt.output.weight],
    )
    old = model.output.weight.detach().clone(), value.gpt.output.weight.detach().clone()
    optimizer = torch.optim.SGD([*model.parameters(), *value.parameters()], lr=0.1)
    learn(model, value, seen, optimizer, config, 0.3)
    assert_close(model.output.weight, old[0] - 0.1 * wanted[0])
    assert_close(value.gpt.output.weight, old[1] - 0.1 * wanted[1])


def test_whitened_rewards_have_variance_1_and_their_mean(policy, generator):
    """Without a look ahead (gamma 0) the return of a token is its reward."""
    batch, replies = rollout(policy, VOCAB, TEXTS * 4, 5, generator)
    scores = 50 * torch.tensor(count_a(None, replies)) - 7
    mask, returns = batch.reply[:, 1:], []
    for whiten_rewards in (False, True):
        config = PPOConfig(gamma=0.0, lam=0.0, whiten_rewards=whiten_rewards)
        parts = policy, Scorer(policy), policy, batch, scores, config, 0.0
        returns.append(Experience.of(*parts).returns[mask])
    plain, white = returns
    assert plain.std() > 5
    assert_close(white.std(correction=0).item(), 1.0, atol=1e-4, rtol=0)
    assert_close(white.mean(), plain.mean(), atol=1e-4, rtol=1e-4)
    assert torch.corrcoef(torch.stack(returns))[0, 1] > 0.999


def test_ctrl_c_keeps_what_was_learned(policy):
    model = copy.deepcopy(policy)
    config = PPOConfig(n_steps=50, n_requests=4, n_new=4, show_progress=False)

    def stop(requests, replies) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return {}

    history = ppo(
        model, Scorer(model), policy, count_a, cycle(TEXTS), VOCAB, config, watch=stop
    )
    assert len(history) == 1
    assert not torch.equal(model.output.weight, policy.output.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 0}, "n_steps should be"),
        ({"n_group": 1.5}, "n_group should be"),
        ({"lr": 0.0}, "lr should be above 0, got 0.0"),
        ({"kl_weight": -0.1}, "kl_weight should be 0 or more, got -0.1"),
        ({"target_kl": float("nan")}, "target_kl should be 0 or more, got nan"),
        ({"clip": -0.2}, "clip should be from 0 to 1, got -0.2"),
        ({"lam": 1.5}, "lam should be from 0 to 1, got 1.5"),
    ],
)
def test_a_bad_setting_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PPOConfig(**options)


def test_groups_and_a_value_model_exclude_each_other(policy):
    rest = policy, count_a, cycle(TEXTS), VOCAB
    with pytest.raises(ValueError, match="None for GRPO, got Scorer with n_group=2"):
        ppo(copy.deepcopy(policy), Scorer(policy), *rest, PPOConfig(n_group=2))
    with pytest.raises(ValueError, match="got NoneType with n_group=1"):
        ppo(copy.deepcopy(policy), None, *rest, PPOConfig(n_group=1))


def test_the_reference_is_no_policy_that_moves(policy):
    rest = count_a, cycle(TEXTS), VOCAB, PPOConfig(n_steps=1, n_requests=2)
    with pytest.raises(ValueError, match="a frozen copy of the policy, is the policy"):
        ppo(policy, Scorer(policy), policy, *rest)


def test_requests_that_end_are_named(policy):
    model = copy.deepcopy(policy)
    config = PPOConfig(n_steps=3, n_requests=2, n_new=4, show_progress=False)
    with pytest.raises(ValueError, match="without end, but ended in round 2"):
        ppo(model, Scorer(model), policy, count_a, iter(TEXTS), VOCAB, config)
    with pytest.raises(ValueError, match="comparisons should hold at least one"):
        next(comparison_batches([], VOCAB))


def test_whole_numbers_are_rewards_too(policy):
    history, _, _ = run(policy, lambda asked, said: [len(r) for r in said], n_steps=1)
    assert history[0]["reward"] > 0
