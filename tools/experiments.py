"""Experiments over several seeds, too long for a chapter; results are recorded.

`python -m tools experiment attention` trains the same model with a fixed context
and with each attention score; `... reversal` trains a fixed-context model whose
encoder reads one way on sources as they are and reversed, `... reversal_two_way`
is the control. Each writes utils/records/NAME.json.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from utils.corpora import split_pairs, translation_batches
from utils.grammar import Pair, translation_pairs
from utils.metrics import aer, attention_links, bleu
from utils.seq2seq import Seq2Seq, attention_of, translate, translation_loss
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train

RECORDS = Path(__file__).parents[1] / "utils" / "records"
BINS = [(4, 9), (10, 19), (20, 29), (30, 39), (40, 50)]


def run(
    pairs: Sequence[Pair],
    score: str | None,
    seed: int,
    n_steps: int,
    bidirectional: bool = True,
) -> dict[str, object]:
    """Train one model and measure it on 500 held-out sentences."""
    training, _, test = split_pairs(pairs, 500, 500)
    source_vocab = Vocab.from_sentences(p.source for p in training)
    target_vocab = Vocab.from_sentences(p.target for p in training)
    seed_all(seed)
    model = Seq2Seq(
        len(source_vocab),
        len(target_vocab),
        score=score,
        bidirectional=bidirectional,
    )
    batches = translation_batches(training, source_vocab, target_vocab, 32, seed)
    start = time.process_time()
    losses = train(model, batches, translation_loss, TrainConfig(n_steps=n_steps))
    cpu = time.process_time() - start
    texts = translate(model, [p.source for p in test], source_vocab, target_vocab)
    result: dict[str, object] = {
        "score": score,
        "seed": seed,
        "loss": round(sum(losses[-50:]) / 50, 4),
        **_quality(texts, test),
        "cpu_ms_per_step": round(1000 * cpu / n_steps, 1),
    }
    if score:
        weights = [attention_of(model, p, source_vocab, target_vocab) for p in test]
        links = [
            attention_links(w, len(p.target), len(p.source))
            for w, p in zip(weights, test, strict=True)
        ]
        gold = [p.sure for p in test], [p.possible for p in test]
        result["aer"] = round(aer(links, *gold), 3)
    return result


def _quality(texts: list[list[str]], test: Sequence[Pair]) -> dict[str, object]:
    """BLEU of all, by length and of long sentences; share of exact translations."""

    def within(low: int, high: int) -> float | None:
        chosen = [i for i, p in enumerate(test) if low <= len(p.source) <= high]
        if not chosen:
            return None
        return round(
            bleu([texts[i] for i in chosen], [test[i].target for i in chosen]), 1
        )

    exact = sum(tuple(o) == p.target for o, p in zip(texts, test, strict=True))
    return {
        "bleu": within(4, 50),
        "bleu_by_length": [within(*bounds) for bounds in BINS],
        "bleu_from_30": within(30, 50),
        "exact": round(exact / len(test), 3),
    }


def attention(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """Fixed context, additive, dot and general: quality, alignment and time."""
    pairs = translation_pairs(21000)
    return [
        _told(run(pairs, score, seed, n_steps))
        for seed in seeds
        for score in (None, "dot", "general", "additive")
    ]


def reversal(
    seeds: Sequence[int], n_steps: int, bidirectional: bool = False
) -> list[dict]:
    """Fixed context, short sentences, a one-way encoder: forwards and backwards."""
    pairs = translation_pairs(21000, max_len=14)
    backwards = [Pair(p.source[::-1], p.target) for p in pairs]
    return [
        _told({"reversed": reverse, **run(data, None, seed, n_steps, bidirectional)})
        for seed in seeds
        for reverse, data in ((False, pairs), (True, backwards))
    ]


def _told(result: dict) -> dict:
    print(json.dumps(result), flush=True)
    return result


EXPERIMENTS: dict[str, Callable[[Sequence[int], int], list[dict]]] = {
    "attention": attention,
    "reversal": reversal,
    "reversal_two_way": partial(reversal, bidirectional=True),
}


def main(argv: list[str]) -> int:
    """Run an experiment and write its record."""
    parser = argparse.ArgumentParser(prog="python -m tools experiment")
    parser.add_argument("name", choices=sorted(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds")
    parser.add_argument("--steps", type=int, default=1200, help="updates a model")
    options = parser.parse_args(argv)
    seeds = list(range(options.seeds))
    start = time.time()
    runs = EXPERIMENTS[options.name](seeds, options.steps)
    record = {
        "command": f"python -m tools experiment {options.name} "
        f"--seeds {options.seeds} --steps {options.steps}",
        "seeds": seeds,
        "n_steps": options.steps,
        "bins": BINS,
        "seconds": round(time.time() - start),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
        "runs": runs,
    }
    path = RECORDS / f"{options.name}.json"
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_suffix(".partial")
    unfinished.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(unfinished, path)
    print(f"wrote {path}")
    return 0
