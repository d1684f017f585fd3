import math
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from transformers import BertConfig, BertForPreTraining, BertModel

from utils.bert import (
    Bert,
    BertForPretraining,
    bert_config,
    masked_loss,
    pretraining_loss,
    pretraining_scores,
)
from utils.masking import IGNORE, Packed, Pretraining, pretraining_batches
from utils.pretrained import BERT_EMBEDDINGS, BERT_PARTS
from utils.training import TrainConfig, train
from utils.wordpiece import SPECIALS, WordPiece

IDS = torch.randint(50, (2, 6), generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])

LIBRARY_CONFIG = BertConfig(  # bert_config(16, 4, 2, 24), in the library's words
    vocab_size=50,
    hidden_size=16,
    num_attention_heads=4,
    num_hidden_layers=2,
    intermediate_size=24,
    max_position_embeddings=10,
)


def pair() -> tuple[Bert, BertModel]:
    """Ours and the library's, with the same weights."""
    ours = Bert(50, bert_config(16, 4, 2, 24), max_len=10).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.3, generator=generator)
    theirs = BertModel(LIBRARY_CONFIG, add_pooling_layer=False).double()
    modules = dict(theirs.named_modules())
    for part, name in BERT_EMBEDDINGS.items():
        mine = ours.embedding.get_submodule(name)
        modules[f"embeddings.{part}"].load_state_dict(mine.state_dict())
    for i in range(2):
        for part, name in BERT_PARTS.items():
            mine = ours.stack.blocks[i].get_submodule(name)
            modules[f"encoder.layer.{i}.{part}"].load_state_dict(mine.state_dict())
    return ours, theirs.eval()


def test_states_equal_transformers():
    ours, theirs = pair()
    segments = (torch.arange(6) > 2).long().expand(2, -1)
    want = theirs(IDS, attention_mask=MASK.long(), token_type_ids=segments)
    got = ours(IDS, MASK, segments).states
    assert_close(got[MASK], want.last_hidden_state[MASK], atol=1e-10, rtol=0)


def test_padding_changes_nothing():
    ours, _ = pair()
    alone = ours(IDS[1:, :4]).states
    assert_close(ours(IDS, MASK).states[1:, :4], alone, atol=1e-10, rtol=0)


def test_every_token_sees_every_other():
    ours, _ = pair()
    other = IDS.clone()
    other[:, 5] = (other[:, 5] + 1) % 50
    assert not torch.allclose(ours(IDS).states[:, 0], ours(other).states[:, 0])


def test_messages():
    ours, _ = pair()
    with pytest.raises(ValueError, match="at most 10 tokens, got 11"):
        ours(torch.zeros(1, 11).long())
    with pytest.raises(ValueError, match=r"mask should be \(B, T\)"):
        ours(IDS, MASK[:, :3])
    with pytest.raises(ValueError, match="vocab_size should be 1 or more"):
        Bert(0, bert_config(16, 4, 2, 24))


# --- pre-training ---------------------------------------------------------------

TOKENIZER = WordPiece([*SPECIALS, *(f"w{i}" for i in range(20))])
# what was chosen and what not, and two places of padding
LABELS = torch.tensor([[7, IGNORE, 9, IGNORE, IGNORE, 8], [IGNORE, 6] + [IGNORE] * 4])


def test_loss_is_the_mean_over_what_was_chosen():
    logits = torch.randn(2, 6, 25, dtype=torch.float64)
    probabilities = logits.softmax(-1)
    terms = [
        -math.log(probabilities[b, t, LABELS[b, t]])
        for b in range(2)
        for t in range(6)
        if LABELS[b, t] != IGNORE
    ]
    want = torch.tensor(sum(terms) / 4, dtype=torch.float64)
    assert_close(masked_loss(logits, LABELS), want)


def test_padding_and_tokens_not_chosen_get_no_gradient():
    logits = torch.randn(2, 6, 25, dtype=torch.float64, requires_grad=True)
    masked_loss(logits, LABELS).backward()
    size = logits.grad.abs().amax(-1)
    assert (size[LABELS == IGNORE] == 0).all()
    assert (size[LABELS != IGNORE] > 0).all()


def test_the_whole_loss_gives_logits_only_the_gradient_of_what_was_chosen():
    model = BertForPretraining(25, bert_config(16, 4, 2, 24), 10).double()
    ids = torch.randint(5, 25, (2, 6), generator=torch.Generator().manual_seed(0))
    ids[1, 4:] = 0
    text = Packed(ids, MASK, torch.zeros_like(ids))
    kept = []
    forward = model.forward

    def watched(text):
        token_logits, next_logits = forward(text)
        token_logits.retain_grad()
        kept.append(token_logits)
        return token_logits, next_logits

    model.forward = watched
    batch = Pretraining(text, LABELS, torch.tensor([1, 0]))
    pretraining_loss(model, batch).backward()
    size = kept[0].grad.abs().amax(-1)
    assert (size[LABELS == IGNORE] == 0).all()
    assert (size[LABELS != IGNORE] > 0).all()


def test_what_stands_in_padding_changes_neither_loss():
    model = BertForPretraining(25, bert_config(16, 4, 2, 24), 10).double()
    ids = IDS % 25
    other = ids.clone()
    other[1, 4:] = (other[1, 4:] + 3) % 25
    losses = [
        pretraining_loss(
            model,
            Pretraining(
                Packed(i, MASK, torch.zeros_like(i)), LABELS, torch.tensor([1, 0])
            ),
        )
        for i in (ids, other)
    ]
    assert_close(losses[0], losses[1], atol=1e-12, rtol=0)


def test_no_label_gives_a_loss_of_0_and_no_nan():
    logits = torch.randn(1, 3, 25, requires_grad=True)
    loss = masked_loss(logits, torch.full((1, 3), IGNORE))
    loss.backward()
    assert loss.item() == 0 and (logits.grad == 0).all()


def test_both_outputs_equal_transformers():
    ours = BertForPretraining(50, bert_config(16, 4, 2, 24), 10).double().eval()
    theirs = BertForPreTraining(LIBRARY_CONFIG).double().eval()
    modules = dict(theirs.named_modules())
    names = {f"bert.embeddings.{p}": f"bert.embedding.{n}"
             for p, n in BERT_EMBEDDINGS.items()}  # fmt: skip
    for i in range(2):
        names |= {
            f"bert.encoder.layer.{i}.{p}": f"bert.stack.blocks.{i}.{n}"
            for p, n in BERT_PARTS.items()
        }
    names["bert.pooler.dense"] = "pooler.0"
    names["cls.predictions.transform.dense"] = "transform.0"
    names["cls.predictions.transform.LayerNorm"] = "transform.2"
    names["cls.seq_relationship"] = "next"
    for name, mine in names.items():
        modules[name].load_state_dict(ours.get_submodule(mine).state_dict())
    with torch.no_grad():
        ours.bias.normal_(generator=torch.Generator().manual_seed(2))
        theirs.cls.predictions.bias.copy_(ours.bias)
        theirs.tie_weights()
    segments = (torch.arange(6) > 2).long().expand(2, -1)
    want = theirs(IDS, attention_mask=MASK.long(), token_type_ids=segments)
    tokens, following = ours(Packed(IDS, MASK, segments))
    assert_close(tokens[MASK], want.prediction_logits[MASK], atol=1e-10, rtol=0)
    assert_close(following, want.seq_relationship_logits, atol=1e-10, rtol=0)


def documents() -> list:
    """Each document has a token of its own in every sentence."""
    return [[[5 + d, 15 + s, 15 + s] for s in range(4)] for d in range(10)]


def test_training_again_gives_the_same_losses_and_they_fall():
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        model = BertForPretraining(25, bert_config(32, 4, 1, 32), 24)
        batches = pretraining_batches(documents(), TOKENIZER, 16, seed=0)
        config = TrainConfig(n_steps=60, show_progress=False)
        runs.append(train(model, batches, pretraining_loss, config))
    assert runs[0] == runs[1]
    assert sum(runs[0][-5:]) < 0.6 * sum(runs[0][:5])


def test_without_next_the_loss_is_that_of_the_tokens():
    model = BertForPretraining(25, bert_config(16, 4, 1, 24), 24)
    batch = next(pretraining_batches(documents(), TOKENIZER, 8, seed=0))
    tokens, following = model(batch.text)
    alone = pretraining_loss(model, batch, use_next=False)
    assert_close(alone, masked_loss(tokens, batch.labels))
    both = pretraining_loss(model, batch)
    assert_close(both, alone + F.cross_entropy(following, batch.is_next))


def test_scores_count_chosen_tokens_and_pairs():
    class Knows(torch.nn.Module):
        """Says token 7 everywhere, and that B always follows."""

        bias = torch.zeros(25)

        def forward(self, text):
            next_logits = torch.tensor([[0.0, 1.0]]).expand(len(text.ids), 2)
            return F.one_hot(torch.full_like(text.ids, 7), 25).float(), next_logits

    batches = list(islice(pretraining_batches(documents(), TOKENIZER, 50, 0), 3))
    labels = torch.cat([b.labels.flatten() for b in batches])
    chosen = labels[labels != IGNORE].tolist()
    found = pretraining_scores(Knows(), batches)
    assert found["mlm"] == pytest.approx(chosen.count(7) / len(chosen))
    follows = torch.cat([b.is_next for b in batches]).float().mean().item()
    assert found["nsp"] == pytest.approx(follows)


def test_messages_of_the_loss():
    with pytest.raises(ValueError, match=r"labels should be \(B, T\)"):
        masked_loss(torch.zeros(1, 3, 25), torch.zeros(1, 4).long())
