"""RLHF's three models and its loops: reward model, PPO, GRPO, DPO on one small GPT.

The policy writes replies, a reward model scores them, a frozen copy of the policy's
start holds it near. What is computed from their numbers stands in `utils.rlhf`.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from utils import rlhf
from utils.chat import CHAT_TOKENS, END, Chats, Turn, chat_batch, chat_tokens
from utils.corpora import pad
from utils.generation import stream
from utils.gpt import GPT
from utils.preferences import Preference
from utils.progress import progress_bar
from utils.tokenizers import BOS, EOS, PAD, Vocab

Score = Callable[[Sequence[str], Sequence[str]], Sequence[float]]


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
        return self.gpt(batch.ids, look=False, documents=batch.documents)[0][..., 0]


def last_score(scorer: Scorer, batch: Chats) -> Tensor:
    """The number at the last token of each conversation, its reward: (B,)."""
    last = (batch.documents > 0).sum(1, keepdim=True) - 1
    return scorer(batch).gather(1, last)[:, 0]


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
            included if it got there.
        replies: as text, without <|end|>.
    """
    prompts = [
        vocab.encode([t for t, _ in chat_tokens([Turn("user", text)], prompt=True)])
        for text in requests
    ]
    device = next(policy.parameters()).device
    ids, real = (x.flip(1).to(device) for x in pad([p[::-1] for p in prompts], 0))
    ends = vocab.encode([*CHAT_TOKENS, EOS, PAD, BOS])  # what ends a reply, rightly or not
    chosen: list[Tensor] = []
    ended = torch.zeros(len(ids), dtype=torch.bool, device=device)
    for token in stream(policy, ids, real, n_new, generator=generator):
        chosen.append(token.masked_fill(ended, -1))
        ended = ended | torch.isin(token, torch.tensor(ends, device=device))
        if ended.all():
            break
    written = [[i for i in row if i >= 0] for row in torch.stack(chosen, 1).tolist()]
    rows = [p + w for p, w in zip(prompts, written, strict=True)]
    ids, real = pad(rows, 0)
    place = torch.arange(ids.shape[1])
    starts = torch.tensor([len(p) for p in prompts])[:, None]
    batch = Chats(ids, real.long(), real & (place >= starts)).to(device)
    words = (vocab.decode(w[:-1] if w[-1] in ends else w) for w in written)
    return batch, [" ".join(reply) for reply in words]


def comparison_batches(
    comparisons: Sequence[Preference], vocab: Vocab, batch_size: int = 32, seed: int = 0
) -> Iterator[Chats]:
    """Comparisons for ever: a batch holds first all that won, then all that lost."""
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
    batch = batch.to(next(scorer.parameters()).device)
    return rlhf.reward_loss(*last_score(scorer, batch).chunk(2))


def preference_loss(
    policy: GPT, batch: Chats, reference: GPT, beta: float = 0.1
) -> Tensor:
    """`rlhf.dpo_loss` of a batch from `comparison_batches`."""
    batch = batch.to(next(policy.parameters()).device)
    with torch.no_grad():
        before = reply_log_probs(reference, batch)[0].sum(1).chunk(2)
    now = reply_log_probs(policy, batch)[0].sum(1).chunk(2)
    return rlhf.dpo_loss(*now, *before, beta)[0]


def reply_log_probs(policy: GPT, batch: Chats) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies (B, T - 1) of the replies' tokens."""
    logits = policy(batch.ids, look=False, documents=batch.documents)[0]
    chosen = rlhf.token_log_probs(logits, batch.ids, batch.reply)
    with torch.no_grad():
        entropies = rlhf.token_entropies(logits, batch.reply)
    return chosen, entropies


def proxy(scorer: Scorer, vocab: Vocab) -> Score:
    """A reward model as a function of requests and replies."""

    @torch.no_grad()
    def score(requests: Sequence[str], replies: Sequence[str]) -> list[float]:
        replies = [reply or '.' for reply in replies]
        batch = conversations(list(zip(requests, replies, strict=True)), vocab)
        return last_score(scorer, batch).tolist()

    return score


@dataclass(frozen=True)
class PPOConfig:
    """How to run PPO, or GRPO where n_group is above 1."""

    n_steps: int = 40
    n_requests: int = 64
    n_group: int = 1
    n_new: int = 40
    n_epochs: int = 2
    lr: float = 5e-4
    clip: float = 0.2
    gamma: float = 1.0
    lam: float = 0.95
    kl_weight: float = 0.1
    target_kl: float = 0.0
    horizon: int = 2000
    max_grad_norm: float = 1.0
    show_progress: bool = True


def ppo(policy, value, reference, score, requests, vocab, config, seed=0, watch=None):
    """Run it."""
    trainable = [*policy.parameters(), *(value.parameters() if value else [])]
    optimizer = torch.optim.AdamW(trainable, lr=config.lr, weight_decay=0.0)
    generator = torch.Generator().manual_seed(seed)
    control, kl_weight = None, config.kl_weight
    if config.target_kl:
        control = rlhf.AdaptiveKL(kl_weight, config.target_kl, config.horizon)
    history = []
    with progress_bar(config.n_steps, config.show_progress) as show:
        for step in range(config.n_steps):
            texts = [next(requests) for _ in range(config.n_requests)]
            texts = [t for t in texts for _ in range(config.n_group)]
            batch, replies = rollout(
                policy, vocab, texts, config.n_new, generator
            )
            scores = torch.tensor(score(texts, replies))
            told = update(policy, value, reference, batch, scores, optimizer, kl_weight, config)
            told |= {"reward": scores.mean().item(), "kl_weight": kl_weight}
            if control:
                kl_weight = control.update(told["kl"], len(texts))
            if watch:
                told |= watch(texts, replies)
            history.append(told)
            show(step + 1, told["reward"])
    return history


def update(policy, value, reference, batch, scores, optimizer, kl_weight, config):
    mask = batch.reply[:, 1:]
    with torch.no_grad():
        old, entropies = reply_log_probs(policy, batch)
        ref, _ = reply_log_probs(reference, batch)
        kl = rlhf.kl_estimate(old, ref, mask).mean().item()
        if config.n_group > 1:
            advantages = rlhf.group_advantages(scores.view(-1, config.n_group)).flatten()
        else:
            old_values = value(batch)[:, :-1]
            rewards = rlhf.shaped_rewards(scores, old, ref, mask, kl_weight)
            advantages, returns = rlhf.gae(
                rewards, old_values, mask, config.gamma, config.lam
            )
            advantages = rlhf.whiten(advantages, mask)
    shares = []
    for _ in range(config.n_epochs):
        now, _ = reply_log_probs(policy, batch)
        if config.n_group > 1:
            loss, share = rlhf.grpo_loss(
                now, old, ref, advantages, mask, config.clip, kl_weight
            )
        else:
            loss, share = rlhf.ppo_policy_loss(now, old, advantages, mask, config.clip)
            loss = loss + rlhf.ppo_value_loss(value(batch)[:, :-1], old_values, returns, mask, config.clip)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
        if value is not None:
            nn.utils.clip_grad_norm_(value.parameters(), config.max_grad_norm)
        optimizer.step()
        shares.append(float(share))
    return {
        "kl": kl,
        "entropy": rlhf.masked_mean(entropies, mask).item(),
        "length": mask.sum(1).float().mean().item(),
        "clipped": sum(shares) / len(shares),
    }
