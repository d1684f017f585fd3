"""Chapter 11's experiment: its record holds what the chapter reads from it."""

import json

import pytest

from tools.experiments import RECORDS
from tools.rlhf_experiments import (
    BETAS,
    DISTANCES,
    N_COMPARISONS,
    RUNS,
    by_distance,
    truth,
)


def steps(kl, reward, true):
    rows = zip(kl, reward, true, strict=True)
    return [{"kl": k, "reward": r, "true": t} for k, r, t in rows]


def test_rewards_by_distance_are_read_between_rounds():
    kl = [0, 1, 4, 9, 16, 25, 36]  # distances 0, 1, ..., 6
    line = [float(i) for i in range(7)]
    found = by_distance(steps(kl, line, [-x for x in line]))
    at = {d: i for i, d in enumerate(found["distance"])}
    # A straight line stays one under a mean over 5 rounds, away from the ends.
    assert found["proxy_by_distance"][at[3.0]] == 3.0
    assert found["proxy_by_distance"][at[2.5]] == 2.5
    assert found["true_by_distance"][at[3.5]] == -3.5
    assert found["proxy_by_distance"][at[6.5]] is None
    assert len(found["true_by_distance"]) == len(DISTANCES)


def test_a_kl_that_falls_back_does_not_turn_the_axis_round():
    line = [float(i) for i in range(8)]
    found = by_distance(steps([0, 1, 4, 9, 1, 16, 25, 36], line, line))
    at = {d: i for i, d in enumerate(found["distance"])}
    # Distance 3 is reached in rounds 3 and 4, distance 4 in round 5.
    assert found["proxy_by_distance"][at[3.5]] == 4.5
    proxy = [x for x in found["proxy_by_distance"] if x is not None]
    assert proxy == sorted(proxy) and len(proxy) == 13  # 0, 0.5, ..., 6


def test_an_estimate_of_the_kl_below_0_is_the_start():
    found = by_distance(steps([-0.25, 1, 4], [0, 1, 2], [0, 0, 0]))
    assert found["proxy_by_distance"][:6] == [0.6, 0.8, 1.0, 1.2, 1.4, None]


def test_truth_takes_the_thing_from_the_request():
    replies = ["tom has a kite . tom is merry and glad ."] * 2
    texts = ["tell me a story with a kite", "please tell a story about a hat"]
    assert truth(texts, replies) == [4.0, 2.0]


@pytest.fixture(scope="module")
def runs():
    return json.loads((RECORDS / "rlhf.json").read_text("utf-8"))["runs"]


def test_the_record_has_every_run_of_today(runs):
    wanted = {("start", None), ("best of n", "2000 comparisons")}
    for n in N_COMPARISONS:
        names = ["reward model", *RUNS[n], *(f"DPO, beta {beta}" for beta in BETAS[n])]
        wanted |= {(name, f"{n} comparisons") for name in names}
    for seed in {run["seed"] for run in runs}:
        of_seed = [run for run in runs if run["seed"] == seed]
        found = [(run["model"], run.get("variant")) for run in of_seed]
        assert set(found) == wanted and len(found) == len(wanted)


def test_no_policy_diverged_and_a_kl_weight_holds_it(runs):
    for run in runs:
        if run["model"][:3] in ("PPO", "GRP", "DPO"):
            numbers = [run[key] for key in ("kl", "proxy", "true", "entropy", "length")]
            assert all(abs(x) < 1000 for x in numbers)
    far = {
        (run["seed"], run["variant"]): run["kl"]
        for run in runs
        if run["model"] == "PPO, no KL"
    }
    for run in runs:
        if run["model"] == "PPO, KL 0.2":
            assert run["kl"] < far[run["seed"], run["variant"]] / 3
