"""Muon against singular values, torch's Adam and a slow loop."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from utils.muon import Muon, orthogonalise


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(4, 16, 16), (2, 16, 48), (1, 1, 5)])
def test_singular_values_come_near_1_and_directions_stay(shape):
    g = random(*shape)
    got = orthogonalise(g)
    sizes = torch.linalg.svdvals(got)
    large = torch.linalg.svdvals(g) > 0.05 * g.norm(dim=(1, 2))[:, None]
    assert (sizes[large] > 0.4).all() and (sizes < 1.6).all()
    u, _, v = torch.linalg.svd(g, full_matrices=False)
    # U^T X V is diagonal: the same directions, other sizes
    turned = u.mT @ got @ v.mT
    off = turned - torch.diag_embed(turned.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 1e-3
    assert (turned.diagonal(dim1=1, dim2=2) > 0).all()


def test_the_size_of_a_gradient_does_not_matter_and_0_stays_0():
    g = random(2, 8, 8)
    assert_close(orthogonalise(1000 * g), orthogonalise(g))
    assert orthogonalise(torch.zeros(1, 4, 4)).abs().max() == 0


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(5, 8)
        self.blocks = nn.ModuleList([nn.Linear(8, 24), nn.Linear(24, 8)])
        self.output = nn.Linear(8, 5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        return self.output(x + self.blocks[1](self.blocks[0](x).relu()))


def build() -> Small:
    torch.manual_seed(0)
    return Small()


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    ids = torch.randint(5, (2, 6), generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
    optimizer.step()


def test_all_but_the_matrices_inside_move_as_by_adam():
    ours, theirs = build(), build()
    muon = Muon(ours, lr=0.0, adam_lr=0.01)
    rest = [
        p for n, p in theirs.named_parameters() if p.dim() == 1 or "blocks" not in n
    ]
    adam = torch.optim.AdamW(rest, lr=0.01, betas=(0.9, 0.95), weight_decay=0)
    for seed in range(4):
        step(ours, muon, seed)
        step(theirs, adam, seed)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(a, b, msg=name)


def test_matrices_move_as_a_slow_loop_says():
    model, start = build(), build()
    optimizer, averages = Muon(model, lr=0.1, adam_lr=0.0, momentum=0.8), {}
    for seed in range(3):
        step(start, torch.optim.SGD(start.parameters(), lr=0.0), seed)
        for name, p in start.named_parameters():
            if p.dim() == 2 and "blocks" in name:
                old = averages.get(name, torch.zeros_like(p))
                averages[name] = 0.8 * old + 0.2 * p.grad
                ahead = 0.8 * averages[name] + 0.2 * p.grad
                tall = p.shape[0] > p.shape[1]
                turn = orthogonalise((ahead.T if tall else ahead)[None])[0]
                with torch.no_grad():
                    p -= 0.1 * (turn.T * 3**0.5 if tall else turn)
        step(model, optimizer, seed)
    for (name, a), b in zip(
        model.named_parameters(), start.named_parameters(), strict=True
    ):
        assert_close(a, b[1], msg=name)


def test_its_state_can_be_saved_and_loaded():
    whole, model = build(), build()
    first = Muon(model)
    step(whole, optimizer := Muon(whole), 0)
    step(model, first, 0)
    again = Muon(model)
    again.load_state_dict(first.state_dict())
    step(whole, optimizer, 1)
    step(model, again, 1)
    for a, b in zip(whole.parameters(), model.parameters(), strict=True):
        assert_close(a, b)


def test_messages():
    with pytest.raises(ValueError, match="n at most m"):
        orthogonalise(torch.ones(1, 3, 2))
    with pytest.raises(ValueError, match="momentum should be from 0"):
        Muon(build(), momentum=1.0)
    model = build()
    model.blocks = nn.ModuleList([nn.LayerNorm(8)])
    with pytest.raises(ValueError, match="should hold matrices"):
        Muon(model)
