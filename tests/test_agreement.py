import pytest
import torch
from torch.testing import assert_close

from utils.agreement import (
    RecurrentLM,
    agreement_sentences,
    agrees,
    language_model,
    next_word_loss,
    sentence_batches,
)
from utils.grammar import INTRANSITIVE, PEOPLE
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train

SENTENCES = agreement_sentences(300, seed=0)
VOCAB = Vocab.from_sentences(s.words for s in SENTENCES)
PLURALS = {row[1] for row in PEOPLE} | {row[1] for row in INTRANSITIVE}
KINDS = ["Transformer", "GRU", "GRU + attention"]


def test_the_verb_has_the_number_of_the_subject_and_the_other_form_has_not():
    for s in SENTENCES:
        plural = s.words[1] in PLURALS
        assert (s.words[s.verb] in PLURALS) == plural
        assert (s.other in PLURALS) != plural
        assert s.other != s.words[s.verb]
        assert s.distance == len(s.words) - 4


def test_attracted_means_that_the_nearest_noun_disagrees():
    people_and_places = {w for row in PEOPLE for w in row[:2]}
    for s in SENTENCES:
        if s.distance == 0:
            assert not s.attracted
        elif s.words[s.verb - 1] in people_and_places:
            continue
        else:  # a relative clause ends in a verb: its subject is the nearest noun
            nearest = s.words[s.verb - 2]
            if nearest in people_and_places:
                assert s.attracted == ((nearest in PLURALS) != (s.words[1] in PLURALS))


def test_the_same_seed_gives_the_same_sentences_and_modifiers_are_counted():
    assert agreement_sentences(20, seed=3) == agreement_sentences(20, seed=3)
    assert {s.distance for s in agreement_sentences(20, max_modifiers=0)} == {0}
    assert max(s.distance for s in SENTENCES) <= 24
    share = sum(s.attracted for s in SENTENCES) / len(SENTENCES)
    assert 0.3 < share < 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_no_model_sees_the_future(kind):
    model = language_model(kind, 20, d_model=8).double()
    ids = torch.randint(20, (2, 7))
    later = ids.clone()
    later[:, 5] = (later[:, 5] + 1) % 20
    before, after = model(ids)[0], model(later)[0]
    assert_close(before[:, :5], after[:, :5], atol=0, rtol=0)
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_the_first_position_attends_to_itself_alone():
    model = RecurrentLM(20, 8, attention=True)
    ids = torch.randint(20, (1, 3))
    state = model.gru(model.embedding(ids))[0][:, :1]
    mixed = torch.tanh(model.mix(torch.cat([state, state], dim=-1)))
    assert_close(model(ids)[0][:, :1], model.out(mixed))


class Oracle(torch.nn.Module):
    """Gives the words of one list a high logit."""

    def __init__(self, words):
        super().__init__()
        self.scores = torch.nn.Parameter(torch.zeros(len(VOCAB)))
        with torch.no_grad():
            self.scores[VOCAB.encode(words)] = 1.0

    def forward(self, ids):
        return (self.scores.expand(*ids.shape, -1),)


def test_agrees_counts_the_right_form():
    always_plural = Oracle([row[1] for row in INTRANSITIVE])
    found = agrees(always_plural, SENTENCES, VOCAB)
    assert found == [s.words[1] in PLURALS for s in SENTENCES]


def test_a_model_learns_short_agreement():
    short = agreement_sentences(300, seed=1, max_modifiers=0)
    seed_all(0)
    model = language_model("GRU", len(VOCAB), d_model=32)
    batches = sentence_batches(short, VOCAB, 32)
    config = TrainConfig(n_steps=80, lr=1e-2, n_warmup=5)
    losses = train(model, batches, next_word_loss, config)
    assert losses[-1] < losses[0] / 1.5
    assert sum(agrees(model, short, VOCAB)) > 0.95 * len(short)


def test_messages():
    with pytest.raises(ValueError, match="kind should be .* got 'LSTM'"):
        language_model("LSTM", 20)
    with pytest.raises(ValueError, match="n_sentences should be 1 or more"):
        agreement_sentences(0)
