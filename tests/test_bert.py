import pytest
import torch
from torch.testing import assert_close
from transformers import BertConfig, BertModel

from utils.bert import Bert, bert_config
from utils.pretrained import BERT_EMBEDDINGS, BERT_PARTS

IDS = torch.randint(50, (2, 6), generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])


def pair() -> tuple[Bert, BertModel]:
    """Ours and the library's, with the same weights."""
    ours = Bert(50, bert_config(16, 4, 2, 24), max_len=10).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_(std=0.3, generator=generator)
    theirs = BertModel(
        BertConfig(
            vocab_size=50,
            hidden_size=16,
            num_attention_heads=4,
            num_hidden_layers=2,
            intermediate_size=24,
            max_position_embeddings=10,
        ),
        add_pooling_layer=False,
    ).double()
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
