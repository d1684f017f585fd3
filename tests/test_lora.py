"""LoRA against `peft`, against full matrices, and on a small GPT."""

import copy
import math
from functools import partial
from itertools import repeat

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.profiler import profile
from torch.testing import assert_close

from utils.gpt import GPT, GPTConfig
from utils.lora import (
    LoRALinear,
    add_lora,
    load_adapter,
    lora_state,
    merge,
    remove_lora,
    save_adapter,
    trainable_share,
    training_bytes,
    unmerge,
)
from utils.nf4 import NF4Linear
from utils.quantize import Int8Linear, to_nf4
from utils.training import TrainConfig, train

torch.set_num_threads(1)
SIZES = {"d_model": 16, "n_heads": 2, "n_layers": 2, "d_ff": 24, "max_len": 12}
IDS = torch.randint(20, (3, 8), generator=torch.Generator().manual_seed(0))
QV = ["*.W_q", "*.W_v"]
Q_AND_V = [f"blocks.{i}.attention.W_{part}" for i in (0, 1) for part in "qv"]
FAST = TrainConfig(120, lr=1e-2, n_warmup=0, show_progress=False)
equal = partial(assert_close, rtol=0, atol=0)


def small(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(6, 10, bias=bias), nn.Tanh(), nn.Linear(10, 5, bias=bias)
    return nn.Sequential(*layers).double()


def gpt(**options) -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig.gpt2(20, **SIZES, **options))


def wrapped(model: nn.Module) -> nn.Module:
    add_lora(model, "*", rank=2)
    return model


def stir(model: nn.Module, std: float = 0.3, seed: int = 1) -> nn.Module:
    """B away from 0, as after training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith((".A", ".B")):
                p.normal_(std=std, generator=generator)
    return model


def logits(model: GPT) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS)[0]


def loss_of(model: GPT, ids: torch.Tensor) -> torch.Tensor:
    scores = model(ids[:, :-1])[0]
    return nn.functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten())


def counting(step: int):
    """Rows such as 3, 4, 5, ... with a step of 1, modulo 20, for ever."""
    generator = torch.Generator().manual_seed(0)
    while True:
        start = torch.randint(20, (16, 1), generator=generator)
        yield (start + step * torch.arange(8)) % 20


# --- against peft -----------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("rank", "alpha"), [(1, 1.0), (4, 16.0), (5, 2.0)])
def test_output_and_gradients_equal_pefts(rank, alpha, bias):
    ours, base = small(bias), small(bias)
    add_lora(ours, "*", rank, alpha)
    stir(ours)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["0", "2"])
    theirs = get_peft_model(base, config)
    twins = {}
    for name, parameter in theirs.named_parameters():
        if "lora_" in name:
            layer, part = name.split(".")[-4], name.split("lora_")[1][0]
            twins[f"{layer}.{part}"] = parameter
    with torch.no_grad():
        for key, value in lora_state(ours).items():
            twins[key].copy_(value)
    x = torch.randn(3, 2, 6, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    out = ours(x)
    assert_close(out, theirs(y))
    out.square().sum().backward()
    theirs(y).square().sum().backward()
    assert_close(x.grad, y.grad)
    mine = dict(ours.named_parameters())
    assert len(twins) == 4
    for key, twin in twins.items():
        assert twin.grad.abs().max() > 0
        assert_close(mine[key].grad, twin.grad)
    assert trainable_share(ours) == theirs.get_nb_trainable_parameters()


def test_a_starts_as_pefts_and_b_at_0():
    torch.manual_seed(0)
    ours = LoRALinear(nn.Linear(100, 400), rank=50, alpha=1)
    theirs = get_peft_model(
        nn.Sequential(nn.Linear(100, 400)), LoraConfig(r=50, target_modules=["0"])
    ).base_model.model[0]
    for start in (ours.A, theirs.lora_A["default"].weight):
        # uniform from -1 / sqrt(n_in) to 1 / sqrt(n_in)
        assert 0.099 < start.abs().max() <= 0.1
        assert start.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.03)
    equal(ours.B, torch.zeros(400, 50))


# --- what is trained --------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pattern", [QV, "blocks.*", "*"])
def test_step_0_is_the_base_bit_for_bit(pattern, dtype):
    model = gpt().to(dtype)
    before = logits(model)
    add_lora(model, pattern)
    equal(logits(model), before)
    assert not torch.equal(logits(stir(model)), before)


def test_one_step_by_hand():
    linear = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 2.0]]))
    layer = LoRALinear(linear, rank=1, alpha=3.0)
    with torch.no_grad():
        layer.A.copy_(torch.tensor([[1.0, -1.0]]))
    x = torch.tensor([[5.0, 2.0]])
    assert layer(x).item() == 9  # 1 * 5 + 2 * 2: B is 0
    layer(x).sum().backward()
    assert layer.B.grad.item() == 9  # alpha * (A x) = 3 * (5 - 2)
    assert layer.A.grad.abs().max() == 0  # as B is 0
    with torch.no_grad():
        layer.B.fill_(0.5)
    assert layer(x).item() == 9 + 3 * 0.5 * 3


def test_beside_16_bits_a_and_b_keep_32_and_learn_in_small_steps():
    layer = LoRALinear(nn.Linear(8, 8).bfloat16(), rank=2, alpha=2.0)
    assert not any(p.requires_grad for p in layer.linear.parameters())
    assert layer(torch.ones(1, 8).bfloat16()).dtype == torch.bfloat16
    before, n = layer.A.detach().clone(), 10
    optimizer = torch.optim.SGD([layer.A], lr=1.0)
    for _ in range(n):  # steps that are rounded away beside 0.3 in bfloat16
        layer.A.grad = torch.full_like(layer.A, -1e-5)
        optimizer.step()
    assert_close(
        layer.A.detach() - before, torch.full((2, 8), n * 1e-5), rtol=0.01, atol=0
    )


def test_only_a_and_b_have_gradients_and_optimizer_state():
    model = gpt()
    assert add_lora(model, QV, rank=2) == Q_AND_V
    parts = {f"{name}.{part}" for name in Q_AND_V for part in "AB"}
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert names == parts == set(lora_state(model))
    optimizer = torch.optim.AdamW(model.parameters())
    loss_of(model, IDS).backward()
    optimizer.step()
    held = {n for n, p in model.named_parameters() if p.grad is not None}
    assert held == parts
    in_state = {n for n, p in model.named_parameters() if p in optimizer.state}
    assert in_state == parts and len(optimizer.state) == 8


@pytest.fixture(scope="module")
def counter() -> GPT:
    """A GPT that counts in steps of 1."""
    model = gpt()
    losses = train(model, counting(1), loss_of, FAST)
    assert losses[-1] < 0.05
    return model


@pytest.mark.parametrize(("pattern", "factor"), [(QV, 4), ("blocks.*", 200)])
def test_a_counter_learns_other_steps_while_its_weights_stay(counter, pattern, factor):
    model = copy.deepcopy(counter)
    torch.manual_seed(1)
    add_lora(model, pattern, rank=4)
    losses = train(model, counting(3), loss_of, FAST)
    assert losses[-1] < losses[0] / factor
    changed = logits(model)
    assert_close(logits(merge(model.eval())), changed)
    for name, value in remove_lora(model).state_dict().items():
        equal(value, counter.state_dict()[name])


def test_same_seed_same_losses():
    runs = []
    for _ in range(2):
        add_lora(model := gpt(), "blocks.*", rank=2, dropout=0.1)
        config = TrainConfig(5, n_warmup=0, show_progress=False)
        runs.append(train(model, counting(1), loss_of, config))
    assert runs[0] == runs[1]


def test_memory_is_what_the_allocator_gave():
    model = nn.Sequential(nn.Linear(300, 200), nn.Tanh(), nn.Linear(200, 100))
    add_lora(model, "*", rank=4)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    x, n = torch.randn(2, 300), 4 * (300 + 200 + 200 + 100)
    weights = 4 * (300 * 200 + 200 + 200 * 100 + 100 + n)
    empty = {"weights": weights, "gradients": 0, "optimizer": 0}
    assert training_bytes(model, optimizer) == empty
    gradients = allocated(lambda: model(x).sum().backward())
    state = allocated(optimizer.step)
    assert (gradients, state) == (4 * n, 8 * n + 4 * 4)  # and a count for each of four
    full = {"weights": weights, "gradients": gradients, "optimizer": state}
    assert training_bytes(model, optimizer) == full


def allocated(action) -> int:
    """Bytes that torch's allocator gave and did not get back."""
    with profile(profile_memory=True) as seen:
        action()
    return sum(event.self_cpu_memory_usage for event in seen.events())


def test_shares_count_tied_and_quantised_numbers_once():
    model = gpt()
    n = sum(p.numel() for p in model.parameters())
    assert trainable_share(model) == (n, n)
    add_lora(model, QV, rank=2)
    assert trainable_share(model) == (256, n + 256)  # 4 layers of 2 * (16 + 16)
    packed = nn.Sequential(Int8Linear(nn.Linear(6, 4)), NF4Linear(nn.Linear(4, 5)))
    add_lora(packed, "*", rank=1)
    assert trainable_share(packed) == (
        10 + 9,
        10 + 9 + 28 + 20,
    )  # NF4's bias: no weight


# --- merging ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.05)],
)
def test_merged_is_unmerged_and_back_to_the_last_bit(dtype, tolerance):
    model = gpt().to(dtype)
    add_lora(model, "*", rank=3)
    stir(model)
    apart = logits(model.eval())
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    for _ in range(2):  # the second time adds nothing
        away = (logits(merge(model)) - apart).abs().max()
        assert away <= tolerance * apart.abs().max()
    equal(logits(unmerge(model)), apart)
    for name, value in model.state_dict().items():
        equal(value, weights[name])


def test_a_merged_layer_is_one_product_with_the_sum():
    layer = LoRALinear(nn.Linear(6, 4).double(), rank=2, alpha=5.0)
    model = stir(nn.Sequential(layer)).eval()
    w = layer.linear.weight + 5.0 / 2 * layer.B @ layer.A
    assert products(model).count("aten::mm") >= 2
    merge(model)
    assert products(model) == ["aten::addmm"]
    x = torch.randn(3, 6, dtype=torch.float64)
    assert_close(model(x), x @ w.T + layer.linear.bias)


def products(model: nn.Module) -> list[str]:
    with profile() as seen, torch.no_grad():
        model(torch.randn(3, 6, dtype=torch.float64))
    return [event.name for event in seen.events() if "mm" in event.name]


def test_a_merged_model_generates_but_does_not_train():
    model = gpt()
    add_lora(model, QV)
    merge(stir(model))
    logits(model.train())  # without gradients
    with pytest.raises(ValueError, match="merged model should not be trained: unmerge"):
        train(model, counting(1), loss_of, FAST)
    loss_of(unmerge(model), IDS).backward()
    assert model.blocks[0].attention.W_q.A.grad.abs().max() > 0


def test_a_tied_embedding_stays_when_the_output_is_merged():
    model = gpt()
    assert model.output.weight is model.tokens.weight
    before = model.tokens.weight.clone()
    assert add_lora(model, "output") == ["output"]
    merge(stir(model))
    equal(model.tokens.weight, before)
    assert remove_lora(model).output.weight is model.tokens.weight


# --- quantised layers -------------------------------------------------------------


class Ternary(nn.Module):
    """Weights of -1, 0 and 1 that were rounded, as an outsider might keep them."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.in_features, self.out_features = n_in, n_out
        q = torch.randint(-1, 2, (n_out, n_in))
        self.register_buffer("packed", q.to(torch.int8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.packed.to(x.dtype).T


def test_quantised_layers_learn_beside_their_numbers():
    torch.manual_seed(0)
    middle = NF4Linear(nn.Linear(8, 8))
    model = nn.Sequential(
        Int8Linear(nn.Linear(16, 8)), nn.Tanh(), middle, Ternary(8, 3)
    )
    x = torch.randn(32, 16)
    base, target = model(x).detach(), torch.randn(32, 3)
    assert add_lora(model, "*", rank=3, alpha=3) == ["0", "2", "3"]
    equal(model(x), base)
    config = TrainConfig(20, show_progress=False)
    train(model, repeat(x), lambda m, x: (m(x) - target).square().mean(), config)
    for layer in (model[0], model[2], model[3]):
        assert layer.A.dtype == torch.float32 and layer.B.abs().max() > 0
    with pytest.raises(ValueError, match="0 should have a float matrix .* Int8Linear"):
        merge(model)
    equal(remove_lora(model)(x), base)


def test_what_cannot_be_merged_leaves_all_unmerged():
    model = stir(wrapped(nn.Sequential(nn.Linear(8, 8), NF4Linear(nn.Linear(8, 8)))))
    with pytest.raises(ValueError, match="1 should have a float matrix .* NF4Linear"):
        merge(model)
    assert model[0].merged is None


def test_beside_nf4_a_and_b_have_the_gradients_of_the_unpacked_weights(counter):
    packed = to_nf4(copy.deepcopy(counter))
    plain = copy.deepcopy(counter)
    for name, layer in packed.named_modules():
        if isinstance(layer, NF4Linear):
            plain.get_submodule(name).weight.data = layer.weight()
    for model in (packed, plain):
        add_lora(model, "blocks.*", rank=4)
        loss_of(stir(model), IDS).backward()
    twins = dict(plain.named_parameters())
    for key in lora_state(packed):
        assert_close(dict(packed.named_parameters())[key].grad, twins[key].grad)


# --- files ------------------------------------------------------------------------


def test_a_file_gives_identical_outputs_and_holds_a_and_b_alone(tmp_path):
    model = gpt()
    base = logits(model)
    add_lora(model, QV, rank=2, alpha=7.0, dropout=0.25)
    want = logits(stir(model).eval())
    path = tmp_path / "adapter.safetensors"
    save_adapter(merge(model), path)
    with safe_open(path, "pt") as file:
        assert set(file.keys()) == set(lora_state(model))
    assert path.stat().st_size < 256 * 4 + 1500
    fresh = gpt().eval()
    assert load_adapter(fresh, path) == Q_AND_V
    equal(logits(fresh), want)
    layer = fresh.blocks[0].attention.W_q
    assert (layer.rank, layer.alpha, layer.dropout.p) == (2, 7.0, 0.25)
    assert trainable_share(fresh)[0] == 256
    # In place of another adapter, even a merged one.
    other = gpt().eval()
    add_lora(other, "blocks.*", rank=5)
    load_adapter(merge(stir(other, seed=2)), path)
    equal(logits(other), want)
    equal(logits(remove_lora(other)), base)


def test_copies_of_a_and_b_stay_when_training_goes_on():
    model = gpt()
    add_lora(model, "*.W_q")
    kept = lora_state(model)
    stir(model)
    assert all((v == 0).all() for k, v in kept.items() if k.endswith(".B"))


def test_an_adapter_for_another_model_changes_nothing(tmp_path):
    model = gpt()
    add_lora(model, "*.W_q")
    save_adapter(model, tmp_path / "a")
    torch.manual_seed(0)
    wide = GPT(GPTConfig.gpt2(20, **{**SIZES, "d_model": 32}))
    with pytest.raises(
        ValueError, match=r"blocks.0.attention.W_q with .* = \(16, 16\)"
    ):
        load_adapter(wide, tmp_path / "a")
    shallow = GPT(GPTConfig.gpt2(20, **{**SIZES, "n_layers": 1}))
    with pytest.raises(ValueError, match="blocks.1.attention.W_q .* no such layer"):
        load_adapter(shallow, tmp_path / "a")
    assert trainable_share(shallow)[0] == trainable_share(shallow)[1]


@pytest.mark.parametrize("damage", ["cut", "text", "no head"])
def test_a_file_that_is_no_adapter_is_named(tmp_path, damage):
    path, model = tmp_path / "wrong.safetensors", gpt()
    add_lora(model, "*.W_q")
    save_adapter(model, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "text":
        path.write_text("not an adapter")
    else:
        save_file({"x": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="wrong.safetensors should be of save_adapter"):
        load_adapter(gpt(), path)


# --- ranks, dropout, messages -----------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 10**6), st.data())
def test_a_change_has_at_most_its_rank_and_the_full_rank_reaches_any(
    n_in, n_out, seed, data
):
    torch.manual_seed(seed)
    full = min(n_in, n_out)
    rank = data.draw(st.integers(1, full))
    layer = LoRALinear(nn.Linear(n_in, n_out).double(), rank, alpha=4.0)
    model = stir(nn.Sequential(layer), seed=seed)
    change = merge(model)[0].merged - layer.linear.weight
    assert torch.linalg.matrix_rank(change, rtol=1e-9) <= rank
    want = torch.randn(n_out, n_in, dtype=torch.float64)
    u, s, v = torch.linalg.svd(want, full_matrices=False)
    with torch.no_grad():
        layer.B.copy_((u * s)[:, :rank])
        layer.A.copy_(v[:rank] * rank / 4.0)
    change = merge(model)[0].merged - layer.linear.weight
    left = torch.linalg.matrix_norm(change - want)  # Eckart and Young's least
    assert_close(left, s[rank:].square().sum().sqrt(), atol=1e-9, rtol=0)


def test_dropout_is_for_training_and_for_a_alone():
    model = small().eval()
    x = torch.randn(50, 6, dtype=torch.float64)
    base = model[0](x)
    add_lora(model, "0", rank=6, alpha=6, dropout=0.5)
    layer = stir(model)[0]
    equal(layer(x), layer(x))  # wrapped in eval mode, it stays in it
    change = layer(x) - base
    model.train()
    torch.manual_seed(0)
    mean = torch.stack([layer(x) - base for _ in range(4000)]).mean(0)
    assert not torch.equal(layer(x), layer(x))
    assert_close(mean, change, atol=0.15, rtol=0)
    equal(stir(model, std=0.0)[0](x), base)


def test_a_refused_call_wraps_nothing():
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 2))
    with pytest.raises(
        ValueError, match="rank should be 2 or less, got 3: no map from"
    ):
        add_lora(model, "*", rank=3)
    assert all(type(layer) is nn.Linear for layer in model)


def twice_in_one() -> nn.Module:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            lambda: add_lora(gpt(), "*.query"),
            r"'\*.query' matches none of blocks.0.*, …",
        ),
        (lambda: add_lora(gpt(), "blocks.0"), "should match a linear layer"),
        (lambda: add_lora(small(), []), "matches none of 0, 2"),
        (lambda: add_lora(small(), "*", rank=0), "rank should be 1 or more, got 0"),
        (lambda: add_lora(small(), "*", rank=2.0), "should be a whole number"),
        (lambda: add_lora(small(), "2", rank=6), "5 or less, got 6: .* from 10 num"),
        (lambda: add_lora(small(), "*", alpha=0, rank=1), "alpha should be above 0"),
        (lambda: add_lora(small(), "*", rank=1, dropout=1.5), "dropout .* 1.5"),
        (lambda: add_lora(wrapped(small()), "2"), "0 is a LoRA layer already"),
        (lambda: add_lora(twice_in_one(), "*", rank=1), "0 should stand in one place"),
        (lambda: LoRALinear(nn.Tanh(), 1, 1.0), r"a linear layer, got Tanh\(\)"),
        (lambda: LoRALinear(nn.Embedding(3, 3), 1, 1.0), "a linear layer, got Emb"),
        (lambda: merge(small()), "should have LoRA layers, it has none"),
        (lambda: unmerge(small()), "should have LoRA layers, it has none"),
        (lambda: lora_state(small()), "should have LoRA layers, it has none"),
        (lambda: save_adapter(small(), "x"), "should have LoRA layers, it has none"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
