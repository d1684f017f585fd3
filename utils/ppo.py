"""RLHF's three models and its loops: reward model, PPO, GRPO, DPO on one small GPT.

The policy writes replies, a reward model scores them, a frozen copy of the policy's
start holds it near. What is computed from their numbers stands in `utils.rlhf`.
Long because the three steps share their pieces and are read together.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from utils import rlhf
from utils.chat import CHAT_TOKENS, Chats, Turn, chat_batch, prompts
from utils.corpora import pad
from utils.counts import check_count
from utils.generation import stream
from utils.gpt import GPT
from utils.preferences import Preference
from utils.progress import late_interrupt, progress_bar
from utils.tokenizers import BOS, EOS, PAD, Vocab

# (requests, replies) -> a reward for each, or named numbers for the history
Score = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
Watch = Callable[[Sequence[str], Sequence[str]], dict[str, float]]


class Scorer(nn.Module):
    """A GPT whose output is one number at each token: a reward or a value model.

    Args:
        gpt: copied; its output layer is replaced.
    """

    def __init__(self, gpt: GPT) -> None:
        super().__init__()
        self.gpt = copy.deepcopy(gpt)
        self.gpt.output = nn.Linear(gpt.config.d_model, 1)
        nn.init.zeros_(self.gpt.output.weight)
        nn.init.zeros_(self.gpt.output.bias)

    def forward(self, batch: Chats) -> Tensor:
        """One number for each token: (B, T)."""
        batch = batch.to(self.gpt.output.bias.device)
        return self.gpt(batch.ids, look=False, documents=batch.documents)[0][..., 0]


def last_score(scorer: Scorer, batch: Chats) -> Tensor:
    """The number at the last token of each conversation, its reward: (B,)."""
    scores = scorer(batch)  # (B, T)
    last = (batch.documents > 0).sum(1, keepdim=True) - 1
    return scores.gather(1, last.to(scores.device))[:, 0]


@torch.no_grad()
def rollout(
    policy: GPT,
    vocab: Vocab,
    requests: Sequence[str],
    n_new: int = 40,
    generator: torch.Generator | None = None,
) -> tuple[Chats, list[str]]:
    """Let the policy answer each request once, at temperature 1.

    Returns:
        batch: requests and replies; `reply` covers what the policy chose, <|end|>
            included if it got there. Another token of the template ends a reply too.
        replies: as text, without <|end|>.
    """
    asked = prompts(requests, vocab)
    device = next(policy.parameters()).device
    ids, real = (x.to(device) for x in pad(asked, left=True))
    ends = vocab.encode(
        [*CHAT_TOKENS, EOS, PAD, BOS]
    )  # what ends a reply, rightly or not
    chosen: list[Tensor] = []
    ended = torch.zeros(len(ids), dtype=torch.bool, device=device)
    for token in stream(policy, ids, real, n_new, generator=generator):
        chosen.append(token.masked_fill(ended, -1))
        ended = ended | torch.isin(token, torch.tensor(ends, device=device))
        if ended.all():
            break
    written = [[i for i in row if i >= 0] for row in torch.stack(chosen, 1).tolist()]
    rows = [p + w for p, w in zip(asked, written, strict=True)]
    ids, real = pad(rows, 0)
    place = torch.arange(ids.shape[1])
    starts = torch.tensor([len(p) for p in asked])[:, None]
    batch = Chats(ids, real.long(), real & (place >= starts)).to(device)
    words = (vocab.decode(w[:-1] if w[-1] in ends else w) for w in written)
    return batch, [" ".join(reply) for reply in words]


def comparison_batches(
    comparisons: Sequence[Preference], vocab: Vocab, batch_size: int = 32, seed: int = 0
) -> Iterator[Chats]:
    """Comparisons for ever: a batch holds first all that won, then all that lost."""
    if not comparisons:
        raise ValueError("comparisons should hold at least one, got none")
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(comparisons), generator=generator)
        for chosen in order.split(batch_size):
            some = [comparisons[i] for i in chosen.tolist()]
            both = [(c.prompt, c.winning_response) for c in some]
            both += [(c.prompt, c.losing_response) for c in some]
            yield conversations(both, vocab)


def conversations(texts: Sequence[tuple[str, str]], vocab: Vocab) -> Chats:
    """One request and one reply in each row."""
    turns = [[Turn("user", ask), Turn("assistant", reply)] for ask, reply in texts]
    return chat_batch(turns, vocab)


def comparison_loss(scorer: Scorer, batch: Chats) -> Tensor:
    """`rlhf.reward_loss` of a batch from `comparison_batches`."""
    return rlhf.reward_loss(*last_score(scorer, batch).chunk(2))


def preference_loss(
    policy: GPT, batch: Chats, reference: GPT, beta: float = 0.1
) -> Tensor:
    """`rlhf.dpo_loss` of a batch from `comparison_batches`."""
    with torch.no_grad():
        before = reply_log_probs(reference, batch)[0].sum(1).chunk(2)
    now = reply_log_probs(policy, batch)[0].sum(1).chunk(2)
    return rlhf.dpo_loss(*now, *before, beta)[0]


def reply_log_probs(policy: GPT, batch: Chats) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies (B, T - 1) of the replies' tokens."""
    batch = batch.to(next(policy.parameters()).device)
    logits = policy(batch.ids, look=False, documents=batch.documents)[0]
    chosen = rlhf.token_log_probs(logits, batch.ids, batch.reply)
    with torch.no_grad():
        entropies = rlhf.token_entropies(logits, batch.reply)
    return chosen, entropies


def proxy(scorer: Scorer, vocab: Vocab) -> Score:
    """A reward model as a function of requests and replies, each ended properly."""

    @torch.no_grad()
    def score(requests: Sequence[str], replies: Sequence[str]) -> list[float]:
        replies = [reply or "." for reply in replies]
        batch = conversations(list(zip(requests, replies, strict=True)), vocab)
        return last_score(scorer, batch).tolist()

    return score


@dataclass(frozen=True)
class PPOConfig:
    """How to run PPO, or GRPO where n_group is above 1.

    Args:
        n_steps: rounds of writing and learning.
        n_requests: requests a round.
        n_group: replies to each request; above 1: GRPO, without a value model, which
            leaves gamma, lam and whiten_rewards unused.
        n_new: the longest reply, in tokens.
        n_epochs: updates on the replies of a round.
        lr: AdamW's, the same throughout.
        clip: how far, as a share, a token's probability may gain by moving.
        gamma: discount of a later reward.
        lam: GAE's lambda; 1 trusts what was seen, 0 the value model.
        kl_weight: reward a nat away from the reference costs.
        target_kl: nats a reply; above 0 the weight adapts to reach it.
        horizon: replies over which it adapts.
        whiten_rewards: bring each round's rewards, one a token, to variance 1 and
            keep their mean, as Ziegler et al. do; for scores of unknown scale.
        max_grad_norm: longer gradients are scaled down, each model's by itself.
        show_progress: whether to draw the progress bar, with minus the reward.

    Raises:
        ValueError: if a number is out of range.
    """

    n_steps: int = 40
    n_requests: int = 64
    n_group: int = 1
    n_new: int = 40
    n_epochs: int = 2
    lr: float = 2e-3
    clip: float = 0.2
    gamma: float = 1.0
    lam: float = 0.95
    kl_weight: float = 0.05
    target_kl: float = 0.0
    horizon: int = 2000
    whiten_rewards: bool = False
    max_grad_norm: float = 1.0
    show_progress: bool = True

    def __post_init__(self) -> None:
        for name in ("n_steps", "n_requests", "n_group", "n_new", "n_epochs"):
            check_count(name, getattr(self, name))
        for name in ("lr", "max_grad_norm", "horizon"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} should be above 0, got {getattr(self, name)}")
        for name in ("kl_weight", "target_kl"):
            if not getattr(self, name) >= 0:
                value = getattr(self, name)
                raise ValueError(f"{name} should be 0 or more, got {value}")
        for name in ("clip", "gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                value = getattr(self, name)
                raise ValueError(f"{name} should be from 0 to 1, got {value}")


def ppo(
    policy: GPT,
    value: Scorer | None,
    reference: GPT,
    score: Score,
    requests: Iterator[str],
    vocab: Vocab,
    config: PPOConfig | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> list[dict[str, float]]:
    """Let the policy write, score what it wrote, make what scored well likelier.

    Schulman et al., 2017, https://arxiv.org/abs/1707.06347, as Ziegler et al.,
    2019, https://arxiv.org/abs/1909.08593, apply it to text; GRPO: Shao et al.,
    2024, https://arxiv.org/abs/2402.03300. Ctrl-C ends it after the round at hand,
    and what was learned stays.

    Args:
        policy: trained in place.
        value: trained in place; None for GRPO.
        reference: where the policy started.
        score: (requests, replies) -> a reward for each.
        requests: an iterator without end.
        config: `PPOConfig()` if None.
        seed: of what the policy writes.
        watch: (requests, replies) -> further numbers for the history.

    Returns:
        For each round the means of reward, kl (nats a reply), entropy (nats a
        token), length (tokens), clipped (share of tokens), kl_weight, and
        what `watch` gave; all of the policy as it was before the round's updates.

    Raises:
        ValueError: if there is a value model beside groups, or neither; if the
            reference is the policy itself; if the requests end.
    """
    config = config or PPOConfig()
    _check_models(policy, value, reference, config)
    models = [model for model in (policy, value) if model is not None]
    groups = [{"params": list(model.parameters())} for model in models]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=0.0)
    device = next(policy.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    kl_weight, control, history = config.kl_weight, None, []
    if config.target_kl:
        control = rlhf.AdaptiveKL(kl_weight, config.target_kl, config.horizon)
    bar = progress_bar(config.n_steps, config.show_progress)
    with late_interrupt() as interrupted, bar as show:
        for step in range(config.n_steps):
            asked = _ask(requests, config.n_requests, step)
            asked = [text for text in asked for _ in range(config.n_group)]
            batch, replies = rollout(policy, vocab, asked, config.n_new, generator)
            rewards = score(asked, replies)
            scores = torch.tensor(rewards, dtype=torch.float32, device=device)
            parts = policy, value, reference, batch, scores, config, kl_weight
            seen = Experience.of(*parts)
            clipped = learn(policy, value, seen, optimizer, config, kl_weight)
            told = seen.told | {"clipped": clipped, "kl_weight": kl_weight}
            history.append(told | (watch(asked, replies) if watch else {}))
            show(step + 1, -told["reward"])
            if control:
                kl_weight = control.update(told["kl"], len(asked))
            if interrupted():
                break
    return history


def _ask(requests: Iterator[str], n: int, step: int) -> list[str]:
    asked = list(islice(requests, n))
    if len(asked) < n:
        raise ValueError(
            f"requests should be without end, but ended in round {step + 1}: repeat "
            "them, for example with itertools.cycle"
        )
    return asked


def _check_models(
    policy: GPT, value: Scorer | None, reference: GPT, config: PPOConfig
) -> None:
    if reference is policy:
        raise ValueError(
            "reference should be a frozen copy of the policy, is the policy itself, so "
            "that the KL would stay 0: give copy.deepcopy(policy)"
        )
    if (value is None) != (config.n_group > 1):
        raise ValueError(
            "value should be a Scorer for PPO (n_group=1) and None for GRPO, got "
            f"{type(value).__name__} with n_group={config.n_group}"
        )


class Experience(NamedTuple):
    """Replies, and what is known of them before the policy learns from them."""

    batch: Chats
    log_probs: Tensor  # (B, T - 1) of the policy that wrote them
    ref_log_probs: Tensor  # (B, T - 1)
    advantages: Tensor  # (B, T - 1), for GRPO (B,)
    values: Tensor | None  # (B, T - 1)
    returns: Tensor | None  # (B, T - 1)
    told: dict[str, float]

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        policy: GPT,
        value: Scorer | None,
        reference: GPT,
        batch: Chats,
        scores: Tensor,
        config: PPOConfig,
        kl_weight: float,
    ) -> "Experience":
        """Look once at what was written, with each of the models."""
        mask = batch.reply[:, 1:]
        log_probs, entropies = reply_log_probs(policy, batch)
        ref_log_probs, _ = reply_log_probs(reference, batch)
        values = returns = None
        if value is None:
            advantages = rlhf.group_advantages(scores.view(-1, config.n_group))
            advantages = advantages.flatten()
        else:
            values = value(batch)[:, :-1]
            rewards = rlhf.shaped_rewards(
                scores, log_probs, ref_log_probs, mask, kl_weight
            )
            if config.whiten_rewards:
                rewards = rlhf.whiten(rewards, mask, shift_mean=False)
            advantages, returns = rlhf.gae(
                rewards, values, mask, config.gamma, config.lam
            )
            advantages = rlhf.whiten(advantages, mask)
        told = {
            "reward": scores.mean().item(),
            "kl": rlhf.kl_estimate(log_probs, ref_log_probs, mask).mean().item(),
            "entropy": rlhf.masked_mean(entropies, mask).item(),
            "length": mask.sum(1).float().mean().item(),
        }
        before = log_probs, ref_log_probs, advantages, values, returns
        return cls(batch, *before, told)


def learn(
    policy: GPT,
    value: Scorer | None,
    seen: Experience,
    optimizer: torch.optim.Optimizer,
    config: PPOConfig,
    kl_weight: float,
) -> float:
    """Update on the same replies `n_epochs` times; the share of tokens clipped."""
    mask, shares = seen.batch.reply[:, 1:], []
    for _ in range(config.n_epochs):
        now, _ = reply_log_probs(policy, seen.batch)
        if value is None:
            before = seen.log_probs, seen.ref_log_probs, seen.advantages
            loss, share = rlhf.grpo_loss(now, *before, mask, config.clip, kl_weight)
        else:
            loss, share = rlhf.ppo_policy_loss(
                now, seen.log_probs, seen.advantages, mask, config.clip
            )
            guess = value(seen.batch)[:, :-1]
            loss = loss + rlhf.ppo_value_loss(
                guess, seen.values, seen.returns, mask, config.clip
            )
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], config.max_grad_norm)
        optimizer.step()
        shares.append(float(share))
    return sum(shares) / len(shares)
