"""What a model takes on a GPU while it is trained, counted in GB of 10^9 bytes."""

from typing import NamedTuple


class Size(NamedTuple):
    """A model's numbers that its memory follows from."""

    n_parameters: float
    n_layers: int
    d_model: int


# Table 2 of Touvron et al., 2023, https://arxiv.org/abs/2302.13971
LLAMA = {
    "7B": Size(6.7e9, 32, 4096),
    "13B": Size(13.0e9, 40, 5120),
    "33B": Size(32.5e9, 60, 6656),
    "65B": Size(65.2e9, 80, 8192),
}


def memory(
    size: Size,
    bits_per_weight: float = 16.0,
    lora_share: float | None = None,
    n_tokens: int = 512,
    optimizer_bytes: float = 8.0,
) -> dict[str, float]:
    """Count the parts of the memory that fine-tuning takes, in GB.

    Assumed: what is trained has weights and gradients of 16 bits and AdamW's two
    averages of 32. A layer's input (16 bits a number) is kept for each layer, and
    one layer at a time computes the rest anew on the way back ("checkpointing"),
    which takes 34 bytes per number of d_model and token (Korthikanti et al., 2022,
    https://arxiv.org/abs/2205.05198, without the attention maps, which need not be
    stored). Not counted: logits, fragments, what the library itself takes; and all
    weights have bits_per_weight, embeddings too. Take it for a lower bound.

    Args:
        size: of the model, such as LLAMA["65B"].
        bits_per_weight: of the model's own weights, scales included: 16, or 4.127
            for NF4 with double quantisation.
        lora_share: the adapter's parameters over the model's; None trains the
            model itself.
        n_tokens: in one batch; 0 for none.
        optimizer_bytes: for each trained number: 8 for AdamW in 32 bits, 2 for one
            of 8 bits, 0 for plain gradient descent.

    Returns:
        "weights", "adapter", "gradients", "optimizer" and "activations" -> GB.

    Raises:
        ValueError: if a number is out of range, or weights of fewer than 16 bits
            are to be trained themselves.

    >>> parts = memory(LLAMA["65B"], 4.127, lora_share=0.002)
    >>> list(parts), [round(gb, 1) for gb in parts.values()][:2]
    (['weights', 'adapter', 'gradients', 'optimizer', 'activations'], [33.6, 0.3])
    """
    for name, number in (
        ("n_parameters", size.n_parameters),
        ("bits_per_weight", bits_per_weight),
    ):
        if not 0 < number < float("inf"):
            raise ValueError(f"{name} should be a number above 0, got {number}")
    for name, number in (
        ("n_layers", size.n_layers),
        ("d_model", size.d_model),
        ("n_tokens", n_tokens),
        ("optimizer_bytes", optimizer_bytes),
    ):
        if not 0 <= number < float("inf"):
            raise ValueError(f"{name} should be 0 or more, got {number}")
    if lora_share is None and bits_per_weight < 16:
        raise ValueError(
            f"weights of {bits_per_weight} bits cannot be trained themselves: give "
            "lora_share, such as 0.002"
        )
    if lora_share is not None and not 0 <= lora_share <= 1:
        raise ValueError(f"lora_share should be from 0 to 1, got {lora_share}")
    adapter = 0.0 if lora_share is None else lora_share * size.n_parameters
    trained = size.n_parameters if lora_share is None else adapter
    n_kept = 2 * size.n_layers + 34
    n_bytes = {
        "weights": size.n_parameters * bits_per_weight / 8,
        "adapter": 2 * adapter,
        "gradients": 2 * trained,
        "optimizer": optimizer_bytes * trained,
        "activations": n_kept * n_tokens * size.d_model,
    }
    return {name: n / 1e9 for name, n in n_bytes.items()}
