import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from utils.attention import causal_mask, padding_mask
from utils.corpora import encode_batch
from utils.grammar import translation_pairs
from utils.seq2seq import beam_search, greedy_search, translate, translation_loss
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train
from utils.transformer import (
    BatchNorm,
    Block,
    Decoder,
    Encoder,
    EncoderDecoder,
    FeedForward,
    Memory,
    TransformerConfig,
    sinusoids,
)

SMALL = TransformerConfig(d_model=8, n_heads=2, n_layers=2, d_ff=16)
REAL = padding_mask(torch.tensor([5, 3]))  # (B, T)


def copy(theirs, ours) -> None:
    """Give torch's linear or norm layer the parameters of ours."""
    theirs.load_state_dict(ours.state_dict())


def copy_attention(theirs: nn.MultiheadAttention, ours) -> None:
    with torch.no_grad():
        parts = ours.W_q, ours.W_k, ours.W_v
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
    copy(theirs.out_proj, ours.W_o)


def randomise(module: nn.Module) -> None:
    """Biases and norms away from 0 and 1, so that a forgotten one shows."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.normal_()


def twin(ours: Block, config: TransformerConfig, cross: bool) -> nn.Module:
    """torch's layer with the parameters of ours."""
    kind = nn.TransformerDecoderLayer if cross else nn.TransformerEncoderLayer
    theirs = kind(
        config.d_model,
        config.n_heads,
        config.d_ff,
        dropout=0.0,
        norm_first=config.norm_first,
        batch_first=True,
    ).double()
    copy_attention(theirs.self_attn, ours.attention)
    copy(theirs.linear1, ours.feed_forward[0])
    copy(theirs.linear2, ours.feed_forward[2])
    copy(theirs.norm1, ours.residual.norm)
    if cross:
        copy_attention(theirs.multihead_attn, ours.cross_attention)
        copy(theirs.norm2, ours.cross_residual.norm)
        copy(theirs.norm3, ours.feed_forward_residual.norm)
    else:
        copy(theirs.norm2, ours.feed_forward_residual.norm)
    return theirs


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_block_equals_torchs_encoder_layer(norm_first):
    config = TransformerConfig(8, 2, 1, 16, norm_first=norm_first)
    ours = Block(config).double()
    randomise(ours)
    x = torch.randn(2, 5, 8).double()
    want = twin(ours, config, cross=False)(x, src_key_padding_mask=~REAL)
    out, weights, _ = ours(x, REAL[:, None])
    assert_close(out[REAL], want[REAL], atol=1e-10, rtol=0)
    assert not weights[1, :, :, 3:].any()


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_block_equals_torchs_decoder_layer(norm_first):
    config = TransformerConfig(8, 2, 1, 16, norm_first=norm_first)
    ours = Block(config, cross=True).double()
    randomise(ours)
    x, source = torch.randn(2, 4, 8).double(), torch.randn(2, 5, 8).double()
    mask = causal_mask(4)
    want = twin(ours, config, cross=True)(
        x, source, tgt_mask=~mask, memory_key_padding_mask=~REAL
    )
    out, _, cross_weights = ours(x, mask, Memory(source, REAL))
    assert_close(out, want, atol=1e-10, rtol=0)
    assert cross_weights.shape == (2, 2, 4, 5)


def test_a_stack_equals_torchs_encoder():
    ours = Encoder(11, SMALL).double()
    randomise(ours)
    blocks = ours.stack.blocks
    theirs = nn.TransformerEncoder(
        twin(blocks[0], SMALL, cross=False), 2, norm=nn.LayerNorm(8).double()
    )
    theirs.layers[1] = twin(blocks[1], SMALL, cross=False)
    copy(theirs.norm, ours.stack.norm)
    ids = torch.randint(11, (2, 5))
    want = theirs(ours.embedding(ids), src_key_padding_mask=~REAL)
    assert_close(ours(ids, REAL).states[REAL], want[REAL], atol=1e-10, rtol=0)


def test_feed_forward_equals_its_formula():
    ours = FeedForward(SMALL)
    randomise(ours)
    x = torch.randn(2, 3, 8)
    hidden = (x @ ours[0].weight.T + ours[0].bias).clamp(min=0)
    assert_close(ours(x), hidden @ ours[2].weight.T + ours[2].bias)


# --- positions ----------------------------------------------------------------


def test_sinusoids_equal_the_paper_number_by_number():
    table = sinusoids(50, 8)
    for pos in (0, 1, 7, 49):
        for i in range(4):
            angle = pos / 10000 ** (2 * i / 8)
            assert table[pos, 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[pos, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("shift", [1, 5, -3])
def test_a_shift_is_one_rotation_for_all_positions(shift):
    table = sinusoids(60, 16).double()
    speed = 10000 ** (-torch.arange(0, 16, 2).double() / 16)
    cos, sin = (shift * speed).cos(), (shift * speed).sin()
    s, c = table[10:50, 0::2], table[10:50, 1::2]
    moved = torch.stack([s * cos + c * sin, c * cos - s * sin], dim=-1).flatten(1)
    assert_close(moved, table[10 + shift : 50 + shift], atol=1e-5, rtol=0)


def test_without_positions_the_encoder_cannot_see_order():
    config = TransformerConfig(8, 2, 2, 16, positions=False)
    model, order = Encoder(11, config).double(), torch.tensor([4, 2, 0, 1, 3])
    ids = torch.randint(11, (1, 5))
    plain, permuted = model(ids).states, model(ids[:, order]).states
    assert_close(permuted, plain[:, order], atol=1e-10, rtol=0)
    ordered = Encoder(11, SMALL).double()
    ids = torch.arange(5)[None]
    plain, permuted = ordered(ids).states, ordered(ids[:, order]).states
    assert not torch.allclose(permuted, plain[:, order])


# --- the three families -------------------------------------------------------


def test_encoder_ignores_padding():
    model = Encoder(11, SMALL).double()
    ids = torch.randint(11, (2, 5))
    alone = model(ids[1:, :3]).states
    assert_close(model(ids, REAL).states[1:, :3], alone, atol=1e-10, rtol=0)


def test_decoder_does_not_see_the_future():
    model = Decoder(11, SMALL).double()
    ids = torch.randint(11, (1, 6))
    later = ids.clone()
    later[:, 4] = (later[:, 4] + 1) % 11
    before, after = model(ids)[0], model(later)[0]
    assert_close(before[:, :4], after[:, :4], atol=0, rtol=0)
    assert not torch.allclose(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("cross", [False, True])
def test_with_caches_the_logits_are_the_same(cross):
    model = Decoder(11, SMALL, cross).double()
    memory = Memory(torch.randn(2, 5, 8).double(), REAL) if cross else None
    ids = torch.randint(11, (2, 6))
    whole = model(ids, memory)[0]
    parts, caches = [], None
    for start, end in ((0, 1), (1, 4), (4, 6)):
        logits, _, caches = model(ids[:, start:end], memory, caches)
        parts.append(logits)
    assert_close(torch.cat(parts, dim=1), whole, atol=1e-10, rtol=0)
    swapped = caches[torch.tensor([1, 0])]
    assert_close(swapped[1].kv[0], caches[1].kv[0].flip(0))


def test_embedding_equals_its_formula():
    model = Encoder(11, SMALL)
    ids = torch.tensor([[3, 7, 3]])
    want = model.embedding.tokens.weight[ids] * 8**0.5 + sinusoids(3, 8)
    assert_close(model.embedding(ids), want)
    assert_close(model.embedding(ids[:, 1:], start=1), want[:, 1:])


def test_batch_norm_equals_torch_over_all_positions():
    ours, x = BatchNorm(8), torch.randn(2, 5, 8)
    want = nn.BatchNorm1d(8)(x.flatten(0, 1)).view(2, 5, 8)
    assert_close(ours(x), want)


def test_embedding_and_output_share_one_matrix():
    model = Decoder(11, SMALL)
    names = [name for name, p in model.named_parameters() if 11 in p.shape]
    assert names == ["embedding.tokens.weight"]
    rows = Decoder(500, SMALL).embedding.tokens.weight.detach()
    assert rows.std().item() == pytest.approx(8**-0.5, rel=0.05)


def test_dropout_acts_in_training_only():
    config = TransformerConfig(8, 2, 1, 16, dropout=0.5)
    model, ids = Decoder(11, config), torch.randint(11, (1, 6))
    assert not torch.allclose(model(ids)[0], model(ids)[0])
    model.eval()
    assert_close(model(ids)[0], model(ids)[0])


def test_no_skip_is_only_what_the_sublayers_say():
    config = TransformerConfig(8, 2, 1, 16, skip=False)
    block, x = Block(config), torch.randn(1, 3, 8)
    seen = block.attention(block.residual.norm(x))[0]
    want = block.feed_forward(block.feed_forward_residual.norm(seen))
    assert_close(block(x, None)[0], want)


# --- training and search ------------------------------------------------------

PAIRS = translation_pairs(200, max_len=10)
ENGLISH = Vocab.from_sentences(p.source for p in PAIRS)
FRENCH = Vocab.from_sentences(p.target for p in PAIRS)


@pytest.fixture(scope="module")
def trained() -> EncoderDecoder:
    seed_all(0)
    config = TransformerConfig(d_model=32, n_heads=4, n_layers=2, d_ff=64)
    model = EncoderDecoder(len(ENGLISH), len(FRENCH), config)
    batches = iter(lambda: encode_batch(PAIRS[:16], ENGLISH, FRENCH), None)
    losses = train(model, batches, translation_loss, TrainConfig(n_steps=80, lr=5e-3))
    assert losses[-1] < losses[0] / 10
    return model


def test_it_learns_sixteen_sentences_by_heart(trained):
    texts = translate(trained, [p.source for p in PAIRS[:16]], ENGLISH, FRENCH)
    right = sum(tuple(t) == p.target for t, p in zip(texts, PAIRS[:16], strict=True))
    assert right >= 14


def test_greedy_search_equals_a_loop_without_caches(trained):
    batch = encode_batch(PAIRS[:4], ENGLISH, FRENCH)
    found = greedy_search(trained, batch.source, batch.source_mask, max_len=12)
    for row in range(4):
        real = batch.source_mask[row]
        memory = trained.encoder(batch.source[row, real][None])
        ids = [Vocab.bos]
        while len(ids) < 13 and ids[-1] != Vocab.eos:
            logits = trained.decoder(torch.tensor([ids]), memory)[0]
            ids.append(int(logits[0, -1].argmax()))
        assert found[row] == [i for i in ids[1:] if i != Vocab.eos]


def test_beam_search_runs_on_caches(trained):
    batch = encode_batch(PAIRS[:4], ENGLISH, FRENCH)
    wide = beam_search(trained, batch.source, batch.source_mask, beam_size=3)
    right = [FRENCH.decode(ids) == list(p.target) for ids, p in zip(wide, PAIRS)]  # noqa: B905
    assert sum(right) >= 3


def test_label_smoothing_equals_its_formula(trained):
    batch = encode_batch(PAIRS[:4], ENGLISH, FRENCH)
    logits, _ = trained(batch)
    log_p = logits.log_softmax(-1)[batch.target_mask]  # (n, V)
    right = log_p.gather(1, batch.target_out[batch.target_mask][:, None]).mean()
    want = -(0.9 * right + 0.1 * log_p.mean())
    assert_close(translation_loss(trained, batch, label_smoothing=0.1), want)


def test_messages():
    with pytest.raises(ValueError, match="d_model should be even and a multiple of n"):
        TransformerConfig(d_model=10, n_heads=4)
    with pytest.raises(ValueError, match="n_layers should be 1 or more, got 0"):
        TransformerConfig(n_layers=0)
    with pytest.raises(ValueError, match="dropout should be"):
        TransformerConfig(dropout=1.0)
    with pytest.raises(ValueError, match="even"):
        sinusoids(3, 5)
    with pytest.raises(ValueError, match="memory should be the encoded source"):
        Decoder(11, SMALL, cross=True)(torch.ones(1, 2).long())
    memory = Memory(torch.ones(1, 2, 8), torch.ones(1, 2).bool())
    with pytest.raises(ValueError, match="memory should be None: build it with cross"):
        Decoder(11, SMALL)(torch.ones(1, 2).long(), memory)
    with pytest.raises(ValueError, match=r"mask should be \(B, T\)"):
        Encoder(11, SMALL)(torch.ones(1, 2).long(), torch.ones(1, 1, 2).bool())
    with pytest.raises(ValueError, match="vocab_size"):
        Decoder(0, SMALL)
    with pytest.raises(ValueError, match="ids should be from 0 to 10, are from 0 to"):
        Encoder(11, SMALL)(torch.tensor([[0, 11]]))
    with pytest.raises(ValueError, match="ids should be integers, got torch.float32"):
        Decoder(11, SMALL)(torch.ones(1, 2))
    with pytest.raises(ValueError, match=r"ids should be \(B, T\), a torch.Tensor"):
        Encoder(11, SMALL)([[1, 2]])
