"""Chapter 05's experiments: quality for training time, ablations, agreement."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import process_time

from torch import nn

from tools.experiments import Task, fit, told
from utils.agreement import (
    agreement_sentences,
    agrees,
    language_model,
    next_word_loss,
    sentence_batches,
)
from utils.grammar import translation_pairs
from utils.seq2seq import Seq2Seq
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train
from utils.transformer import BatchNorm, EncoderDecoder, TransformerConfig

BASE = TransformerConfig()
WARM_UP = 100
# name -> what differs from BASE, and the steps of warm-up
ABLATIONS = {
    "complete": ({}, WARM_UP),
    "no positions": ({"positions": False}, WARM_UP),
    "no skip connections": ({"skip": False}, WARM_UP),
    "one head": ({"n_heads": 1}, WARM_UP),
    "batch norm": ({"norm": BatchNorm}, WARM_UP),
    "pre-norm, no warm-up": ({}, 0),
    "post-norm, warm-up": ({"norm_first": False}, WARM_UP),
    "post-norm, no warm-up": ({"norm_first": False}, 0),
}
DISTANCES = [(0, 0), (3, 7), (8, 12), (13, 17), (18, 24), (25, 31), (32, 48)]


def transformer(config: TransformerConfig = BASE) -> Callable[[int, int], nn.Module]:
    """What `fit` needs to build one."""
    return partial(EncoderDecoder, config=config)


def against_time(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """Three models, each trained for 1/8, 1/4, 1/2 and all of the steps.

    The recurrent ones also for twice the steps, since a step costs them about half
    the time. Every budget is a run of its own with its whole schedule.
    """
    task = Task.of(translation_pairs(21000))
    models = {
        "Transformer": (transformer(), WARM_UP, n_steps),
        "GRU + attention": (partial(Seq2Seq, score="dot"), 50, 2 * n_steps),
        "GRU": (Seq2Seq, 50, 2 * n_steps),
    }
    runs = []
    for seed in seeds:
        for name, (make, n_warmup, most) in models.items():
            budgets = [n_steps // 8, n_steps // 4, n_steps // 2, n_steps, most]
            for steps in sorted(set(budgets)):
                config = TrainConfig(n_steps=steps, n_warmup=n_warmup)
                _, measured = fit(task, make, seed, config)
                runs.append(told({"model": name, "n_steps": steps, **measured}))
    return runs


def ablations(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """The Transformer with one part changed at a time."""
    task = Task.of(translation_pairs(21000))
    runs = []
    for seed in seeds:
        for name, (change, n_warmup) in ABLATIONS.items():
            config = TrainConfig(n_steps=n_steps, n_warmup=n_warmup)
            _, measured = fit(task, transformer(replace(BASE, **change)), seed, config)
            runs.append(told({"variant": name, **measured}))
    return runs


def agreement(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """Verbs after up to 6 modifiers in training, up to 12 in the test."""
    training = agreement_sentences(20000, seed=0)
    test = agreement_sentences(4000, seed=1, max_modifiers=12)
    vocab = Vocab.from_sentences(s.words for s in training)
    runs = []
    for seed in seeds:
        for kind in ("Transformer", "GRU + attention", "GRU"):
            for steps in (n_steps // 8, n_steps // 4, n_steps // 2, n_steps):
                seed_all(seed)
                model = language_model(kind, len(vocab))
                batches = sentence_batches(training, vocab, 64, seed)
                start = process_time()
                train(model, batches, next_word_loss, TrainConfig(n_steps=steps))
                cpu = process_time() - start
                right = agrees(model, test, vocab)
                result = {"model": kind, "seed": seed, "n_steps": steps}
                result["by_distance"] = {
                    f"{low}–{high}" if high else "0": _share(right, test, low, high)
                    for low, high in DISTANCES
                }
                result["cpu_ms_per_step"] = round(1000 * cpu / steps, 1)
                runs.append(told(result))
    return runs


def _share(right: list[bool], test: Sequence, low: int, high: int) -> float:
    """Share right where a noun between says otherwise (or no noun is between)."""
    chosen = [
        ok
        for ok, s in zip(right, test, strict=True)
        if low <= s.distance <= high and (s.attracted or s.distance == 0)
    ]
    return round(sum(chosen) / len(chosen), 3)
