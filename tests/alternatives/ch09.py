"""Right answers to chapter 09 that differ from the notebook's solutions."""

import math
import re
from itertools import combinations

import torch


def perplexity_of(log_probs):
    product = 1.0
    for x in log_probs:
        product *= math.exp(-x) ** (1 / len(log_probs))
    return product


def bits_each_byte(log_probs, text):
    bits = sum(-math.log2(math.exp(x)) for x in log_probs)
    return bits / len(bytes(text, "utf-8"))


def same_answer(answer, gold):
    def words(text):
        text = re.sub(r"[!-/:-@\[-`{-~]", "", text.lower())
        return re.sub(r"\b(?:an?|the)\b", "", text).split()

    return words(answer) == words(gold)


def pass_chance(n, c, k):
    choices = list(combinations([True] * c + [False] * (n - c), k))
    return sum(any(choice) for choice in choices) / len(choices)


def bootstrap_means(values, picks):
    samples = torch.tensor(values)[torch.tensor(picks)]  # (R, n)
    return samples.mean(dim=1).sort().values.tolist()
