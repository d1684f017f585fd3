"""A second, different right solution of each exercise of chapter 02."""

import math

import torch


def padding_mask(lengths, max_len):
    mask = torch.zeros(len(lengths), max_len, dtype=torch.bool)
    for row, length in enumerate(lengths):
        mask[row, :length] = True
    return mask


def teacher_forcing(ids):
    whole = [1, *ids, 2]
    return whole[:-1], whole[1:]


def clipped_precision(hypothesis, reference, n):
    left = [reference[i : i + n] for i in range(len(reference) - n + 1)]
    n_grams = len(hypothesis) - n + 1
    correct = 0
    for i in range(n_grams):
        gram = hypothesis[i : i + n]
        if gram in left:
            left.remove(gram)
            correct += 1
    return correct / n_grams if n_grams > 0 else 0.0


def best_candidate(candidates, alpha):
    best, place = -math.inf, None
    for i, (log_p, length) in enumerate(candidates):
        score = log_p * (6 / (5 + length)) ** alpha
        if score > best:
            best, place = score, i
    return place
