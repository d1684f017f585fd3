"""Chapter 07's experiments: few labels, and what each objective is worth."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from torch import Tensor

from tools.experiments import told
from utils.attention import causal_mask
from utils.bert import (
    Bert,
    BertForPretraining,
    bert_config,
    pretraining_loss,
    pretraining_scores,
)
from utils.finetuning import answers, fine_tune, scores
from utils.masking import Pretraining, pretraining_batches
from utils.packages import minilm_file
from utils.stories import stories, used_pieces
from utils.story_tasks import TASKS, task_examples
from utils.training import TrainConfig, seed_all, train
from utils.transformer import Memory
from utils.wordpiece import WordPiece

COUNTS = (32, 128, 512)
TUNING = TrainConfig(n_steps=100, lr=1e-3, n_warmup=10, show_progress=False)
DATA = {task: task_examples(task) for task in TASKS}
STORIES = stories(6000)


class LeftOnly(Bert):
    """The same encoder, in which a token sees only itself and what is before it."""

    def look(
        self, ids: Tensor, mask: Tensor | None = None, segments: Tensor | None = None
    ) -> tuple[Memory, list[Tensor]]:
        """As Bert's, with a causal mask."""
        causal = causal_mask(ids.shape[1], ids.device)
        x = self.embedding(ids, segments)
        x, weights, _ = self.stack(x, mask[:, None] & causal)
        return Memory(x, mask), weights


def material() -> tuple[WordPiece, list, list]:
    """The tokenizer, the documents to train on and those held out."""
    texts = [s.text for story in STORIES for s in story]
    for training, _, _ in DATA.values():
        texts += [text for e in training for text in e[:2] if text]
    tokenizer = used_pieces(WordPiece.from_file(minilm_file("vocab.txt")), texts)
    documents = [[tokenizer.encode(s.text) for s in story] for story in STORIES]
    return tokenizer, documents[500:], documents[:500]


def small_bert(tokenizer: WordPiece, seed: int) -> BertForPretraining:
    """The chapter's model, not yet trained."""
    seed_all(seed)
    config = bert_config(d_model=64, n_heads=4, n_layers=2, d_ff=256)
    return BertForPretraining(len(tokenizer), config, max_len=96)


def pretrained(
    documents: Sequence,
    tokenizer: WordPiece,
    seed: int,
    n_steps: int,
    use_next: bool = True,
    left_only: bool = False,
) -> BertForPretraining:
    """Pre-train the chapter's model, with or without NSP and the right context."""
    model = small_bert(tokenizer, seed)
    if left_only:
        model.bert.__class__ = LeftOnly
    batches = pretraining_batches(documents, tokenizer, 32, seed)
    loss = partial(pretraining_loss, use_next=use_next)
    config = TrainConfig(n_steps=n_steps, lr=3e-3, show_progress=False)
    train(model, batches, loss, config)
    return model


def held_out(documents: Sequence, tokenizer: WordPiece) -> Iterator[Pretraining]:
    """Ten batches of 64 pairs that no model was trained on."""
    return islice(pretraining_batches(documents, tokenizer, 64, seed=1000), 10)


def tuned_scores(
    model: BertForPretraining, task: str, n: int, tokenizer: WordPiece, seed: int
) -> dict[str, float]:
    """Fine-tune on n labels, a choice of its own for each seed; score on the test."""
    training, _, test = DATA[task]
    labelled = (training[seed * 333 :] + training)[:n]
    tuned = fine_tune(model, task, labelled, tokenizer, TUNING, seed)
    found = scores(task, answers(tuned, task, test, tokenizer), test)
    return {name: round(value, 3) for name, value in found.items()}


def labels(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """Pre-trained against from scratch, over the number of labels."""
    tokenizer, documents, rest = material()
    runs = []
    for seed in seeds:
        models = {
            "pre-trained": pretrained(documents, tokenizer, seed, n_steps),
            "from scratch": small_bert(tokenizer, seed),
        }
        for variant, model in models.items():
            result = {"variant": variant, "seed": seed}
            found = pretraining_scores(model, held_out(rest, tokenizer))
            result |= {name: round(value, 3) for name, value in found.items()}
            result["tasks"] = {
                task: {n: tuned_scores(model, task, n, tokenizer, seed) for n in COUNTS}
                for task in TASKS
            }
            runs.append(told(result))
    return runs


def objectives(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """MLM with NSP, MLM alone, and MLM that sees only the left.

    The last reads neither pairs nor sentences: its [CLS] comes first and sees nothing.
    """
    tokenizer, documents, rest = material()
    variants = {
        "MLM and NSP": {},
        "MLM only": {"use_next": False},
        "MLM only, left context": {"use_next": False, "left_only": True},
    }
    runs = []
    for seed in seeds:
        for variant, options in variants.items():
            model = pretrained(documents, tokenizer, seed, n_steps, **options)
            found = pretraining_scores(model, held_out(rest, tokenizer))
            result = {"variant": variant, "seed": seed, "mlm": round(found["mlm"], 3)}
            if not options:
                result["nsp"] = round(found["nsp"], 3)
            tasks = ("span", "tagging") if "left_only" in options else TASKS
            result["tasks"] = {
                task: {128: tuned_scores(model, task, 128, tokenizer, seed)}
                for task in tasks
            }
            runs.append(told(result))
    return runs
