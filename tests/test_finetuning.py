"""Fine-tuning: labels at the right pieces, losses, spans, scores, learning."""

import math

import pytest
import torch
from torch.testing import assert_close

from utils.bert import BertForPretraining, bert_config
from utils.finetuning import (
    N_OUTPUTS,
    BertForTask,
    answers,
    entities,
    fine_tune,
    scores,
    task_batch,
    task_batches,
    task_loss,
)
from utils.masking import IGNORE
from utils.spans import best_spans, span_loss
from utils.stories import TAGS
from utils.story_tasks import Example, task_examples
from utils.training import TrainConfig
from utils.wordpiece import SPECIALS, WordPiece

DATA = {task: task_examples(task, 60, 1, 10) for task in N_OUTPUTS}
WORDS = {w for d in DATA.values() for p in d for e in p for t in e[:2] if t
         for w in t.split()}  # fmt: skip
TOKENIZER = WordPiece([*SPECIALS, *sorted(WORDS), "sun", "##flowers"])


def small(seed: int = 0) -> BertForPretraining:
    torch.manual_seed(seed)
    return BertForPretraining(len(TOKENIZER), bert_config(32, 4, 1, 32), 96)


def test_a_word_is_tagged_at_its_first_piece():
    example = Example("anna has sunflowers .", None, ("B-PER", "O", "B-OBJ", "O"))
    batch = task_batch("tagging", [example], TOKENIZER)
    person, thing = TAGS.index("B-PER"), TAGS.index("B-OBJ")
    assert batch.labels.tolist() == [[IGNORE, person, 0, thing, IGNORE, 0, IGNORE]]
    assert batch.words == [[1, 2, 3, 5]]


def test_a_span_is_sought_in_the_second_text_only():
    example = Example("who has it ?", "anna has sunflowers .", (2, 3))
    batch = task_batch("span", [example], TOKENIZER)
    # [CLS] who has it ? [SEP] anna has sun ##flowers . [SEP]
    assert batch.labels.tolist() == [[8, 10]]
    assert batch.allowed[0].nonzero()[:, 0].tolist() == [6, 7, 8, 10]
    assert batch.text.segments[0].tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize("task", N_OUTPUTS)
def test_outputs_and_answers_have_the_right_form(task):
    each = task in ("span", "tagging")
    model = BertForTask(small(), N_OUTPUTS[task], each)
    examples = DATA[task][2]
    batch = task_batch(task, examples, TOKENIZER)
    size = (10, batch.text.ids.shape[1]) if each else (10,)
    assert model(batch.text).shape == (*size, N_OUTPUTS[task])
    for said, example in zip(
        answers(model, task, examples, TOKENIZER), examples, strict=True
    ):
        assert type(said) is type(example.label)
        if task == "span":
            assert 0 <= said[0] <= said[1] < len(example.second.split())
        if task == "tagging":
            assert len(said) == len(example.label)


@pytest.mark.parametrize("task", N_OUTPUTS)
def test_it_learns_a_few_examples_by_heart_and_leaves_the_start_alone(task):
    start = small()
    before = {k: v.clone() for k, v in start.state_dict().items()}
    few = DATA[task][0][:8]
    config = TrainConfig(n_steps=60, n_warmup=5, show_progress=False)
    model = fine_tune(start, task, few, TOKENIZER, config)
    first = list(scores(task, answers(model, task, few, TOKENIZER), few).values())[-1]
    assert first > 0.85
    assert all(torch.equal(v, before[k]) for k, v in start.state_dict().items())


def test_tagging_asks_nothing_of_padding_and_later_pieces():
    batch = task_batch("tagging", DATA["tagging"][2], TOKENIZER)
    model = BertForTask(small(), len(TAGS), each_token=True)
    kept = []

    def keep(module, args, out):
        out.retain_grad()
        kept.append(out)

    model.out.register_forward_hook(keep)
    task_loss(model, batch, "tagging").backward()
    size = kept[0].grad.abs().amax(-1)
    assert (size[batch.labels == IGNORE] == 0).all()
    assert (size[batch.labels != IGNORE] > 0).all()


def test_span_loss_by_hand():
    logits = torch.log(torch.tensor([[[0.5, 0.1], [0.25, 0.2], [0.25, 0.7]]]))
    everywhere = torch.ones(1, 3).bool()
    loss = span_loss(logits, torch.tensor([[0, 2]]), everywhere)
    assert_close(loss.item(), -(math.log(0.5) + math.log(0.7)) / 2, atol=1e-6, rtol=0)
    # where no answer may be, no probability goes
    allowed = torch.tensor([[False, True, True]])
    loss = span_loss(logits, torch.tensor([[1, 2]]), allowed)
    want = -(math.log(0.5) + math.log(0.7 / 0.9)) / 2
    assert_close(loss.item(), want, atol=1e-6, rtol=0)


def test_best_spans_equal_a_search():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 8, 2, generator=generator)
    allowed = torch.rand(50, 8, generator=generator) < 0.7
    allowed[:, 0] = True
    found = best_spans(logits, allowed, max_len=3).tolist()
    for row in range(50):
        pairs = [
            (logits[row, i, 0] + logits[row, j, 1], [i, j])
            for i in range(8)
            for j in range(i, min(8, i + 3))
            if allowed[row, i] and allowed[row, j]
        ]
        assert found[row] == max(pairs, key=lambda p: p[0])[1]


def test_entities_and_their_f1():
    tags = ["B-PER", "I-PER", "B-PER", "O", "I-LOC", "I-OBJ"]
    assert entities(tags) == {
        (0, 1, "PER"), (2, 2, "PER"), (4, 4, "LOC"), (5, 5, "OBJ")
    }  # fmt: skip
    example = Example("a b c", None, ("B-PER", "I-PER", "B-LOC"))
    # one of two found ones is right, one of two is found: F1 1/2
    said = [("B-PER", "O", "B-LOC")]
    assert scores("tagging", said, [example]) == {"f1": 0.5}
    assert scores("tagging", [("O", "O", "O")], [example]) == {"f1": 0.0}


def test_scores_of_spans_and_classes_by_hand():
    example = Example("where ?", "anna is near the bench now", (2, 4))
    found = scores("span", [(2, 4), (4, 4)], [example, example])
    # "bench" against "near bench", without the article: precision 1, recall 1/2
    assert found == {"em": 0.5, "f1": pytest.approx((1 + 2 / 3) / 2)}
    pair = Example("a", "b", 1)
    assert scores("pair", [1, 0, 1, 1], [pair] * 4) == {"accuracy": 0.75}


def test_batches_pass_over_all_examples():
    examples = DATA["single"][0][:8]
    batches = task_batches("single", examples, TOKENIZER, batch_size=4, seed=1)
    for _ in range(2):
        seen = torch.cat([next(batches).labels, next(batches).labels])
        assert sorted(seen.tolist()) == sorted(e.label for e in examples)


def test_messages():
    with pytest.raises(ValueError, match="task should be one of .*, got 'quiz'"):
        task_batch("quiz", DATA["pair"][2], TOKENIZER)
    with pytest.raises(ValueError, match="an example or more, got 'pair' with 0"):
        fine_tune(small(), "pair", [], TOKENIZER, TrainConfig())
    with pytest.raises(ValueError, match="said should have 10 answers"):
        scores("pair", [1], DATA["pair"][2])
    with pytest.raises(ValueError, match="n_outputs should be 1 or more"):
        BertForTask(small(), 0)
    with pytest.raises(ValueError, match=r"spans should be \(B, 2\)"):
        span_loss(torch.zeros(1, 3, 2), torch.zeros(1, 3).long(), torch.ones(1, 3))
