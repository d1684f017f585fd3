"""Byte-level BPE beside a plain trainer and Rust's `tokenizers`, on one play.

    python benchmarks/bpe.py

Takes about a minute. Each line is the best of its runs in this one process.
Training includes cutting the text into pre-tokens. Encoding starts each time
from a new tokenizer, which has seen no word yet; making it counts as well. The
plain trainer counts every pair of the text again for each merge; a second one
does so on the distinct words only.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from utils.bpe import ByteBPE
from utils.merges import merge
from utils.packages import play
from utils.pretokens import pre_tokens

VOCAB_SIZE = 1024


def best_of(n_runs: int, run: Callable[[], object]) -> tuple[float, object]:
    """Seconds of the fastest of some runs, and what the last one gave."""
    seconds = []
    for _ in range(n_runs):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def train_plain(text: str) -> list[tuple[int, int]]:
    """Count all pairs, merge the best one everywhere, and again."""
    words = [list(word.encode()) for word in pre_tokens(text)]
    merges = []
    for new in range(256, VOCAB_SIZE):
        totals: Counter[tuple[int, int]] = Counter()
        for word in words:
            for pair in zip(word, word[1:], strict=False):
                totals[pair] += 1
        best = min(totals, key=lambda pair: (-totals[pair], pair))
        merges.append(best)
        words = [merge(word, best, new) for word in words]
    return merges


def train_distinct(text: str) -> list[tuple[int, int]]:
    """The same, but a word that comes a hundred times is looked at once."""
    words = Counter(tuple(word.encode()) for word in pre_tokens(text))
    merges = []
    for new in range(256, VOCAB_SIZE):
        totals: Counter[tuple[int, int]] = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:], strict=False):
                totals[pair] += n
        best = min(totals, key=lambda pair: (-totals[pair], pair))
        merges.append(best)
        words = Counter({tuple(merge(list(w), best, new)): n for w, n in words.items()})
    return merges


def train_rust(text: str) -> Tokenizer:
    """`tokenizers`: GPT-2's pre-tokens, all 256 bytes, the same size."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def encode_new(trained: ByteBPE, text: str) -> list[int]:
    """Encode with a tokenizer that has seen nothing yet."""
    return ByteBPE(trained.tokens, trained.merges).encode(text)


def main() -> None:
    text = play("hamlet")
    size = len(text.encode())
    print(f"hamlet, {size / 1000:.0f} kB, {VOCAB_SIZE} entries; ", end="")
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    pre_tokens("a")  # builds the pattern, once in a process
    ours, bpe = best_of(5, lambda: ByteBPE.train(text, VOCAB_SIZE))
    rust, _ = best_of(5, lambda: train_rust(text))
    distinct, merges_distinct = best_of(1, lambda: train_distinct(text))
    slow, merges = best_of(1, lambda: train_plain(text))
    print(f"train, rescan the whole text       {slow:8.2f} s")
    print(f"train, rescan the distinct words   {distinct:8.2f} s")
    print(f"train, ours                        {ours:8.3f} s")
    print(f"train, Rust tokenizers             {rust:8.3f} s")
    print(
        f"  all three give the same merges: {bpe.merges == merges == merges_distinct}"
    )
    print(f"  ours against the whole text (goal 50 or more): {slow / ours:.0f}x")
    print(f"  ours against the distinct words: {distinct / ours:.0f}x")
    print(f"  ours in times of Rust's (goal 5 or less): {ours / rust:.1f}x")
    cold, ids = best_of(5, lambda: encode_new(bpe, text))
    warm, _ = best_of(5, lambda: bpe.encode(text))
    print(f"encode, a new tokenizer            {size / cold / 1e6:8.2f} MB/s (goal 1)")
    print(f"encode, words seen before          {size / warm / 1e6:8.2f} MB/s")
    print(f"  back to the same text: {bpe.decode(ids) == text}")


if __name__ == "__main__":
    main()
