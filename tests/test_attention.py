import math

import pytest
import torch
from torch.testing import assert_close

from utils.attention import (
    AdditiveScore,
    DotScore,
    GeneralScore,
    make_score,
    masked_softmax,
    padding_mask,
)

torch.manual_seed(0)
S, H = torch.randn(2, 3, 4).double(), torch.randn(2, 5, 4).double()
NAMES = ["additive", "dot", "general"]


def loop(score, s, h):
    """The papers' formulas, one query and one key at a time."""
    out = torch.empty(s.shape[0], s.shape[1], h.shape[1], dtype=s.dtype)
    for b in range(s.shape[0]):
        for t in range(s.shape[1]):
            for i in range(h.shape[1]):
                out[b, t, i] = score(s[b, t], h[b, i])
    return out


def test_additive_equals_its_formula():
    m = AdditiveScore(4).double()

    def e(s, h):
        hidden = torch.tanh(m.W.weight @ s + m.U.weight @ h + m.U.bias)
        return m.v.weight[0] @ hidden

    assert_close(m(S, H), loop(e, S, H))


def test_dot_and_general_equal_their_formulas():
    m = GeneralScore(4).double()
    assert_close(DotScore()(S, H), loop(torch.dot, S, H))
    assert_close(m(S, H), loop(lambda s, h: s @ (m.W.weight @ h), S, H))


def test_dot_with_softmax_equals_torch():
    want = torch.nn.functional.scaled_dot_product_attention(S, H, H, scale=1.0)
    assert_close(masked_softmax(DotScore()(S, H)) @ H, want)


@pytest.mark.parametrize("name", NAMES)
def test_each_query_is_scored_alone(name):
    score = make_score(name, 4).double()
    changed = S.clone()
    changed[:, 2] += 1
    assert_close(score(changed, H)[:, :2], score(S, H)[:, :2])
    assert_close(score(S[:, :1], H), score(S, H)[:, :1])


def test_softmax_by_hand():
    weights = masked_softmax(torch.tensor([0.0, math.log(3)]))
    assert_close(weights, torch.tensor([0.25, 0.75]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_masked_keys_get_exactly_nothing_in_every_dtype(dtype):
    scores = torch.tensor([[-60000.0, 3.0], [1.0, 2.0]]).to(dtype).requires_grad_()
    mask = torch.tensor([[True, False], [False, False]])
    weights = masked_softmax(scores, mask)
    assert weights.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    weights[:, 0].sum().backward()
    assert scores.grad.isfinite().all()


def test_masking_equals_leaving_out():
    scores = torch.randn(2, 3, 5, dtype=torch.float64)
    mask = padding_mask(torch.tensor([5, 2]))
    weights = masked_softmax(scores, mask[:, None])
    assert_close(weights[1, :, :2], scores[1, :, :2].softmax(-1))
    assert_close(weights.sum(-1), torch.ones(2, 3, dtype=torch.float64))


def test_padding_mask_edges():
    assert padding_mask(torch.tensor([0, 2]), 3).tolist() == [
        [False] * 3,
        [True, True, False],
    ]
    assert padding_mask(torch.tensor([], dtype=torch.int64)).shape == (0, 0)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: padding_mask(torch.tensor([4]), 3), "cut the rows or raise max_len"),
        (lambda: padding_mask(torch.tensor([-1])), "from 0 to"),
        (lambda: padding_mask(torch.tensor([1.5])), "integers, got torch.float32"),
        (lambda: padding_mask(torch.tensor(3)), "needs 1 axes"),
        (lambda: masked_softmax(S, torch.ones(5)), "bool tensor .* got torch.float32"),
        (lambda: masked_softmax(S, [True]), "got list"),
        (lambda: masked_softmax(S, torch.ones(2, 7).bool()), "padding mask needs"),
        (lambda: masked_softmax(torch.tensor([1])), "floating point"),
        (lambda: make_score("cosine", 4), "'general', got 'cosine'"),
        (lambda: AdditiveScore(0), "d_model should be 1 or more"),
        (lambda: DotScore()(S, H[..., :3]), r"d_model is 3, expected 4"),
        (lambda: GeneralScore(4)(S[0], H), "needs 3 axes"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
