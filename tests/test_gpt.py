import pytest
import torch
from torch.testing import assert_close
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    RepetitionPenaltyLogitsProcessor,
)

from utils.generation import generate, next_tokens, penalise, stream
from utils.gpt import GPT, GPTConfig

SIZES = {"d_model": 32, "n_heads": 4, "n_layers": 2, "d_ff": 48, "max_len": 40}
IDS = torch.randint(50, (2, 7), generator=torch.Generator().manual_seed(0))


def randomise(model: torch.nn.Module) -> None:
    """Biases and norms away from 0 and 1, so that a forgotten one shows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)


def llama(n_kv_heads: int) -> tuple[GPT, LlamaForCausalLM]:
    """Ours and the library's, with the same weights."""
    ours = GPT(
        GPTConfig.llama(50, **SIZES, n_kv_heads=n_kv_heads, rope_base=100.0)
    ).double()
    randomise(ours)
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=32,
            num_attention_heads=4,
            num_key_value_heads=n_kv_heads,
            num_hidden_layers=2,
            intermediate_size=48,
            max_position_embeddings=40,
            rope_parameters={"rope_type": "default", "rope_theta": 100.0},
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
        )
    ).double()
    names = {
        "model.embed_tokens": "tokens",
        "model.norm": "norm",
        "lm_head": "tokens",
        "model.layers": "blocks",
        "input_layernorm": "norm_1",
        "post_attention_layernorm": "norm_2",
        "self_attn": "attention",
        "mlp": "feed_forward",
        "_proj": "",
    }
    letters = {"q": "W_q", "k": "W_k", "v": "W_v", "o": "W_o"}
    letters |= {"gate": "W_gate", "up": "W_up", "down": "W_down"}
    weights = ours.state_dict()
    theirs.load_state_dict(
        {name: weights[_ours(name, names, letters)] for name in theirs.state_dict()}
    )
    return ours, theirs.eval()


def _ours(name: str, names: dict[str, str], letters: dict[str, str]) -> str:
    for theirs, our in names.items():
        name = name.replace(theirs, our)
    return ".".join(letters.get(part, part) for part in name.split("."))


def gpt2() -> tuple[GPT, GPT2LMHeadModel]:
    ours = GPT(GPTConfig.gpt2(50, **SIZES)).double()
    randomise(ours)
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=50, n_embd=32, n_head=4, n_layer=2, n_inner=48, n_positions=40
        )
    ).double()
    with torch.no_grad():
        theirs.transformer.wte.weight.copy_(ours.tokens.weight)
        theirs.transformer.wpe.weight.copy_(ours.positions.weight)
        theirs.transformer.ln_f.load_state_dict(ours.norm.state_dict())
        for block, other in zip(ours.blocks, theirs.transformer.h, strict=True):
            other.ln_1.load_state_dict(block.norm_1.state_dict())
            other.ln_2.load_state_dict(block.norm_2.state_dict())
            a, m = block.attention, block.feed_forward
            qkv = (a.W_q, a.W_k, a.W_v)
            other.attn.c_attn.weight.copy_(torch.cat([w.weight for w in qkv]).T)
            other.attn.c_attn.bias.copy_(torch.cat([w.bias for w in qkv]))
            for mine, their in (
                (a.W_o, other.attn.c_proj),
                (m.W_up, other.mlp.c_fc),
                (m.W_down, other.mlp.c_proj),
            ):
                their.weight.copy_(mine.weight.T)
                their.bias.copy_(mine.bias)
    return ours, theirs.eval()


PAIRS = {"llama": lambda: llama(4), "grouped": lambda: llama(2), "gpt2": gpt2}


@pytest.mark.parametrize("style", PAIRS)
def test_logits_equal_transformers(style):
    ours, theirs = PAIRS[style]()
    # Theirs computes rotations and RMS norms in float32, whatever the weights.
    assert_close(ours(IDS)[0], theirs(IDS).logits, atol=1e-6, rtol=0)


@pytest.mark.parametrize("style", PAIRS)
def test_greedy_text_equals_transformers(style):
    ours, theirs = PAIRS[style]()
    want = theirs.generate(
        IDS, max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=None
    )
    assert generate(ours, IDS, n_new=12, temperature=0) == want[:, 7:].tolist()


@pytest.mark.parametrize("style", ["llama", "gpt2"])
def test_the_cache_changes_nothing(style):
    ours, _ = PAIRS[style]()
    cached = generate(ours, IDS, n_new=12, temperature=0)
    assert cached == generate(ours, IDS, n_new=12, temperature=0, use_cache=False)
    first, _, caches = ours(IDS[:, :3])
    second = ours(IDS[:, 3:], caches=caches)[0]
    assert_close(torch.cat([first, second], 1), ours(IDS)[0], atol=1e-10, rtol=0)


@pytest.mark.parametrize("style", ["grouped", "gpt2"])
def test_a_ragged_batch_equals_one_by_one(style):
    ours, _ = PAIRS[style]()
    short = IDS[:1, 3:]
    padded = torch.cat([torch.zeros(1, 3).long(), short], dim=1)
    ids = torch.cat([padded, IDS[1:]])
    real = torch.ones(2, 7, dtype=torch.bool)
    real[0, :3] = False
    together = generate(ours, ids, real, n_new=10, temperature=0)
    assert together[0] == generate(ours, short, n_new=10, temperature=0)[0]
    assert together[1] == generate(ours, IDS[1:], n_new=10, temperature=0)[0]


def test_no_token_sees_the_future():
    ours, _ = PAIRS["grouped"]()
    later = IDS.clone()
    later[:, 5] = (later[:, 5] + 1) % 50
    before, after = ours(IDS)[0], ours(later)[0]
    assert_close(before[:, :5], after[:, :5], atol=0, rtol=0)
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_rope_sees_distances_only():
    ours, _ = PAIRS["grouped"]()
    moved = torch.cat([torch.zeros(2, 5).long(), IDS], dim=1)
    real = torch.ones(2, 12, dtype=torch.bool)
    real[:, :5] = False
    shifted = ours.turns.clone()
    ours.turns = shifted.roll(0, 1)
    a = ours(IDS)[0]
    b = ours(moved, real)[0][:, 5:]
    assert_close(a, b, atol=1e-10, rtol=0)


def test_stop_tokens_end_a_text_and_are_left_out():
    ours, _ = PAIRS["gpt2"]()
    whole = generate(ours, IDS, n_new=12, temperature=0)
    stop = whole[0][4]
    cut = generate(ours, IDS, n_new=12, temperature=0, stop=[stop])
    for row, text in zip(cut, whole, strict=True):
        end = text.index(stop) if stop in text else len(text)
        assert row == text[:end]


def test_stream_gives_one_token_of_each_text_at_a_time():
    ours, _ = PAIRS["gpt2"]()
    steps = list(stream(ours, IDS, n_new=3, temperature=0))
    assert [tuple(s.shape) for s in steps] == [(2,)] * 3
    want = generate(ours, IDS, n_new=3, temperature=0)
    assert torch.stack(steps, 1).tolist() == want


# --- sampling -----------------------------------------------------------------

LOGITS = torch.tensor([[3.0, 2.0, 1.0, 0.0, -1.0]])


def frequencies(**options) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    rows = LOGITS.expand(20_000, -1)
    chosen = next_tokens(rows, generator=generator, **options)
    return torch.bincount(chosen, minlength=5) / len(rows)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_samples_the_softmax(temperature):
    want = (LOGITS[0] / temperature).softmax(-1)
    assert_close(frequencies(temperature=temperature), want, atol=0.015, rtol=0)


def test_temperature_0_takes_the_first():
    assert frequencies(temperature=0).tolist() == [1, 0, 0, 0, 0]


def test_top_k_and_top_p_keep_the_most_probable():
    p = LOGITS[0].softmax(-1)  # 0.64, 0.23, 0.09, 0.03, 0.01
    top_2 = torch.cat([p[:2] / p[:2].sum(), torch.zeros(3)])
    assert_close(frequencies(top_k=2), top_2, atol=0.015, rtol=0)
    assert_close(frequencies(top_p=0.7), top_2, atol=0.015, rtol=0)
    assert frequencies(top_p=0.5).tolist() == [1, 0, 0, 0, 0]
    assert frequencies(top_p=1e-9).tolist() == [1, 0, 0, 0, 0]


def test_the_same_generator_gives_the_same_text():
    ours, _ = PAIRS["gpt2"]()
    a, b = (
        generate(ours, IDS, n_new=9, generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert a == b


def test_repetition_penalty_equals_transformers():
    logits = torch.randn(2, 50)
    want = RepetitionPenaltyLogitsProcessor(1.3)(IDS, logits.clone())
    got = penalise(logits, IDS, torch.ones_like(IDS, dtype=torch.bool), 1.3)
    assert_close(got, want)
    nothing = penalise(logits, IDS, torch.zeros_like(IDS, dtype=torch.bool), 1.3)
    assert_close(nothing, logits)


def test_messages():
    with pytest.raises(ValueError, match="n_kv_heads should divide n_heads"):
        GPTConfig(50, n_heads=4, n_kv_heads=3)
    with pytest.raises(ValueError, match="n_heads should divide d_model"):
        GPTConfig(50, d_model=30, n_heads=4)
    ours, _ = PAIRS["gpt2"]()
    with pytest.raises(ValueError, match="at most max_len=40 tokens, has 41"):
        ours(torch.zeros(1, 41).long())
    with pytest.raises(ValueError, match="pad on the left"):
        real = torch.ones_like(IDS, dtype=torch.bool)
        real[0, -1] = False
        generate(ours, IDS, real)
    with pytest.raises(ValueError, match="top_p above 0"):
        next_tokens(LOGITS, top_p=0)
    with pytest.raises(ValueError, match="temperature"):
        next_tokens(LOGITS, temperature=-1)
    with pytest.raises(ValueError, match="NaN"):
        next_tokens(LOGITS * torch.nan)


def modern(**sizes) -> GPT:
    torch.manual_seed(0)
    sizes = {"d_model": 32, "n_heads": 4, "n_layers": 2, "d_ff": 64} | sizes
    model = GPT(GPTConfig.modern(50, **sizes)).eval()
    randomise(model)
    return model


def test_a_modern_model_starts_by_adding_nothing():
    model = GPT(GPTConfig.modern(50, d_model=32, n_heads=4, n_layers=2, d_ff=64))
    ids = torch.randint(50, (2, 7))
    untouched = model.output(model.norm(model.tokens(ids)))
    assert_close(model(ids)[0], untouched)


def test_token_shift_reads_the_token_before_and_no_other():
    model = modern()
    for block in model.blocks:  # the only way from one token to another
        torch.nn.init.zeros_(block.attention.W_o.weight)
    ids = torch.randint(50, (1, 8))
    other = ids.clone()
    other[0, 2] = (ids[0, 2] + 1) % 50
    moved = (model(ids)[0] - model(other)[0]).abs().amax(-1)[0] > 1e-6
    # each of two feed-forward parts reads one token further back
    assert moved.tolist() == [False, False, True, True, True, False, False, False]


def test_a_modern_model_writes_the_same_with_cache_padding_and_fused():
    model = modern()
    texts = [[3, 1, 4, 1, 5, 9], [2, 7], [1, 8, 2]]
    one_by_one = [
        generate(model, torch.tensor([t]), n_new=9, temperature=0)[0] for t in texts
    ]
    ids = torch.tensor([[0] * (6 - len(t)) + t for t in texts])
    real = torch.tensor([[False] * (6 - len(t)) + [True] * len(t) for t in texts])
    for use_cache in (True, False):
        options = {"n_new": 9, "temperature": 0, "use_cache": use_cache}
        assert generate(model, ids, real, **options) == one_by_one
    assert generate(model.fuse(), ids, real, n_new=9, temperature=0) == one_by_one


@pytest.mark.parametrize("style", [GPTConfig.gpt2, GPTConfig.llama, GPTConfig.modern])
def test_without_looking_and_fused_the_logits_are_the_same(style):
    torch.manual_seed(0)
    config = style(50, d_model=32, n_heads=4, n_kv_heads=2, n_layers=2, d_ff=64)
    model, ids = GPT(config).eval(), torch.randint(50, (3, 9))
    randomise(model)
    want, weights, _ = model(ids)
    assert len(weights) == 2 and weights[0].shape == (3, 4, 9, 9)
    got, none, caches = model(ids[:, :5], look=False)
    later = model(ids[:, 5:], None, caches, look=False)[0]
    assert none == []
    assert_close(torch.cat([got, later], 1), want)
    assert_close(model.fuse()(ids)[0], want)


def test_a_feed_forward_part_has_one_style():
    with pytest.raises(ValueError, match="gated and squared_relu should not both"):
        GPTConfig.llama(50, squared_relu=True)
