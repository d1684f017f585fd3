"""Right answers to chapter 08 that differ from the notebook's solutions."""

import torch


def tempered(logits, temperature):
    if temperature == 0:
        return (logits == logits.max()).float()
    powers = torch.exp((logits - logits.max()) / temperature)
    return powers / powers.sum()


def nucleus(probs, top_p):
    chosen, total = [], 0.0
    for p, i in sorted(((p, i) for i, p in enumerate(probs.tolist())), reverse=True):
        if total >= top_p:
            break
        chosen.append(i)
        total += p
    return chosen


def cache_bytes(n_layers, n_kv_heads, d_k, n_tokens, n_bytes):
    per_token = sum(d_k + d_k for _ in range(n_layers * n_kv_heads))
    return per_token * n_tokens * n_bytes


def induced(ids):
    after = {}
    for first, second in zip(ids, ids[1:], strict=False):
        after[first] = second
    return after.get(ids[-1])
