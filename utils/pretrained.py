"""Real weights in our own modules: SmolLM2 in our decoder, MiniLM in our encoder.

The files come as pip packages, see `utils.packages`; nothing is downloaded.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from utils.bert import Bert, bert_config
from utils.bpe import ByteBPE
from utils.gguf import GGUF
from utils.gpt import GPT, GPTConfig, rotations
from utils.packages import minilm_file, smollm2_file
from utils.safetensors_files import read_safetensors
from utils.tokenizers import Vocab
from utils.weights import WEIGHTS, load_weights
from utils.wordpiece import WordPiece

# GGUF's name of a part of block i -> ours
SMOLLM2_PARTS = {
    "attn_norm": "norm_1",
    "attn_q": "attention.W_q",
    "attn_k": "attention.W_k",
    "attn_v": "attention.W_v",
    "attn_output": "attention.W_o",
    "ffn_norm": "norm_2",
    "ffn_gate": "feed_forward.W_gate",
    "ffn_up": "feed_forward.W_up",
    "ffn_down": "feed_forward.W_down",
}
# BERT's name of a part of layer i -> ours
BERT_PARTS = {
    "attention.self.query": "attention.W_q",
    "attention.self.key": "attention.W_k",
    "attention.self.value": "attention.W_v",
    "attention.output.dense": "attention.W_o",
    "attention.output.LayerNorm": "residual.norm",
    "intermediate.dense": "feed_forward.0",
    "output.dense": "feed_forward.2",
    "output.LayerNorm": "feed_forward_residual.norm",
}
BERT_EMBEDDINGS = {
    "word_embeddings": "tokens",
    "position_embeddings": "positions",
    "token_type_embeddings": "segments",
    "LayerNorm": "norm",
}


def smollm2() -> tuple[GPT, ByteBPE]:
    """SmolLM2-135M-Instruct in our decoder, float32, and its tokenizer.

    Allal et al., 2025, https://arxiv.org/abs/2502.02737. Llama's style: 30 layers,
    d_model 576, 9 query heads, 3 key-value heads, 49,152 tokens.

    Raises:
        ModuleNotFoundError: if the package is absent, with the pip line.
        ValueError: if its file is truncated or altered.
    """
    file = GGUF(smollm2_file())
    meta = file.metadata
    config = GPTConfig.llama(
        len(meta["tokenizer.ggml.tokens"]),
        d_model=meta["llama.embedding_length"],
        n_heads=meta["llama.attention.head_count"],
        n_kv_heads=meta["llama.attention.head_count_kv"],
        n_layers=meta["llama.block_count"],
        d_ff=meta["llama.feed_forward_length"],
        max_len=meta["llama.context_length"],
        rope_base=meta["llama.rope.freq_base"],
        norm_eps=meta["llama.attention.layer_norm_rms_epsilon"],
    )
    weights = {
        "tokens.weight": file.tensor("token_embd.weight"),
        "norm.weight": file.tensor("output_norm.weight"),
    }
    for i in range(config.n_layers):
        for theirs, ours in SMOLLM2_PARTS.items():
            w = file.tensor(f"blk.{i}.{theirs}.weight")
            if theirs in ("attn_q", "attn_k"):
                w = _halves_apart(w, config.d_k)
            weights[f"blocks.{i}.{ours}.weight"] = w
    weights["output.weight"] = weights["tokens.weight"]
    model = _filled(lambda: GPT(config), weights)
    model.output.weight = model.tokens.weight
    model.turns = rotations(config)
    return model, ByteBPE.from_gguf(meta, split_digits=True)


def _halves_apart(w: np.ndarray, d_k: int) -> np.ndarray:
    """Undo GGUF's order of rows, in which the two numbers of a pair are neighbours."""
    heads = w.reshape(-1, d_k // 2, 2, w.shape[1])
    return heads.swapaxes(1, 2).reshape(w.shape)


def minilm() -> tuple[Bert, WordPiece]:
    """all-MiniLM-L6-v2 in our encoder, float32, and its tokenizer.

    Reimers & Gurevych, 2019, https://arxiv.org/abs/1908.10084. BERT's style: 6
    layers, d_model 384, 12 heads, 30,522 tokens. A sentence's vector is the mean of
    its tokens' states.

    Raises:
        ModuleNotFoundError: if the package is absent, with the pip line.
        ValueError: if a file is truncated or altered.
    """
    theirs = read_safetensors(minilm_file("model.safetensors"))
    weights = {}
    for part, ours in BERT_EMBEDDINGS.items():
        for kind in ("weight", "bias"):
            if f"embeddings.{part}.{kind}" in theirs:
                value = theirs[f"embeddings.{part}.{kind}"]
                weights[f"embedding.{ours}.{kind}"] = value
    for i in range(6):
        for part, ours in BERT_PARTS.items():
            for kind in ("weight", "bias"):
                value = theirs[f"encoder.layer.{i}.{part}.{kind}"]
                weights[f"stack.blocks.{i}.{ours}.{kind}"] = value
    model = _filled(lambda: Bert(30522, bert_config(384, 12, 6, 1536)), weights)
    return model, WordPiece.from_file(minilm_file("vocab.txt"))


def _filled(make: Callable[[], nn.Module], weights: Mapping) -> nn.Module:
    """A module whose parameters are these very arrays, in eval mode."""
    with torch.device("meta"):  # no memory for values that are replaced at once
        model = make()
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def shakespeare(kind: str) -> tuple[GPT, Vocab | ByteBPE]:
    """A small GPT trained on nine plays by `python -m tools pretrain`.

    Args:
        kind: "characters", read one by one, or "tokens" of a byte-level BPE that was
            trained on the same text.

    Returns:
        The model, in eval mode, and its tokenizer; `Vocab` takes a list of characters.

    Raises:
        ValueError: if kind is neither.
    """
    if kind not in ("characters", "tokens"):
        raise ValueError(f'kind should be "characters" or "tokens", got {kind!r}')
    tensors, info = load_weights(f"shakespeare_{kind}")
    model = _small(tensors, info)
    if kind == "characters":
        return model, Vocab(list(info["vocab"]))
    return model, ByteBPE.load(WEIGHTS / f"shakespeare_{kind}.bpe.json")


def small_gpt(name: str) -> tuple[GPT, Vocab]:
    """A small GPT that reads words, trained by `python -m tools pretrain`.

    Args:
        name: "worksheets", on stories and pages of small tasks, or "stories".

    Returns:
        The model, in eval mode, and its vocabulary, the chat's tokens in it.

    Raises:
        ValueError: if name is neither.
    """
    if name not in ("worksheets", "stories"):
        raise ValueError(f'name should be "worksheets" or "stories", got {name!r}')
    tensors, info = load_weights(name)
    return _small(tensors, info), Vocab(info["vocab"])


def _small(tensors: Mapping, info: Mapping) -> GPT:
    model = GPT(GPTConfig(**info["config"]))
    model.load_state_dict(tensors)
    return model.eval()
