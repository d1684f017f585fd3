"""LoRA: a frozen model that learns through small matrices beside its large ones.

Hu et al., 2021, https://arxiv.org/abs/2106.09685. On layers whose weights are
quantised it is QLoRA: Dettmers et al., 2023, https://arxiv.org/abs/2305.14314
"""

import json
import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.counts import check_count


class LoRALinear(nn.Module):
    """y = W x + b + (alpha / rank) B A x, where only A and B learn.

    Section 4.1 of the paper. B starts at 0, so y is the frozen layer's at first, and A
    as torch starts a linear layer: so does the authors' code (the paper says normal).

    Args:
        linear: the layer to freeze: an nn.Linear, or one that has in_features and
            out_features, or a method weight() that gives its matrix.
        rank: rows of A and columns of B.
        alpha: above 0; as large as rank, it adds B A as it is.
        dropout: share of x that A does not see in training.
    """

    def __init__(
        self, linear: nn.Module, rank: int, alpha: float, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = _checked_sizes(linear, rank, alpha)
        self.rank, self.alpha, self.dropout = rank, alpha, nn.Dropout(dropout)
        like = [*linear.parameters(), *linear.buffers()][0]
        # Not the weights' 16 bits or fewer: small steps would be rounded away.
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        kind = {"device": like.device, "dtype": dtype}
        self.A = nn.Parameter(torch.empty(rank, self.in_features, **kind))
        self.B = nn.Parameter(torch.zeros(self.out_features, rank, **kind))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.register_buffer("merged", None, persistent=False)
        self.linear = linear.requires_grad_(False)
        self.train(linear.training)

    def forward(self, x: Tensor) -> Tensor:
        """(..., n_in) -> (..., n_out), in the dtype that the frozen layer gives."""
        if self.merged is not None:
            if self.training and torch.is_grad_enabled():
                message = "a merged model should not be trained: unmerge(model) first"
                raise ValueError(message + ", or model.eval() to use it")
            return F.linear(x, self.merged, self.linear.bias)
        y = self.linear(x)
        low = self.dropout(x).to(self.A.dtype) @ self.A.T  # (..., rank)
        return (y + self.alpha / self.rank * (low @ self.B.T)).to(y.dtype)


def _sizes(module: nn.Module) -> tuple[int, int] | None:
    """(n_in, n_out) of a linear layer, also a quantised one; None: it is none."""
    if hasattr(module, "in_features") and hasattr(module, "out_features"):
        return module.in_features, module.out_features
    if callable(getattr(module, "weight", None)):
        return tuple(module.weight().shape[::-1])
    return None


def _checked_sizes(linear: nn.Module, rank: int, alpha: float) -> tuple[int, int]:
    check_count("rank", rank)
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha should be above 0, got {alpha}")
    sizes = _sizes(linear)
    if sizes is None:
        raise ValueError(f"linear should be a linear layer, got {linear}")
    if rank > min(sizes):
        raise ValueError(
            f"rank should be {min(sizes)} or less, got {rank}: no map from {sizes[0]} "
            f"numbers to {sizes[1]} has a higher one"
        )
    return sizes


def _linears(model: nn.Module) -> dict[str, nn.Module]:
    """The linear layers inside a model by their dotted names."""
    return {n: m for n, m in model.named_modules() if n and _sizes(m)}


def _layers(model: nn.Module, needed: bool = True) -> dict[str, LoRALinear]:
    """The LoRA layers by their dotted names."""
    found = {n: m for n, m in model.named_modules() if isinstance(m, LoRALinear)}
    if needed and not found:
        raise ValueError("model should have LoRA layers, it has none: call add_lora")
    return found


def add_lora(
    model: nn.Module,
    pattern: str | Sequence[str],
    rank: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.0,
) -> list[str]:
    """Wrap linear layers in `LoRALinear`, in place, freeze all else; give the names.

    W is never written to, so an output that shares the embedding's may be wrapped.

    Args:
        pattern: of dotted names, with *, ? and [...] as in file names: "*.W_[qv]",
            or "blocks.*" for all in the blocks; or several.
        rank, alpha, dropout: as in `LoRALinear`.

    Raises:
        ValueError: if nothing matches, there are LoRA layers, or a number is out of
            range; no layer is wrapped then.

    >>> model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> add_lora(model, "0", rank=1), trainable_share(model)
    (['0'], (8, 38))
    """
    for name in _layers(model, needed=False):
        raise ValueError(f"{name} is a LoRA layer already: call remove_lora first")
    linears = _linears(model)
    patterns = [pattern] if isinstance(pattern, str) else pattern
    names = [n for n in linears if any(fnmatchcase(n, p) for p in patterns)]
    if not names:
        some = ", ".join(list(linears)[:8]) + ", …" * (len(linears) > 8)
        raise ValueError(
            f"pattern should match a linear layer, {pattern!r} matches none of {some}"
        )
    places = [m for _, m in model.named_modules(remove_duplicate=False)]
    for name in names:
        if sum(m is linears[name] for m in places) > 1:
            raise ValueError(f"{name} should stand in one place, it stands in several")
    layers = [LoRALinear(linears[n], rank, alpha, dropout) for n in names]
    model.requires_grad_(False)
    for name, layer in zip(names, layers, strict=True):
        model.set_submodule(name, layer)
    return names


def remove_lora(model: nn.Module) -> nn.Module:
    """Put the frozen layers back, in place: the base bit for bit, still frozen."""
    for name, layer in _layers(model, needed=False).items():
        model.set_submodule(name, layer.linear)
    return model


def merge(model: nn.Module) -> nn.Module:
    """Use W + (alpha / rank) B A as one matrix, in place: no product more than before.

    The sum lies beside W until `unmerge`, so that W comes back bit for bit in any
    dtype: subtracting B A again would only be about right.
    """
    layers = _layers(model)
    for name, layer in layers.items():
        if not _is_plain(layer.linear):
            has = f"{type(layer.linear).__name__}: use the model unmerged"
            raise ValueError(f"{name} should have a float matrix to merge, has {has}")
    for layer in layers.values():
        w, change = layer.linear.weight, layer.alpha / layer.rank * layer.B @ layer.A
        layer.merged = (w + change).detach().to(w.dtype)
    return model


def _is_plain(linear: nn.Module) -> bool:
    return isinstance(linear, nn.Linear) and linear.weight.is_floating_point()


def unmerge(model: nn.Module) -> nn.Module:
    """Undo `merge`, in place, to the last bit."""
    for layer in _layers(model).values():
        layer.merged = None
    return model


def lora_state(model: nn.Module) -> dict[str, Tensor]:
    """Copies of every A and B, by names such as "blocks.0.attention.W_q.A"."""
    layers, found = _layers(model), model.state_dict()
    return {k: found[k].clone() for k in found if k.rpartition(".")[0] in layers}


def save_adapter(model: nn.Module, path: str | Path) -> None:
    """Write A and B to a safetensors file, with rank, alpha and dropout in its head."""
    layer = next(iter(_layers(model).values()))
    info = {"rank": layer.rank, "alpha": layer.alpha, "dropout": layer.dropout.p}
    save_file(lora_state(model), path, {"lora": json.dumps(info)})


def load_adapter(model: nn.Module, path: str | Path) -> list[str]:
    """Wrap as `save_adapter` wrote, in place of LoRA layers there are; give the names.

    Raises:
        ValueError: if the file is none of save_adapter's, or does not fit the model,
            with the first layer that differs; the model is unchanged then.
    """
    try:
        with safe_open(path, "pt") as file:
            info = json.loads(file.metadata()["lora"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, TypeError, KeyError) as error:
        raise ValueError(f"{path} should be of save_adapter, but {error!r}") from None
    linears = _linears(model)
    names = [key.removesuffix(".A") for key in tensors if key.endswith(".A")]
    for name in names:
        wants = tensors[f"{name}.A"].shape[1], tensors[f"{name}.B"].shape[0]
        has = _sizes(linears[name]) if name in linears else "no such layer"
        if has != wants:
            raise ValueError(
                f"model should have a layer {name} with (n_in, n_out) = {wants}, it "
                f"has {has}: load the adapter onto the model that it was trained on"
            )
    add_lora(remove_lora(model), names, **info)
    model.load_state_dict(tensors, strict=False)
    return names


def trainable_share(model: nn.Module) -> tuple[int, int]:
    """(numbers that are trained, all numbers), A and B and quantised ones included."""
    sizes = [p.numel() for p in model.parameters()]
    others = [m for m in _linears(model).values() if not isinstance(m, LoRALinear)]
    sizes += [math.prod(_sizes(m)) for m in others if not _is_plain(m)]
    return sum(p.numel() for p in model.parameters() if p.requires_grad), sum(sizes)


def training_bytes(model: nn.Module, optimizer: Optimizer) -> dict[str, int]:
    """Measure the bytes that training keeps, after a step, when all of it is there."""
    kept = [v for state in optimizer.state.values() for v in state.values()]
    tensors = {
        "weights": [*model.parameters(), *model.buffers()],
        "gradients": [p.grad for p in model.parameters() if p.grad is not None],
        "optimizer": [v for v in kept if isinstance(v, Tensor)],
    }
    return {name: sum(t.nbytes for t in held) for name, held in tensors.items()}
