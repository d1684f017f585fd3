"""Two recipes for one GPT: sizes, schedules, and which learns more from a step."""

import math

import pytest
import torch
from torch.testing import assert_close

from utils.corpora import PLAYS, shakespeare_ids, shakespeare_text
from utils.packages import play
from utils.recipes import (
    Cosine,
    gpt2_recipe,
    modern_recipe,
    next_token_loss,
    text_batches,
    text_loss,
)
from utils.training import seed_all, train

TEXT = torch.arange(2000) * 7919 % 13  # predictable: each token tells the next


def test_the_text_is_cut_inside_each_play():
    known, held_out = shakespeare_text()
    assert 1_000_000 < len(known) + len(held_out) < 1_300_000
    first, last = play(PLAYS[0]), play(PLAYS[-1])
    assert first.startswith(known[:1000]) and last.endswith(held_out[-1000:])
    assert len(known) + len(held_out) == sum(len(play(name)) for name in PLAYS)


def test_ids_spell_the_text():
    known, held_out, letters = shakespeare_ids()
    texts = shakespeare_text()
    for ids, text in zip((known, held_out), texts, strict=True):
        assert "".join(letters[i] for i in ids[:500].tolist()) == text[:500]
        assert len(ids) == len(text)


def test_batches_are_shifted_by_one_and_the_same_again():
    ids, targets = next(text_batches(TEXT, n_tokens=10, batch_size=4, seed=3))
    assert ids.shape == targets.shape == (4, 10)
    assert torch.equal(ids[:, 1:], targets[:, :-1])
    again, _ = next(text_batches(TEXT, n_tokens=10, batch_size=4, seed=3))
    assert torch.equal(ids, again)


def test_every_cut_comes_the_last_one_too():
    batches = text_batches(torch.arange(5), n_tokens=3, batch_size=50)
    ids, targets = next(batches)
    assert set(ids[:, 0].tolist()) == {0, 1}
    assert targets.max() == 4


def test_cosine_rises_falls_and_ends_at_a_tenth():
    config = Cosine(2000, 1e-3, n_warmup=100)
    assert config.lr_at(0) == pytest.approx(1e-3 / 101)
    assert config.lr_at(100) == pytest.approx(1e-3)
    assert config.lr_at(1050) == pytest.approx(5.5e-4)
    assert config.lr_at(1999) == pytest.approx(1e-4, rel=1e-3)


def test_the_models_have_the_same_size():
    sizes = [
        sum(p.numel() for p in make(80).model.parameters())
        for make in (gpt2_recipe, modern_recipe)
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def test_gpt2_decays_matrices_only():
    decayed, others = gpt2_recipe(50).optimizer.param_groups
    assert decayed["weight_decay"] == 0.1 and others["weight_decay"] == 0
    assert {p.dim() for p in decayed["params"]} == {2}
    assert {p.dim() for p in others["params"]} == {1}


def test_text_loss_is_the_mean_over_all_cuts():
    seed_all(0)
    model = modern_recipe(13).model
    want = next_token_loss(model, (TEXT[None, :64], TEXT[None, 1:65]))
    want = want + next_token_loss(model, (TEXT[None, 64:128], TEXT[None, 65:129]))
    assert text_loss(model, TEXT[:150]) == pytest.approx(want.item() / 2, rel=1e-5)


def test_the_modern_recipe_learns_sooner():
    ends = {}
    for make in (gpt2_recipe, modern_recipe):
        seed_all(0)
        recipe = make(13, 30)
        train(
            recipe.model,
            text_batches(TEXT),
            next_token_loss,
            recipe.config,
            optimizer=recipe.optimizer,
        )
        ends[make] = text_loss(recipe.model, TEXT)
    assert ends[modern_recipe] < 0.1 < ends[gpt2_recipe] < math.log(13)


def test_messages():
    with pytest.raises(ValueError, match="more than n_tokens=64, got 9"):
        next(text_batches(torch.arange(9)))
    with pytest.raises(ValueError, match="more than n_tokens=64, got 1"):
        text_loss(modern_recipe(13).model, torch.arange(1))


def test_train_scales_each_group_from_its_own_peak():
    seed_all(0)
    recipe = modern_recipe(13, 10)
    seen = []

    def loss_fn(model, batch):
        seen.append([group["lr"] for group in recipe.optimizer.param_groups])
        return next_token_loss(model, batch)

    recipe.optimizer.param_groups[0]["lr"] = 0.01
    batches = text_batches(TEXT, n_tokens=8, batch_size=2)
    train(recipe.model, batches, loss_fn, recipe.config, optimizer=recipe.optimizer)
    rates = torch.tensor(seen)
    shape = torch.tensor([recipe.config.lr_at(i) for i in range(10)]) / recipe.config.lr
    assert_close(rates[:, 0], 0.01 * shape)
    assert_close(rates[:, 1], 0.03 * shape)
