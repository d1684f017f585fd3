"""Right answers to chapter 07 that differ from the notebook's solutions."""

import torch


def pair_input(a, b):
    ids, segments = [2], [0]
    for segment, part in enumerate((a, b)):
        for token in part:
            ids.append(token)
            segments.append(segment)
        ids.append(3)
        segments.append(segment)
    return ids, segments


def hide(ids, chosen, draw, other):
    out = list(ids)
    for place in range(len(ids)):
        if chosen[place] and draw[place] < 0.9:
            out[place] = 4 if draw[place] < 0.8 else other[place]
    return out


def chosen_loss(logits, labels):
    rows = [(x, int(y)) for x, y in zip(logits, labels, strict=True) if y != -100]
    if not rows:
        return torch.tensor(0.0)
    return torch.stack([x.logsumexp(0) - x[y] for x, y in rows]).mean()


def best_span(start, end):
    best, found = None, None
    for i in range(len(start)):
        for j in range(i, len(end)):
            if best is None or start[i] + end[j] > best:
                best, found = start[i] + end[j], (i, j)
    return found
