"""Right answers to chapter 10 that differ from the notebook's solutions."""

import torch
import torch.nn.functional as F


def reply_mask(tokens):
    mask = [False] * len(tokens)
    for start, token in enumerate(tokens):
        if token == "<|assistant|>":
            end = tokens.index("<|end|>", start)
            mask[start + 1 : end + 1] = [True] * (end - start)
    return mask


def masked_loss(log_p, ids, reply):
    labels = torch.where(reply, ids, -100)[1:]
    return F.cross_entropy(log_p[:-1], labels)


def packed_mask(documents):
    n = len(documents)
    mask = torch.zeros(n, n, dtype=torch.bool)
    for t in range(n):
        for j in range(t + 1):
            mask[t, j] = documents[t] == documents[j] != 0
    return mask


def first_fit(lengths, max_len):
    rows = []
    for n in lengths:
        fits = [row for row in rows if max_len - sum(row) >= n]
        if fits:
            fits[0].append(n)
        else:
            rows.append([n])
    return rows


def keep_unlike(similar, threshold):
    kept = []
    for i, row in enumerate(similar):
        if max((row[j] for j in kept), default=-1.0) < threshold:
            kept.append(i)
    return kept
