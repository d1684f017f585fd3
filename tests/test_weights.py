"""The checkpoints that are in git, and the command that trains them."""

import argparse
import json

import pytest
import torch

from tools import pretrain
from utils import weights
from utils.weights import WEIGHTS, load_weights

NAMES = sorted(pretrain.CHECKPOINTS)
LARGEST, ALL = 4e6, 12e6  # bytes


def test_every_checkpoint_can_be_trained_again_and_is_small():
    files = {path.stem: path for path in WEIGHTS.glob("*.safetensors")}
    assert sorted(files) == NAMES
    sizes = [path.stat().st_size for path in files.values()]
    assert max(sizes) <= LARGEST and sum(sizes) <= ALL


@pytest.mark.parametrize("name", NAMES)
def test_each_tells_how_it_was_trained(name):
    tensors, info = load_weights(name)
    assert info["command"].startswith(f"python -m tools pretrain {name} --seed ")
    assert {"seed", "data", "seconds", "loss", "loss_is", "config"} <= set(info)
    assert all(t.dtype == torch.float32 for t in tensors.values())
    assert all(t.isfinite().all() for t in tensors.values())


def test_no_such_checkpoint():
    with pytest.raises(ValueError, match="shakespeare_characters, .*got 'milton'"):
        load_weights("milton")


def test_the_command_trains_and_writes_both_files(tmp_path, monkeypatch, capsys):
    for module in (pretrain, weights):
        monkeypatch.setattr(module, "WEIGHTS", tmp_path)
    monkeypatch.setattr(pretrain, "UNFINISHED", tmp_path / "unfinished")
    texts = ("to be or not to be that is the question " * 50, "to be or not " * 40)
    monkeypatch.setattr(pretrain, "shakespeare_text", lambda: texts)
    name = "shakespeare_characters"
    assert pretrain.main([name, "--steps", "2", "--seed", "3"]) == 0
    tensors, info = load_weights(name)
    assert info["command"] == f"python -m tools pretrain {name} --seed 3 --steps 2"
    assert info["vocab"] == "".join(sorted(set(texts[0])))
    # The loss is that of the stored numbers, 16 bits each.
    options = argparse.Namespace(name=name, steps=2, seed=3)
    pretrain.seed_all(3)
    model, again = pretrain.characters(options)
    assert again["loss"] == info["loss"]
    for key, value in model.state_dict().items():
        assert torch.equal(tensors[key], value)
    assert json.loads((tmp_path / f"{name}.json").read_text())["loss"] < 5
    assert not (tmp_path / "unfinished" / f"{name}.partial").exists()
    assert "nats a token" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["worksheets", "stories"])
def test_a_word_model_is_trained_on_documents_in_a_seeded_order(
    name, tmp_path, monkeypatch
):
    for module in (pretrain, weights):
        monkeypatch.setattr(module, "WEIGHTS", tmp_path)
    monkeypatch.setattr(pretrain, "UNFINISHED", tmp_path / "unfinished")
    monkeypatch.setattr(pretrain, "N_PAGES", 40)
    monkeypatch.setattr(pretrain, "N_STORIES", 240)
    infos = []
    for seed in ("3", "3", "4"):
        assert pretrain.main([name, "--steps", "2", "--seed", seed]) == 0
        infos.append(load_weights(name))
    (first, info), (again, _), (other, _) = infos
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["output.weight"], other["output.weight"])
    assert "40 stories" in info["data"] and "200 stories held out" in info["loss_is"]
    assert ("40 pages" in info["data"]) == (name == "worksheets")
    assert info["config"]["d_model"] == {"worksheets": 128, "stories": 64}[name]
    sheet_words = {"task", "list", "answer"}
    assert (sheet_words <= set(info["vocab"])) == (name == "worksheets")
