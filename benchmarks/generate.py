"""SmolLM2-135M-Instruct: our code and weights beside transformers' `generate`.

    python benchmarks/generate.py

Takes about two minutes, most of it the loading by `transformers`. All write the
same number of tokens after the same prompt, greedily and with a cache, in turns;
each line is the best of its rounds in this one process. Perplexity is that of a
scene of Hamlet, in nats per token and then e to that.
"""

import os
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from utils.generation import generate
from utils.packages import play, smollm2_file
from utils.pretrained import smollm2
from utils.quantize import n_bytes, quantize

PROMPT = "The story begins in a small village by the sea, where"
N_NEW, N_ROUNDS, N_TEXT = 64, 4, 2048


def transformers_writer(ids: Tensor) -> Callable[[], list[int]]:
    """Greedy generation as a user of the library would write it."""
    path = smollm2_file()
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    # No token ends the text, so that all write equally many.
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    options = {"max_new_tokens": N_NEW, "do_sample": False, "use_cache": True}

    def write() -> list[int]:
        return model.generate(ids, **options)[0, ids.shape[1] :].tolist()

    return write


@torch.no_grad()
def perplexity(model: nn.Module, ids: Tensor) -> float:
    """e to the mean loss of ids (B, T)."""
    logits = model(ids, look=False)[0][:, :-1].flatten(0, 1)
    return F.cross_entropy(logits, ids[:, 1:].flatten()).exp().item()


def main() -> int:
    """Print tokens per second, memory and perplexity; 0 if both goals are met."""
    plain, tokenizer = smollm2()
    ids = torch.tensor([tokenizer.encode(PROMPT)])
    text = tokenizer.encode(play("hamlet")[20_000:32_000])[:N_TEXT]
    text = torch.tensor(text).view(4, -1)
    models = {
        "ours, float32": plain.fuse(),
        "ours, int8": quantize(smollm2()[0].fuse(), 8),
        "ours, int4 (output int8)": quantize(smollm2()[0].fuse(), 4),
    }
    writers = {"transformers, float32": transformers_writer(ids)}
    for name, model in models.items():

        def write(model: nn.Module = model) -> list[int]:
            return generate(model, ids, n_new=N_NEW, temperature=0)[0]

        writers[name] = write

    print(f"{N_NEW} tokens after {ids.shape[1]}, {torch.get_num_threads()} threads")
    written, best = {}, dict.fromkeys(writers, float("inf"))
    for _ in range(N_ROUNDS):
        for name, write in writers.items():
            start = time.perf_counter()
            written[name] = write()
            best[name] = min(best[name], time.perf_counter() - start)
    speed = {name: N_NEW / seconds for name, seconds in best.items()}
    theirs = speed["transformers, float32"]
    exact = perplexity(models["ours, float32"], text)
    for name in writers:
        line = f"{name:<26}{speed[name]:6.1f} tokens/s {speed[name] / theirs:5.2f} x"
        if name in models:
            more = perplexity(models[name], text) / exact - 1
            mb = n_bytes(models[name]) / 1e6
            line += f"   {mb:4.0f} MB   perplexity {more:+.2%}"
        print(line)
    same = written["ours, float32"] == written["transformers, float32"]
    print(f"perplexity in float32: {exact:.2f}")
    print(f"float32 writes the same tokens as transformers: {same}")
    fast = speed["ours, float32"] / theirs
    quick, small = "ours, int4 (output int8)", "ours, int8"
    ratio = max(speed[quick], speed[small]) / theirs
    print(f"float32: {fast:.2f} x transformers (goal 1.3)")
    print(f"best quantised weights: {ratio:.2f} x transformers (goal 2.5)")
    return 0 if same and fast >= 1.3 and ratio >= 2.5 else 1


if __name__ == "__main__":
    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    sys.exit(main())
