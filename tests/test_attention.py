import math

import pytest
import torch
from torch.testing import assert_close

from utils.attention import (
    AdditiveScore,
    DotScore,
    GeneralScore,
    MultiHeadAttention,
    causal_mask,
    make_score,
    masked_softmax,
    padding_mask,
    scaled_dot_product_attention,
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


# --- scaled dot product -------------------------------------------------------

Q = torch.randn(2, 3, 4, 8).double()  # (B, H, Tq, d_k)
K, V = torch.randn(2, 3, 6, 8).double(), torch.randn(2, 3, 6, 5).double()
SOME = torch.rand(2, 1, 4, 6) < 0.6
SOME[..., 0] = True


@pytest.mark.parametrize("mask", [None, SOME], ids=["no mask", "mask"])
def test_scaled_dot_product_equals_torch(mask):
    out, weights = scaled_dot_product_attention(Q, K, V, mask)
    want = torch.nn.functional.scaled_dot_product_attention(Q, K, V, mask)
    assert_close(out, want, atol=1e-12, rtol=0)
    assert_close(weights.sum(-1), torch.ones(2, 3, 4).double())
    assert mask is None or not weights[~mask.expand_as(weights)].any()


def test_causal_means_that_the_future_changes_nothing():
    mask = causal_mask(6)
    x = torch.randn(1, 6, 8).double()
    later = x.clone()
    later[:, 4:] += 1
    before, after = (scaled_dot_product_attention(y, y, y, mask)[0] for y in (x, later))
    assert_close(before[:, :4], after[:, :4], atol=0, rtol=0)
    assert not torch.allclose(before[:, 4:], after[:, 4:])
    assert causal_mask(0).shape == (0, 0)
    assert causal_mask(1).item() is True


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_row_that_may_see_nothing_is_zero_and_so_is_its_gradient(dtype):
    q = torch.randn(1, 2, 4).to(dtype).requires_grad_()
    k = torch.randn(1, 3, 4).to(dtype).requires_grad_()
    v = torch.randn(1, 3, 4).to(dtype).requires_grad_()
    mask = torch.tensor([[True, True, False], [False, False, False]])
    out, weights = scaled_dot_product_attention(q, k, v, mask)
    out.sum().backward()
    assert not out[0, 1].any() and not weights[0, 1].any()
    for tensor in (q, k, v):
        assert tensor.grad.isfinite().all()
    assert not q.grad[0, 1].any()
    assert k.grad[0, 0].any() and not k.grad[0, 2].any()


def test_large_scores_do_not_overflow_float16():
    x = torch.full((1, 2, 64), 40.0).half()
    out, weights = scaled_dot_product_attention(x, x, x)
    assert_close(weights, torch.full((1, 2, 2), 0.5).half())
    assert_close(out, x)


def test_dropout_drops_weights_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(1, 300, 4)
    out, weights = scaled_dot_product_attention(x, x, x, dropout=0.5)
    assert_close(weights, torch.full((1, 300, 300), 1 / 300))  # before dropout
    assert 0.9 < out.mean() < 1.1
    assert out.std() > 0.01
    with pytest.raises(ValueError, match="dropout should be .* got 1.5"):
        scaled_dot_product_attention(x, x, x, dropout=1.5)


def twin(ours: MultiHeadAttention, d_model: int, n_heads: int):
    """torch's own layer with the same weights."""
    theirs = torch.nn.MultiheadAttention(d_model, n_heads, batch_first=True).double()
    parts = (ours.W_q, ours.W_k, ours.W_v)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.weight.copy_(ours.W_o.weight)
        theirs.out_proj.bias.copy_(ours.W_o.bias)
    return theirs


@pytest.mark.parametrize("n_heads", [1, 2, 8])
@pytest.mark.parametrize("what", ["self", "memory", "padding", "causal"])
def test_multi_head_equals_torch(n_heads, what):
    ours = MultiHeadAttention(8, n_heads).double()
    for linear in (ours.W_q, ours.W_k, ours.W_v, ours.W_o):
        torch.nn.init.normal_(linear.bias)
    x, memory = torch.randn(2, 5, 8).double(), torch.randn(2, 7, 8).double()
    mask, theirs_mask = None, {}
    if what in ("self", "causal"):
        memory = x
    if what == "padding":
        real = padding_mask(torch.tensor([7, 3]))
        mask, theirs_mask = real[:, None], {"key_padding_mask": ~real}
    if what == "causal":
        mask = causal_mask(5)
        theirs_mask = {"attn_mask": ~mask}
    out, weights = ours(x, None if what == "self" else memory, mask)
    want, want_weights = twin(ours, 8, n_heads)(
        x, memory, memory, average_attn_weights=False, **theirs_mask
    )
    assert_close(out, want, atol=1e-10, rtol=0)
    assert_close(weights, want_weights, atol=1e-10, rtol=0)


def test_attention_is_permutation_equivariant():
    ours = MultiHeadAttention(8, 2).double()
    x, order = torch.randn(1, 5, 8).double(), torch.randperm(5)
    assert_close(ours(x[:, order])[0], ours(x)[0][:, order], atol=1e-12, rtol=0)


def test_dropout_acts_in_training_only():
    ours = MultiHeadAttention(8, 2, dropout=0.5)
    x = torch.randn(1, 5, 8)
    assert not torch.allclose(ours(x)[0], ours(x)[0])
    ours.eval()
    assert_close(ours(x)[0], ours(x)[0])


def test_messages_of_multi_head():
    with pytest.raises(ValueError, match="n_heads should divide d_model=8, got 3"):
        MultiHeadAttention(8, 3)
    ours = MultiHeadAttention(8, 2)
    with pytest.raises(ValueError, match=r"x should be \(B, Tq, 8\) .*is 6"):
        ours(torch.ones(1, 2, 6))
    with pytest.raises(ValueError, match="mask should be a bool"):
        ours(torch.ones(1, 2, 8), mask=torch.ones(2, 2))
    with pytest.raises(ValueError, match="d_k is 7, expected 8"):
        scaled_dot_product_attention(Q, K[..., :7], V)
    with pytest.raises(ValueError, match="n_positions"):
        causal_mask(-1)
    with pytest.raises(ValueError, match="one floating-point type, have torch.int64"):
        scaled_dot_product_attention(Q.long(), K.long(), V.long())
    with pytest.raises(ValueError, match="one floating-point type, have torch.float64"):
        scaled_dot_product_attention(Q, K.float(), V)
    with pytest.raises(ValueError, match="the same batch axes"):
        scaled_dot_product_attention(Q, K[:, :2], V[:, :2])
    with pytest.raises(ValueError, match="n_heads should be a whole number"):
        MultiHeadAttention(8, 2.0)
