"""Right answers to chapter 11 that differ from the notebook's solutions."""

import math

import torch


def preference_probability(reward_a, reward_b, noise):
    return torch.tensor([reward_a, reward_b], dtype=torch.float64).div(
        noise
    ).softmax(0)[0].item()  # fmt: skip


def reward_loss(winners, losers):
    return torch.logaddexp(torch.zeros_like(winners), losers - winners).mean()


def advantages(rewards, values, ends, lam):
    found = []
    for start in range(len(rewards)):
        last = start + ends[start:].index(True)
        total = 0.0
        for t in range(start, last + 1):
            v_next = values[t + 1] if t < last else 0.0
            total += lam ** (t - start) * (rewards[t] + v_next - values[t])
        found.append(total)
    return found


def clipped_objective(ratio, advantage, clip):
    if advantage > 0:
        return min(ratio, 1 + clip) * advantage
    return max(ratio, 1 - clip) * advantage


def dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta):
    margin = beta * (chosen - rejected - ref_chosen + ref_rejected)
    return -math.log(1 / (1 + math.exp(-margin)))


def group_advantages(rewards):
    rows = []
    for row in rewards.tolist():
        middle = sum(row) / len(row)
        spread = (sum((r - middle) ** 2 for r in row) / len(row)) ** 0.5
        rows.append([(r - middle) / spread if spread else 0.0 for r in row])
    return torch.tensor(rows)
