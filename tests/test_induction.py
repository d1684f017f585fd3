"""Induction scores and silenced heads against slow loops."""

import pytest
import torch

from utils.gpt import GPT, GPTConfig
from utils.induction import induction_scores, loss_without, repeat_loss, repeated


def model() -> GPT:
    torch.manual_seed(0)
    sizes = {"d_model": 16, "n_heads": 2, "n_layers": 2, "d_ff": 16, "max_len": 24}
    made = GPT(GPTConfig.llama(9, **sizes))
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return made


def batch(n: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    return repeated(n, 20, 9, torch.Generator().manual_seed(0))


def test_rows_repeat_with_their_own_period():
    ids, again = repeated(200, 20, 1000, torch.Generator().manual_seed(0))
    periods = (~again).sum(1)
    assert set(periods.tolist()) == set(range(5, 11))
    for row, here, period in zip(ids, again, periods.tolist(), strict=True):
        assert torch.equal(row[period:], row[:-period])
        assert here.tolist() == [False] * period + [True] * (20 - period)


def test_scores_equal_a_slow_loop():
    gpt, (ids, again) = model(), batch()
    weights, want, n = gpt(ids)[1], torch.zeros(2, 2), int(again.sum())
    for b in range(5):
        for t in range(20):
            for j in range(1, t + 1):
                if again[b, t] and ids[b, j - 1] == ids[b, t]:
                    for layer in range(2):
                        want[layer] += weights[layer][b, :, t, j].detach() / n
    torch.testing.assert_close(induction_scores(gpt, ids, again), want)


def test_a_silent_head_is_one_whose_columns_of_w_o_are_0():
    gpt, data = model(), batch()
    got = loss_without(gpt, lambda m: repeat_loss(m, data), [(1, 0)])
    whole = loss_without(gpt, lambda m: repeat_loss(m, data), [])
    with torch.no_grad():
        gpt.blocks[1].attention.W_o.weight[:, :8] = 0
    want = repeat_loss(gpt, data).item()
    assert got == pytest.approx(want, rel=1e-5) and abs(got - whole) > 1e-4


def test_heads_speak_again_afterwards_even_after_an_error():
    gpt, data = model(), batch()
    before = repeat_loss(gpt, data).item()
    with pytest.raises(ZeroDivisionError):
        loss_without(gpt, lambda m: 1 / 0, [(0, 1)])
    assert repeat_loss(gpt, data).item() == before


def test_messages():
    with pytest.raises(ValueError, match="n_tokens should be 4 or more, got 3"):
        repeated(1, 3, 9, torch.Generator())
    ids, again = batch()
    with pytest.raises(ValueError, match="is False for all"):
        induction_scores(model(), ids, torch.zeros_like(again))
