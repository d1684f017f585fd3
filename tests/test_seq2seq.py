import itertools

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from utils.attention import padding_mask
from utils.corpora import Batch, encode_batch, translation_batches
from utils.grammar import translation_pairs
from utils.seq2seq import (
    Decoder,
    Encoder,
    Memory,
    Seq2Seq,
    attention_of,
    beam_search,
    greedy_search,
    translate,
    translation_loss,
)
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train

PAIRS = translation_pairs(64, max_len=10)
SOURCE = Vocab.from_sentences(p.source for p in PAIRS)
TARGET = Vocab.from_sentences(p.target for p in PAIRS)
KINDS = [None, "additive", "dot", "general"]


def build(score=None, target_size=None, seed=0):
    seed_all(seed)
    return Seq2Seq(len(SOURCE), target_size or len(TARGET), 8, score).double()


def test_encoder_equals_torch_on_each_sentence_alone():
    encoder = Encoder(len(SOURCE), 8).double()
    batch = encode_batch(PAIRS[:5], SOURCE, TARGET)
    memory = encoder(batch.source, batch.source_mask)
    for row, pair in enumerate(PAIRS[:5]):
        n = len(pair.source) + 1
        states, last = encoder.gru(encoder.embedding(batch.source[row : row + 1, :n]))
        assert_close(memory.states[row, :n], states[0])
        assert_close(memory.summary[row], torch.cat([last[0, 0], last[1, 0]]))


def test_a_one_way_encoder_sees_no_later_word():
    encoder = Encoder(len(SOURCE), 8, bidirectional=False).double()
    ids, mask = torch.tensor([[5, 6, 7]]), torch.ones(1, 3).bool()
    states = encoder(ids, mask).states
    assert_close(encoder(torch.tensor([[5, 6, 8]]), mask).states[:, :2], states[:, :2])
    assert_close(encoder(ids, mask).summary, states[:, -1])


@pytest.mark.parametrize("score", KINDS)
def test_padding_changes_nothing(score):
    model = build(score)
    batch = encode_batch(PAIRS[:1], SOURCE, TARGET)
    wide = Batch(*(nn.functional.pad(part, (0, 3)) for part in batch))
    logits, weights = model(batch)
    more, wider = model(wide)
    n = logits.shape[1]
    assert_close(more[:, :n], logits)
    assert_close(translation_loss(model, wide), translation_loss(model, batch))
    if score:
        assert_close(wider[:, :n, : weights.shape[2]], weights)
        assert (wider[..., weights.shape[2] :] == 0).all()


@pytest.mark.parametrize("score", KINDS)
def test_decoder_sees_no_later_word_and_steps_equal_one_call(score):
    model = build(score)
    batch = encode_batch(PAIRS[:4], SOURCE, TARGET)
    memory = model.encoder(batch.source, batch.source_mask)
    whole, _, _ = model.decoder(batch.target_in, memory)
    changed = batch.target_in.clone()
    changed[:, 3:] = 5
    assert_close(model.decoder(changed, memory)[0][:, :3], whole[:, :3])
    state = None
    for t in range(batch.target_in.shape[1]):
        logits, _, state = model.decoder(batch.target_in[:, t : t + 1], memory, state)
        assert_close(logits[:, 0], whole[:, t])


def test_padding_gets_no_gradient():
    model = build("dot")
    batch = encode_batch(PAIRS[:4], SOURCE, TARGET)
    logits, _ = model(batch)
    logits.retain_grad()
    real = batch.target_mask
    nn.functional.cross_entropy(logits[real], batch.target_out[real]).backward()
    assert (logits.grad[~real] == 0).all() and (~real).any()


def test_loss_of_an_indifferent_model_is_log_vocabulary():
    model = build()
    nn.init.zeros_(model.decoder.out.weight)
    nn.init.zeros_(model.decoder.out.bias)
    loss = translation_loss(model, encode_batch(PAIRS, SOURCE, TARGET))
    assert_close(loss, torch.tensor(float(len(TARGET))).log().double())


@torch.no_grad()
def score_of(model, memory, ids, alpha):
    """log P of ids + <eos>, by one teacher-forced call."""
    given = torch.tensor([[Vocab.bos, *ids]])
    log_p = model.decoder(given, memory)[0].log_softmax(-1)[0]
    total = sum(log_p[t, w] for t, w in enumerate([*ids, Vocab.eos]))
    return float(total) / ((5 + len(ids) + 1) / 6) ** alpha


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_best_of_all_translations(alpha, seed):
    model = build("dot", target_size=6, seed=seed)  # words are <unk>, 4 and 5
    source, mask = torch.tensor([[5, 6, 2]]), torch.ones(1, 3).bool()
    memory = model.encoder(source, mask)
    all_of_them = [
        list(ids)
        for n in range(3)
        for ids in itertools.product([Vocab.unk, 4, 5], repeat=n)
    ]
    best = max(all_of_them, key=lambda ids: score_of(model, memory, ids, alpha))
    found = beam_search(model, source, mask, 50, alpha, max_len=3)
    assert found == [best]


@pytest.mark.parametrize("score", KINDS)
def test_beam_of_one_is_greedy_and_batched_equals_one_by_one(score):
    model = build(score, seed=2)
    batch = encode_batch(PAIRS[:6], SOURCE, TARGET)
    together = greedy_search(model, batch.source, batch.source_mask, max_len=8)
    for row in range(6):
        n = int(batch.source_mask[row].sum())
        memory = model.encoder(
            batch.source[row : row + 1, :n], batch.source_mask[row : row + 1, :n]
        )
        ids, state, token = [], None, Vocab.bos
        while len(ids) < 8:
            logits, _, state = model.decoder(torch.tensor([[token]]), memory, state)
            logits[..., [Vocab.pad, Vocab.bos]] = -torch.inf
            token = int(logits.argmax())
            if token == Vocab.eos:
                break
            ids.append(token)
        assert together[row] == ids
    four = beam_search(model, batch.source, batch.source_mask, 4, max_len=8)
    for row in range(6):
        n = int(batch.source_mask[row].sum())
        one = beam_search(
            model, batch.source[row, :n][None], batch.source_mask[row, :n][None], 4,
            max_len=8,
        )  # fmt: skip
        assert four[row] == one[0]


def test_search_leaves_the_mode_alone():
    model = build()
    batch = encode_batch(PAIRS[:1], SOURCE, TARGET)
    greedy_search(model.train(), batch.source, batch.source_mask, 2)
    assert model.training
    greedy_search(model.eval(), batch.source, batch.source_mask, 2)
    assert not model.training


@pytest.mark.parametrize("score", KINDS)
def test_learns_a_few_sentences_by_heart(score):
    seed_all(0)
    pairs = PAIRS[:8]
    model = Seq2Seq(len(SOURCE), len(TARGET), 32, score)
    batches = translation_batches(pairs, SOURCE, TARGET, 8)
    config = TrainConfig(n_steps=120, lr=1e-2, n_warmup=5, show_progress=False)
    losses = train(model, batches, translation_loss, config)
    assert losses[-1] < losses[0] / 20
    sentences = [p.source for p in pairs]
    got = translate(model, sentences, SOURCE, TARGET)
    assert [tuple(g) for g in got] == [p.target for p in pairs]


def test_attention_rows_sum_to_one():
    model = build("additive").float()
    weights = attention_of(model, PAIRS[0], SOURCE, TARGET)
    shape = (len(PAIRS[0].target) + 1, len(PAIRS[0].source) + 1)
    assert weights.shape == shape
    assert_close(weights.sum(-1), torch.ones(shape[0]))


def test_memory_rows():
    memory = Memory(torch.randn(3, 2, 4), padding_mask(torch.tensor([1, 2, 2])), None)
    memory = memory._replace(summary=torch.randn(3, 4))
    assert_close(memory.rows(torch.tensor([2, 2])).states[1], memory.states[2])


IDS, MASK = torch.tensor([[5, 6, 2]]), torch.ones(1, 3).bool()


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: Encoder(9, 7), "even and at least 2, got 7"),
        (lambda: Seq2Seq(3, 9), r"len\(vocab\), at least 5"),
        (lambda: Seq2Seq(9, 9, 8, "cosine"), "got 'cosine'"),
        (lambda: Encoder(9, 8)(IDS, MASK[:, :2]), "S is 2, expected 3"),
        (lambda: Encoder(9, 8)(IDS, MASK.float()), "write source_mask.bool"),
        (lambda: Encoder(9, 8)(IDS, ~MASK), "pad on the right"),
        (lambda: Encoder(9, 8)(IDS, MASK.logical_xor(torch.tensor([0, 1, 0]))), "pad"),
        (lambda: Decoder(9, 8, None)(IDS[0], Memory(IDS, MASK, IDS)), "needs 2 axes"),
        (lambda: beam_search(build(), IDS, MASK, beam_size=0), "1 or more .* got 0"),
        (lambda: greedy_search(build(), IDS, MASK, max_len=0), "1 or more"),
        (lambda: beam_search(build(), IDS, MASK, length_penalty=-1.0), "0 or more"),
        (
            lambda: attention_of(build().float(), PAIRS[0], SOURCE, TARGET),
            "score='dot'",
        ),
        (lambda: translate(build(), [], SOURCE, TARGET), "non-empty"),
    ],
)  # fmt: skip
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()
