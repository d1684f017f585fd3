"""Muon: steps in which a matrix turns all its directions equally far.

Jordan, 2024, https://kellerjordan.github.io/posts/muon
"""

from collections import defaultdict

import torch
from torch import Tensor, nn
from torch.optim import AdamW

# Each row drives singular values towards 1: s -> a s + b s^3 + c s^5. Amsel et al.,
# 2025, https://arxiv.org/abs/2505.16932, chose them one after the other.
POLYNOMIALS = (
    (8.2872, -23.5959, 17.3004),
    (4.1071, -2.9478, 0.5448),
    (3.9487, -2.9089, 0.5518),
    (3.3184, -2.4885, 0.5100),
)


def orthogonalise(g: Tensor) -> Tensor:
    """Keep the directions of matrices and bring all their singular values near 1.

    Args:
        g: (N, n, m), N matrices at once, n at most m.

    Returns:
        (N, n, m): about U V^T, where g = U S V^T; sizes from 0.4 to 1.6 but for
            directions that were twenty times shorter than all together.

    Raises:
        ValueError: if g is not (N, n, m) with n at most m.
    """
    if g.dim() != 3 or g.shape[1] > g.shape[2]:
        raise ValueError(
            f"g should be (N, n, m) with n at most m, got {tuple(g.shape)}: "
            "transpose tall matrices"
        )
    x = g / (1.02 * g.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for a, b, c in POLYNOMIALS:
        s = x @ x.mT  # (N, n, n)
        x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return x


class Muon(AdamW):
    """Muon for the matrices inside a model's blocks, Adam for all else.

    A matrix W (n, m) moves by lr * sqrt(max(1, n / m)) in each direction that its
    averaged gradient has. Embeddings, outputs, norms and biases are no maps from a
    vector to a vector of the stream, so Adam moves them.

    Args:
        blocks: their 2-d parameters are Muon's.
        others: the parameters for Adam.
        lr: of Muon.
        adam_lr: of Adam.
        momentum: share of the old average kept at each step, with Nesterov's
            look-ahead.

    Raises:
        ValueError: if blocks hold no matrix, or a rate is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float = 0.03,
        adam_lr: float = 0.03,
        momentum: float = 0.9,
    ) -> None:
        inside = {id(p) for p in model.blocks.parameters() if p.dim() == 2}
        matrices = [p for p in model.parameters() if id(p) in inside]
        others = [p for p in model.parameters() if id(p) not in inside]
        if not matrices:
            raise ValueError("model.blocks should hold matrices, they have none")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum should be from 0 to below 1, got {momentum}")
        groups = [
            {"params": matrices, "lr": lr, "muon": True},
            {"params": others, "lr": adam_lr, "muon": False},
        ]
        super().__init__(groups, betas=(momentum, 0.95), weight_decay=0.0)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step downhill."""
        for group in self.param_groups:
            if group["muon"]:
                self._turn(group)
        super().step(closure)

    def _turn(self, group: dict) -> None:
        """Move all matrices; those of one shape, on their side or not, at once."""
        stacks: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
        for p in group["params"]:
            if p.grad is not None:
                stacks[tuple(sorted(p.shape))].append(p)
        for stack in stacks.values():
            ahead = torch.stack([self._ahead(p, group["betas"][0]) for p in stack])
            for p, turn in zip(stack, orthogonalise(ahead), strict=True):
                n, m = p.shape
                size = group["lr"] * max(1, n / m) ** 0.5
                p.add_(turn.mT if n > m else turn, alpha=-size)
                p.grad = None  # so that Adam leaves it alone

    def _ahead(self, p: nn.Parameter, momentum: float) -> Tensor:
        """Nesterov's look-ahead of a gradient, laid on its side if it is tall."""
        state = self.state[p]
        if "average" not in state:
            state["average"] = torch.zeros_like(p)
            state["step"] = torch.zeros(())  # AdamW looks for it when it loads
        average = state["average"].lerp_(p.grad, 1 - momentum)
        ahead = p.grad.lerp(average, momentum)
        return ahead.mT if p.shape[0] > p.shape[1] else ahead
