"""Learn the merges of byte-pair encoding from word counts, and apply them.

Sennrich et al., 2016, https://arxiv.org/abs/1508.07909. No torch in here.
"""

import heapq
from collections import defaultdict
from collections.abc import Mapping

Pair = tuple[int, int]


def merge(ids: list[int], pair: Pair, new: int) -> list[int]:
    """Write `new` wherever `pair` stands, from left to right, never overlapping.

    >>> merge([97, 97, 97], (97, 97), 256)
    [256, 97]
    """
    out, i, last = [], 0, len(ids) - 1
    left, right = pair
    while i <= last:
        if ids[i] == left and i < last and ids[i + 1] == right:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def learn_merges(
    counts: Mapping[bytes, int], n_merges: int, min_count: int = 1
) -> list[Pair]:
    """Merge the most frequent pair of neighbours, again and again.

    Algorithm 1 of Sennrich et al., 2016. A pair counts at each place where it
    stands, overlaps too: "aaa" holds (a, a) twice, although merging replaces one.
    Of pairs equally frequent the one with the smaller ids is merged: the older
    left token, then the older right one. Only words that hold the pair are
    looked at again.

    Args:
        counts: word as bytes -> how often it occurs.
        n_merges: at most so many; fewer if there are no more pairs.
        min_count: stop before a pair that occurs fewer times.

    Returns:
        Pairs of ids: 0 to 255 are the bytes, 256 + i is what pair i became.

    >>> learn_merges({b"aaab": 1}, 2)
    [(97, 97), (97, 98)]
    """
    words, times = [list(word) for word in counts], list(counts.values())
    totals: dict[Pair, int] = defaultdict(int)
    where: dict[Pair, set[int]] = defaultdict(set)
    for w, (word, n) in enumerate(zip(words, times, strict=True)):
        for pair in zip(word, word[1:], strict=False):
            totals[pair] += n
            where[pair].add(w)
    queue = [(-n, pair) for pair, n in totals.items()]
    heapq.heapify(queue)
    merges: list[Pair] = []
    while queue and len(merges) < n_merges:
        total, pair = heapq.heappop(queue)
        if -total != totals[pair]:  # counted before a later merge
            continue
        if -total < max(min_count, 1):
            break
        new = 256 + len(merges)
        merges.append(pair)
        change: dict[Pair, int] = defaultdict(int)
        for w in where.pop(pair):
            for gone, born in _merge_in_place(words[w], pair, new):
                change[gone] -= times[w]
                change[born] += times[w]
                where[born].add(w)
        change[pair] = total  # none is left, whatever overlapped
        _recount(totals, queue, change)
    return merges


def _merge_in_place(word: list[int], pair: Pair, new: int) -> list[tuple[Pair, Pair]]:
    """As `merge`, in place; each neighbouring pair that went, and what it became."""
    left, right = pair
    changes, n, i, end = [], len(word), 0, 0
    while i < n:
        if word[i] == left and i + 1 < n and word[i + 1] == right:
            if end:
                before = word[end - 1]
                changes.append(((before, left), (before, new)))
            if i + 2 < n:
                after = word[i + 2]
                changes.append(((right, after), (new, after)))
            word[end] = new
            i += 2
        else:
            word[end] = word[i]
            i += 1
        end += 1
    del word[end:]
    return changes


def _recount(totals: dict, queue: list, change: Mapping[Pair, int]) -> None:
    """Add the change of each pair to its total, and queue it with the new one."""
    for pair, n in change.items():
        if n:
            totals[pair] += n
            heapq.heappush(queue, (-totals[pair], pair))


NEVER = (1 << 62, -1)  # the turn of a pair that no merge joins
SHORT = 48  # up to so many ids, looking at every pair is faster than a queue


def apply_merges(ids: list[int], ranks: Mapping[Pair, Pair]) -> list[int]:
    """Merge the pair learned first, leftmost place first, until none is left.

    Args:
        ids: of the bytes of one pre-token.
        ranks: pair -> (its turn, the id it becomes).

    Returns:
        The ids of the tokens. Takes n log n steps for n ids.

    >>> apply_merges([97, 97, 97], {(97, 97): (0, 256)})
    [256, 97]
    """
    if len(ids) > SHORT:
        return _apply_to_long(ids, ranks)
    ids = list(ids)
    turns = [ranks.get(pair, NEVER) for pair in zip(ids, ids[1:], strict=False)]
    while turns and (first := min(turns)) is not NEVER:
        i = turns.index(first)
        ids[i : i + 2] = [first[1]]
        del turns[i]
        for k in (i - 1, i):
            if 0 <= k < len(turns):
                turns[k] = ranks.get((ids[k], ids[k + 1]), NEVER)
    return ids


def _apply_to_long(ids: list[int], ranks: Mapping[Pair, Pair]) -> list[int]:
    """The same with a queue of merges and, for each place, links to both sides."""
    ids, n = list(ids), len(ids)
    after, before = list(range(1, n + 1)), list(range(-1, n - 1))
    pairs = enumerate(zip(ids, ids[1:], strict=False))
    queue = [(ranks[pair][0], i, *pair) for i, pair in pairs if pair in ranks]
    heapq.heapify(queue)
    while queue:
        _, i, left, right = heapq.heappop(queue)
        j = after[i] if ids[i] == left else n
        if j >= n or ids[j] != right:  # one of the two was merged meanwhile
            continue
        ids[i], ids[j] = ranks[left, right][1], -1
        after[i] = after[j]
        if after[i] < n:
            before[after[i]] = i
        for k in (before[i], i):
            if k >= 0 and after[k] < n:
                pair = (ids[k], ids[after[k]])
                if pair in ranks:
                    heapq.heappush(queue, (ranks[pair][0], k, *pair))
    return [i for i in ids if i >= 0]
