"""Memory against the figures that the QLoRA paper prints."""

import pytest

from utils.memory import LLAMA, Size, memory


def gb(*args, **kwargs) -> float:
    return sum(memory(*args, **kwargs).values())


def test_full_fine_tuning_of_65b_takes_more_than_780_gb():
    # Abstract of https://arxiv.org/abs/2305.14314: "more than 780GB" to below 48.
    assert 780 < gb(LLAMA["65B"]) < 790


@pytest.mark.parametrize(("name", "gpu"), [("33B", 24), ("65B", 48)])
def test_qlora_fits_where_the_paper_says_and_plain_lora_does_not(name, gpu):
    # 0.2 % is the share that section 2 of the paper calls common.
    assert gb(LLAMA[name], 4.127, lora_share=0.002) < gpu
    assert gb(LLAMA[name], 8.0, lora_share=0.002) > gpu
    assert gb(LLAMA[name], 16.0, lora_share=0.002) > 2 * gpu
    bigger = {"33B": "65B", "65B": "65B"}[name]
    assert bigger == name or gb(LLAMA[bigger], 4.127, lora_share=0.002) > gpu


def test_the_adapter_of_7b_is_the_paper_s_26_megabytes():
    # Section 2: 26 MB of adapter at 0.2 %; 7B there is 6.7e9 parameters.
    parts = memory(LLAMA["7B"], 4.127, lora_share=0.002)
    assert parts["adapter"] == pytest.approx(0.026, abs=0.0015)


def test_every_part_by_hand():
    parts = memory(Size(1e9, 3, 10), 8, lora_share=0.01, n_tokens=100)
    want = {
        "weights": 1.0,
        "adapter": 0.02,
        "gradients": 0.02,
        "optimizer": 0.08,
        "activations": (3 * 2 + 34) * 100 * 10 / 1e9,
    }
    assert parts == pytest.approx(want)
    full = memory(Size(1e9, 3, 10), n_tokens=0, optimizer_bytes=2)
    assert full == pytest.approx(
        dict(want, weights=2, adapter=0, gradients=2, optimizer=2, activations=0)
    )


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: memory(LLAMA["7B"], 4.127), "4.127 bits cannot be trained"),
        (lambda: memory(LLAMA["7B"], 0), "bits_per_weight should be .* above 0"),
        (lambda: memory(LLAMA["7B"], float("nan")), "got nan"),
        (lambda: memory(Size(-1, 1, 1)), "n_parameters should be .* got -1"),
        (lambda: memory(Size(1, -1, 1)), "n_layers should be 0 or more"),
        (lambda: memory(LLAMA["7B"], lora_share=1.1), "from 0 to 1, got 1.1"),
        (lambda: memory(LLAMA["7B"], n_tokens=-5), "n_tokens should be 0 or more"),
        (lambda: memory(LLAMA["7B"], optimizer_bytes=-1), "optimizer_bytes should"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
