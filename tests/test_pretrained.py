"""Real weights in our modules against the same weights in `transformers`."""

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModel, AutoModelForCausalLM

from utils.chat import CHAT_TOKENS
from utils.corpora import shakespeare_text
from utils.generation import generate
from utils.packages import minilm_file, smollm2_file
from utils.pretrained import minilm, shakespeare, small_gpt, smollm2
from utils.recipes import text_loss
from utils.stories import stories
from utils.weights import load_weights

PROMPTS = [
    "The capital of France is",
    "Once upon a time",
    "def fibonacci(n):",
    "2 + 2 =",
    "Water boils at",
    "The opposite of hot is",
    "Dear Sir or Madam,",
    "Die Hauptstadt von Deutschland ist",
    "To be, or not to be,",
    "A list of fruits: apple,",
    "The sun rises in the",
    "SELECT name FROM",
    "My favourite colour is",
    "In 1969, humans first",
    "A triangle has",
    "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n",
    "She opened the door and",
    "Photosynthesis is",
    "The quick brown fox",
    "1, 2, 3, 4,",
]


@pytest.fixture(scope="module")
def ours():
    return smollm2()


@pytest.fixture(scope="module")
def theirs():
    path = smollm2_file()
    return AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()


@torch.no_grad()
def test_smollm2_logits_equal_transformers(ours, theirs):
    model, tokenizer = ours
    for prompt in PROMPTS[:5]:
        ids = torch.tensor([tokenizer.encode(prompt)])
        got, want = model(ids)[0], theirs(ids).logits
        assert (got - want).abs().max() < 1e-3 * want.abs().max()


@torch.no_grad()
def test_smollm2_writes_what_transformers_writes(ours, theirs):
    model, tokenizer = ours
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer.encode(prompt)])
        want = theirs.generate(
            ids, max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        found = generate(model, ids, n_new=6, temperature=0)
        assert found[0] == want[0, ids.shape[1] :].tolist(), prompt


def test_smollm2_answers(ours):
    model, tokenizer = ours
    text = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n"
    ids = torch.tensor([tokenizer.encode(text + "<|im_start|>assistant\n")])
    stop = [tokenizer.specials["<|im_end|>"]]
    (answer,) = generate(model, ids, n_new=20, stop=stop, temperature=0)
    assert tokenizer.decode(answer) == "The capital of France is Paris."


@torch.no_grad()
def test_minilm_states_equal_transformers():
    model, tokenizer = minilm()
    folder = minilm_file("model.safetensors").parent
    theirs = AutoModel.from_pretrained(folder).eval()
    rows = [tokenizer.encode(s) for s in ("A cat sat.", "Unaffable students sing!")]
    n = max(map(len, rows))
    ids = torch.tensor([row + [0] * (n - len(row)) for row in rows])
    mask = torch.tensor([[i < len(row) for i in range(n)] for row in rows])
    segments = torch.zeros_like(ids)
    segments[1, 3:] = 1
    want = theirs(
        ids, attention_mask=mask.long(), token_type_ids=segments
    ).last_hidden_state
    got = model(ids, mask, segments).states
    assert_close(got[mask], want[mask], atol=1e-5, rtol=0)


def test_similar_sentences_have_similar_vectors():
    model, tokenizer = minilm()

    @torch.no_grad()
    def vector(text):
        ids = torch.tensor([tokenizer.encode(text)])
        return torch.nn.functional.normalize(model(ids).states.mean(1)[0], dim=0)

    cat, kitten, tax = map(
        vector,
        ("A cat sleeps on the sofa.", "The kitten naps on the couch.", "Pay taxes."),
    )
    assert cat @ kitten > cat @ tax + 0.3


@pytest.mark.parametrize("kind", ["characters", "tokens"])
def test_the_shakespeare_models_have_the_loss_that_their_files_tell(kind):
    model, tokenizer = shakespeare(kind)
    loss = load_weights(f"shakespeare_{kind}")[1]["loss"]
    text = shakespeare_text()[1]
    if kind == "characters":
        assert set(text) <= set(tokenizer.tokens)
        text = list(text)
    ids = torch.tensor(tokenizer.encode(text))
    assert text_loss(model, ids, 128) == pytest.approx(loss, abs=2e-3)


def test_shakespeare_names_what_there_is():
    with pytest.raises(ValueError, match='"characters" or "tokens", got .words.'):
        shakespeare("words")


@pytest.mark.parametrize("name", ["worksheets", "stories"])
def test_the_word_models_have_the_loss_that_their_files_tell(name):
    model, vocab = small_gpt(name)
    held_out = [[w for s in story for w in s.words] for story in stories(200)]
    assert all(word in vocab for story in held_out for word in story)
    ids = [i for story in held_out for i in [*vocab.encode(story), vocab.eos]]
    loss = load_weights(name)[1]["loss"]
    assert text_loss(model, torch.tensor(ids), 128) == pytest.approx(loss, abs=2e-3)
    assert all(token in vocab for token in CHAT_TOKENS) and not model.training


def test_the_word_models_are_named():
    with pytest.raises(ValueError, match='"worksheets" or "stories", got .letters.'):
        small_gpt("letters")
