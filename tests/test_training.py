import itertools
import json
import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from torch import nn
from torch.testing import assert_close

from utils.records import load_record
from utils.training import TrainConfig, pick_device, seed_all, train

QUIET = {"show_progress": False}


def batches(seed=0):
    generator = torch.Generator().manual_seed(seed)
    while True:
        x = torch.randn(8, 3, generator=generator)
        yield x, x.sum(dim=1, keepdim=True)


def squared(model, batch):
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def build(seed=0):
    seed_all(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 1))


def test_equals_a_bare_loop_of_torch():
    config = TrainConfig(n_steps=10, n_warmup=4, max_grad_norm=0.1, **QUIET)
    model = build()
    losses = train(model, batches(), squared, config)
    twin = build()
    optimizer = torch.optim.AdamW(twin.parameters(), lr=1.0)
    for step, batch in enumerate(itertools.islice(batches(), 10)):
        optimizer.param_groups[0]["lr"] = 3e-3 * min((step + 1) / 4, 1, (10 - step) / 5)
        loss = squared(twin, batch)
        assert loss.item() == pytest.approx(losses[step], rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.cat([p.grad.flatten() for p in twin.parameters()]).norm()
        for p in twin.parameters():
            p.grad *= min(1, 0.1 / (float(norm) + 1e-6))
        optimizer.step()
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert_close(mine, theirs)


def test_same_seed_same_losses_and_they_fall():
    config = TrainConfig(n_steps=200, lr=2e-2, **QUIET)
    first = train(build(), batches(), squared, config)
    assert first == train(build(), batches(), squared, config)
    assert first[-1] < first[0] / 2


def test_frozen_parameters_stay():
    model = build()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    train(model, batches(), squared, TrainConfig(n_steps=3, **QUIET))
    assert torch.equal(model[0].weight, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_stops_and_names_the_step(value):
    def loss_fn(model, batch):
        count.append(1)
        return squared(model, batch) * (value if len(count) == 4 else 1)

    count: list[int] = []
    with pytest.raises(FloatingPointError, match=f"the loss is {value} at step 3"):
        train(build(), batches(), loss_fn, TrainConfig(n_steps=9, **QUIET))


def test_nan_gradient_stops_before_the_step():
    model = nn.Linear(1, 1, bias=False)
    before = model.weight.detach().clone()

    def loss_fn(model, batch):
        return (model.weight * 0).sqrt().sum()

    with pytest.raises(
        FloatingPointError, match="gradient's norm is (nan|inf) at step 0"
    ):
        train(model, itertools.repeat(None), loss_fn, TrainConfig(n_steps=2, **QUIET))
    assert torch.equal(model.weight, before)


SCRIPT = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_training import build, batches, squared
from utils.training import TrainConfig, train
slow = float(sys.argv[2])
def loss_fn(model, batch):
    time.sleep(slow)
    return squared(model, batch)
config = TrainConfig(n_steps=60, checkpoint_every=7, show_progress=False)
print("ready", flush=True)
losses = train(build(), batches(), loss_fn, config, checkpoint=sys.argv[1])
print(json.dumps(losses))
"""


def start(path, slow):
    here = os.path.dirname(__file__)
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), str(slow), here],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(path, slow=0.0):
    out, err = start(path, slow).communicate(timeout=120)
    return json.loads(out.splitlines()[-1]), err


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_resume_gives_the_very_same_losses(tmp_path, how):
    want, _ = finished(tmp_path / "whole.pt")
    path = tmp_path / "cut.pt"
    process = start(path, slow=0.05)
    try:
        end = time.time() + 100
        while not path.exists() and time.time() < end:
            time.sleep(0.02)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode != 0
    saved = len(torch.load(path, weights_only=True)["losses"])
    assert 0 < saved < 60
    if how == signal.SIGINT:
        assert "KeyboardInterrupt: stopped after step" in err
    got, _ = finished(path)
    assert got == want
    assert [p.name for p in tmp_path.glob("*.partial*")] in (
        [],
        [p.name for p in tmp_path.glob(f"*{process.pid}.partial")],
    )


def test_a_finished_run_is_not_trained_again(tmp_path):
    config = TrainConfig(n_steps=5, **QUIET)
    first = train(build(), batches(), squared, config, tmp_path / "a" / "run.pt")
    model = build(seed=1)
    assert train(model, batches(), squared, config, tmp_path / "a" / "run.pt") == first


def test_checkpoint_messages(tmp_path):
    path = tmp_path / "run.pt"
    config = TrainConfig(n_steps=5, **QUIET)
    train(build(), batches(), squared, config, path)
    other = TrainConfig(n_steps=5, lr=1.0, **QUIET)
    with pytest.raises(ValueError, match=r"lr=0.003 \(now 1.0\): use the same config"):
        train(build(), batches(), squared, other, path)
    with pytest.raises(ValueError, match="should be of this model"):
        train(nn.Linear(3, 1), batches(), squared, config, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="delete it to start anew"):
        train(build(), batches(), squared, config, path)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: TrainConfig(n_steps=0), "n_steps should be 1 or more, got 0"),
        (lambda: TrainConfig(lr=0.0), "lr should be above 0"),
        (lambda: TrainConfig(lr=float("nan")), "lr should be above 0, got nan"),
        (lambda: TrainConfig(max_grad_norm=-1.0), "max_grad_norm"),
        (lambda: TrainConfig(decay=1.5), "from 0 to 1"),
        (lambda: TrainConfig(checkpoint_every=0), "checkpoint_every"),
        (lambda: seed_all(-1), "seed should be from 0"),
        (lambda: train(build(), [], squared), "give 1000 batches but ended after 0"),
        (
            lambda: train(build(), batches(), lambda m, b: m(b[0])),
            r"scalar tensor, got \(8, 1\): average it",
        ),
        (lambda: train(build(), batches(), lambda m, b: 1.0), "got float"),
        (
            lambda: train(build().requires_grad_(False), batches(), squared),
            "nothing to train",
        ),
        (lambda: load_record("no such"), "got 'no such'"),
    ],
)
def test_messages(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_learning_rate_rises_stays_and_falls():
    config = TrainConfig(n_steps=100, lr=1.0, n_warmup=10, decay=0.5)
    assert config.lr_at(0) == pytest.approx(0.1)
    assert config.lr_at(9) == config.lr_at(50) == 1.0
    assert config.lr_at(75) == pytest.approx(0.5)
    assert config.lr_at(99) == pytest.approx(0.02)
    assert TrainConfig(n_warmup=0, decay=0.0).lr_at(0) == 3e-3


def test_pick_device():
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_progress_bar_leaves_no_trace_in_a_notebook():
    """It is drawn while training, and the stored outputs hold nothing of it."""
    code = """
import time, torch
from torch import nn
from utils.training import TrainConfig, train
print("before")
def loss_fn(model, batch):
    time.sleep(0.05)
    return model(batch).square().mean()
losses = train(nn.Linear(2, 1), iter(lambda: torch.ones(1, 2), None), loss_fn,
               TrainConfig(n_steps=20))
print("after")
"""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    client = NotebookClient(book, timeout=120, kernel_name="python3")
    drawn = []
    handle = client.process_message

    def watch(message, cell, index):
        if message["msg_type"] == "update_display_data":
            drawn.append(message["content"]["data"].get("text/plain", ""))
        return handle(message, cell, index)

    client.process_message = watch
    client.execute()
    outputs = book.cells[0].outputs
    assert any("/20" in text and "loss" in text for text in drawn)
    left = [o for o in outputs if o.output_type != "stream"]
    assert [o.get("data") for o in left] in ([], [{}])
    text = "".join(o.text for o in outputs if o.output_type == "stream")
    assert text == "before\nafter\n"
