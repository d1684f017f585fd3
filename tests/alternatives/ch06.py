"""Right answers to chapter 06 that differ from the notebook's solutions."""

import re


def merge_pair(ids, a, b, new):
    if len(ids) < 2:
        return list(ids)
    if ids[0] == a and ids[1] == b:
        return [new] + merge_pair(ids[2:], a, b, new)
    return [ids[0]] + merge_pair(ids[1:], a, b, new)


def encode_word(word, merges):
    tokens = list(word)
    while True:
        ranks = [
            (merges.index(pair), i)
            for i, pair in enumerate(zip(tokens, tokens[1:]))  # noqa: B905
            if pair in merges
        ]
        if not ranks:
            return tokens
        _, i = min(ranks)
        tokens = tokens[:i] + [tokens[i] + tokens[i + 1]] + tokens[i + 2 :]


def longest_match(word, pieces):
    starts = sorted((p for p in pieces if p[:2] != "##"), key=len, reverse=True)
    inner = sorted((p[2:] for p in pieces if p[:2] == "##"), key=len, reverse=True)
    found, rest = [], word
    while rest:
        options = inner if found else starts
        fit = re.match("|".join(map(re.escape, options)) or "(?!)", rest)
        if fit is None:
            return ["[UNK]"]
        found.append(("##" if found else "") + fit[0])
        rest = rest[fit.end() :]
    return found


def fertility(texts, tokenize):
    tokens, words = [], []
    for text in texts:
        tokens += tokenize(text)
        words += text.split()
    return len(tokens) / len(words) if words else 0.0
