"""Right answers to chapter 01 that differ from the notebook's solutions."""

import math

import torch
import torch.nn.functional as F


def cosines(u, X):
    return F.normalize(X, dim=1) @ F.normalize(u, dim=0)


def log_softmax(z):
    return z - z.logsumexp(dim=-1, keepdim=True)


def cross_entropy(logits, ids):
    losses = [row.logsumexp(0) - row[i] for row, i in zip(logits, ids, strict=True)]
    return sum(losses) / len(losses)


def perplexity(losses, mask):
    total = n_words = 0
    for loss, real in zip(losses.flatten().tolist(), mask.flatten(), strict=True):
        if real:
            total += loss
            n_words += 1
    return torch.tensor(math.exp(total / n_words))


def negative_sampling_loss(w, c, noise):
    return F.softplus(-(w @ c)) + sum(F.softplus(w @ n) for n in noise)


def pmi(N):
    P = N / N.sum()
    rows, columns = P.sum(dim=1), P.sum(dim=0)
    return P.log() - rows.log()[:, None] - columns.log()[None]
