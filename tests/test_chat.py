"""Chat template, reply mask and packing; GPT's `documents`."""

from itertools import islice

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from utils.chat import (
    ASSISTANT,
    CHAT_TOKENS,
    END,
    USER,
    Turn,
    ask,
    chat_batch,
    chat_batches,
    chat_tokens,
    reply_loss,
)
from utils.gpt import GPT, GPTConfig
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train

VOCAB = Vocab([*CHAT_TOKENS, *"say hi yes why so it is no".split()])
SIZES = {"d_model": 16, "n_heads": 2, "n_layers": 2, "d_ff": 24, "max_len": 24}
SHORT = [Turn("user", "say hi"), Turn("assistant", "hi")]
LONG = [
    Turn("user", "say"), Turn("assistant", "yes"),
    Turn("user", "why it"), Turn("assistant", "so it is"),
]  # fmt: skip
OTHER = [Turn("user", "is it"), Turn("assistant", "no")]
STYLES = {
    "gpt2": GPTConfig.gpt2(len(VOCAB), **SIZES),
    "llama": GPTConfig.llama(len(VOCAB), **SIZES, n_kv_heads=1, rope_base=100.0),
    "modern": GPTConfig.modern(len(VOCAB), **SIZES),
}
each_style = pytest.mark.parametrize("style", STYLES)


def model_of(style: str) -> GPT:
    """In 64 bits, no number at 0: what starts there would hide a mistake."""
    model = GPT(STYLES[style]).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model


# --- the template ---------------------------------------------------------------


def test_a_conversation_laid_out_by_hand():
    assert chat_tokens(LONG) == [
        (USER, False), ("say", False), (END, False),
        (ASSISTANT, False), ("yes", True), (END, True),
        (USER, False), ("why", False), ("it", False), (END, False),
        (ASSISTANT, False), ("so", True), ("it", True), ("is", True), (END, True),
    ]  # fmt: skip


def test_a_prompt_ends_where_the_assistant_begins():
    laid = chat_tokens(LONG[:1], prompt=True)
    assert laid == [*chat_tokens(LONG[:1]), (ASSISTANT, False)]
    assert not any(said for _, said in laid)


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([], "at least one turn"),
        ([Turn("system", "hi")], 'should be "user" or "assistant", got \'system\''),
        ([Turn("user", "  ")], "should have words"),
        ([Turn("user", f"hi {END} {ASSISTANT} yes")], "speak for the other side"),
    ],
)
def test_turns_that_are_refused(turns, words):
    with pytest.raises(ValueError, match=words):
        chat_tokens(turns)


# --- rows -----------------------------------------------------------------------


def test_rows_hold_what_the_template_says():
    batch = chat_batch([SHORT, LONG], VOCAB)
    for row, turns in enumerate([SHORT, LONG]):
        laid = chat_tokens(turns)
        n = len(laid)
        assert VOCAB.decode(batch.ids[row, :n]) == [token for token, _ in laid]
        assert batch.reply[row, :n].tolist() == [said for _, said in laid]
        assert (batch.documents[row, :n] == 1).all()
        for part in batch:
            assert not part[row, n:].any()


def test_packing_fills_a_row_before_it_opens_the_next():
    packed = chat_batch([SHORT, SHORT, LONG, OTHER], VOCAB, max_len=15)
    assert [sorted(set(row)) for row in packed.documents.tolist()] == [
        [0, 1, 2], [1], [0, 1],
    ]  # fmt: skip
    assert len(chat_batch([SHORT, LONG], VOCAB, max_len=22).ids) == 1  # just fits
    assert len(chat_batch([SHORT, LONG], VOCAB, max_len=21).ids) == 2
    alone = chat_batch([SHORT, SHORT, LONG, OTHER], VOCAB)
    n_words = [int((rows.documents > 0).sum()) for rows in (alone, packed)]
    assert n_words[0] == n_words[1]
    assert packed.ids.numel() < alone.ids.numel()


def test_batches_give_each_conversation_once_a_round():
    chats = [[Turn("user", "say"), Turn("assistant", "it " * k)] for k in range(1, 6)]
    two = [
        [b.reply.sum(1).tolist() for b in islice(chat_batches(chats, VOCAB, 2, 7), 6)]
        for _ in "ab"
    ]
    assert two[0] == two[1]
    lengths = [n for rows in two[0] for n in rows]
    assert sorted(lengths[:5]) == sorted(lengths[5:]) == [2, 3, 4, 5, 6]
    assert lengths[:5] != lengths[5:]


def test_messages_of_batches():
    with pytest.raises(ValueError, match=r"should hold <\|user\|>, .*add them first"):
        chat_batch([SHORT], Vocab(["say", "hi"]))
    with pytest.raises(ValueError, match="at most max_len=14 tokens, one has 15"):
        chat_batch([LONG], VOCAB, max_len=14)
    with pytest.raises(ValueError, match="batch_size"):
        next(chat_batches([SHORT], VOCAB, 0))


# --- the loss -------------------------------------------------------------------


def test_the_loss_is_a_loop_over_the_replies():
    model, batch = model_of("gpt2"), chat_batch([SHORT, LONG], VOCAB)
    total, n = 0.0, 0
    for turns in (SHORT, LONG):
        laid = chat_tokens(turns)
        ids = VOCAB.encode([token for token, _ in laid])
        log_p = model(torch.tensor([ids]))[0][0].log_softmax(-1)
        for t, (_, said) in enumerate(laid):
            if said:
                total, n = total - log_p[t - 1, ids[t]], n + 1
    assert n == 8
    assert_close(reply_loss(model, batch), total / n)


@each_style
def test_prompt_and_padding_get_no_gradient(style):
    """At the logits: exactly 0 but where a token of a reply is predicted."""
    model, batch = model_of(style), chat_batch([SHORT, LONG], VOCAB)
    kept = []

    def hook(module, args, out):
        out.retain_grad()
        kept.append(out)

    handle = model.output.register_forward_hook(hook)
    reply_loss(model, batch).backward()
    handle.remove()
    size = kept[0].grad.abs().sum(-1)  # (B, T)
    predicts = F.pad(batch.reply[:, 1:], (0, 1))
    assert (size[predicts] > 0).all()
    assert (size[~predicts] == 0).all()
    assert (~predicts).sum() > predicts.sum()


def test_what_is_trained_on_alone_decides_the_loss():
    """Other labels elsewhere change nothing: here, what follows the last reply."""
    model = model_of("gpt2")
    ends = [[*SHORT, Turn("user", words)] for words in ("why it", "no no")]
    losses = [reply_loss(model, chat_batch([turns], VOCAB)) for turns in ends]
    assert torch.equal(*losses)


def test_a_batch_without_a_reply_is_refused():
    batch = chat_batch([SHORT[:1]], VOCAB)
    with pytest.raises(ValueError, match="reply should be True somewhere"):
        reply_loss(model_of("gpt2"), batch)


# --- packing: GPT's documents ----------------------------------------------------


@each_style
def test_packed_equals_unpacked(style):
    model, chats = model_of(style), [SHORT, LONG, OTHER, SHORT]
    alone = chat_batch(chats, VOCAB)
    packed = chat_batch(chats, VOCAB, max_len=30)
    assert len(packed.ids) == 2 and packed.documents.max() == 3
    logits = model(packed.ids, documents=packed.documents)[0]
    found = [
        logits[row][packed.documents[row] == n]
        for row in range(2)
        for n in range(1, int(packed.documents[row].max()) + 1)
    ]
    assert len(found) == len(chats)
    for row, got in enumerate(found):
        ids = alone.ids[row : row + 1, : len(got)]
        assert_close(got, model(ids)[0][0])
    assert_close(reply_loss(model, packed), reply_loss(model, alone))


@each_style
def test_packed_and_unpacked_train_alike(style):
    model, chats = model_of(style), [SHORT, LONG, OTHER]
    grads = []
    for max_len in (None, 40):
        model.zero_grad()
        reply_loss(model, chat_batch(chats, VOCAB, max_len)).backward()
        grads.append([p.grad.clone() for p in model.parameters()])
    assert_close(*grads)


@each_style
def test_no_cross_talk(style):
    """Another first conversation: the second one's logits do not move."""
    model = model_of(style)
    one, two = (
        chat_batch([first, LONG], VOCAB, 40)
        for first in (SHORT, [SHORT[0], Turn("assistant", "no")])
    )
    assert not torch.equal(one.ids, two.ids)
    apart, together = (
        [model(rows.ids, **options(rows))[0] for rows in (one, two)]
        for options in (lambda rows: {"documents": rows.documents}, lambda rows: {})
    )
    second = one.documents == 2
    assert torch.equal(apart[0][second], apart[1][second])
    assert not torch.allclose(apart[0][~second], apart[1][~second])
    assert not torch.allclose(together[0][second], together[1][second], atol=1e-3)


@each_style
def test_positions_start_anew(style):
    """Ignoring the documents moves the logits of the second conversation."""
    model, rows = model_of(style), chat_batch([SHORT, LONG], VOCAB, 40)
    apart = model(rows.ids, documents=rows.documents)[0]
    together = model(rows.ids)[0]
    first = rows.documents == 1
    assert_close(apart[first], together[first])
    assert not torch.allclose(apart[~first], together[~first], atol=1e-3)


@each_style
def test_one_document_is_no_documents(style):
    model, rows = model_of(style), chat_batch([LONG], VOCAB)
    assert_close(model(rows.ids, documents=rows.documents)[0], model(rows.ids)[0])


def test_padding_of_a_packed_row_is_finite():
    model, rows = model_of("modern"), chat_batch([SHORT, LONG], VOCAB)
    assert (rows.documents == 0).any()
    reply_loss(model, rows).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_messages_of_documents():
    model, rows = model_of("gpt2"), chat_batch([SHORT, LONG], VOCAB, 40)
    with pytest.raises(ValueError, match="without real and caches"):
        model(rows.ids, rows.documents > 0, documents=rows.documents)
    with pytest.raises(ValueError, match="documents should be"):
        model(rows.ids, documents=rows.documents[0])
    too_long = torch.ones(1, 25, dtype=torch.int64)
    with pytest.raises(ValueError, match="at most max_len=24 tokens, one has 25"):
        model(too_long, documents=too_long)


def test_a_packed_row_may_be_longer_than_a_text():
    model, rows = model_of("gpt2"), chat_batch([LONG, LONG], VOCAB, 40)
    assert rows.ids.shape[1] == 30 > SIZES["max_len"]
    logits = model(rows.ids, documents=rows.documents)[0][0]
    assert_close(logits[:15], logits[15:])


# --- asking ---------------------------------------------------------------------


def test_a_tuned_model_replies_and_stops():
    seed_all(0)
    model = GPT(GPTConfig.gpt2(len(VOCAB), **SIZES))
    chats = [
        [Turn("user", "say it"), Turn("assistant", "it is")],
        [Turn("user", "say why hi"), Turn("assistant", "so")],
    ]
    config = TrainConfig(80, lr=1e-2, n_warmup=5, show_progress=False)
    losses = train(model, chat_batches(chats, VOCAB, 2), reply_loss, config)
    assert losses[-1] < losses[0] / 20
    # Of different length, so one of them is padded on the left.
    assert ask(model, VOCAB, ["say it", "say why hi"]) == ["it is", "so"]
    assert ask(model, VOCAB, ["say why hi"]) == ["so"]
    assert ask(model, VOCAB, ["say it"], n_new=1) == ["it"]
    generator = torch.Generator().manual_seed(0)
    options = {"temperature": 1.0, "generator": generator}
    assert ask(model, VOCAB, ["say it"], **options) == ["it is"]


@each_style
def test_padding_may_be_longer_than_a_text(style):
    model, rows = model_of(style), chat_batch([SHORT], VOCAB)
    n = rows.ids.shape[1]
    ids, documents = (F.pad(x, (0, 25)) for x in (rows.ids, rows.documents))
    logits = model(ids, documents=documents)[0]
    assert_close(logits[:, :n], model(rows.ids)[0])


def test_what_cannot_be_laid_out_is_named():
    model = model_of("modern")
    with pytest.raises(ValueError, match="vocab should hold every word, lacks Ha"):
        chat_batch([[Turn("user", "Ha"), SHORT[1]]], VOCAB)
    with pytest.raises(ValueError, match="lacks red\\?"):
        ask(model, VOCAB, ["red?"])
    with pytest.raises(ValueError, match="at least one conversation, got none"):
        chat_batch([], VOCAB)
    with pytest.raises(ValueError, match="at least one conversation, got none"):
        ask(model, VOCAB, [])
    with pytest.raises(ValueError, match="vocab should hold <.user.>"):
        ask(model, Vocab(["red"]), ["red"])
    with pytest.raises(ValueError, match=r"turns should be \(role, text\) pairs"):
        chat_tokens("hi")
