"""Preferences: nothing is lost on the way, and the fit is the lowest point."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.preferences import (
    FEATURES,
    PAIRS,
    MalformedLines,
    Preference,
    features,
    fit_bradley_terry,
    load_preferences,
    read_json_lines,
    to_json_lines,
)

ODD = [
    "\u2028a\u2029",
    "\x85\x0b\x1c",
    "\ufeff.",
    "👩‍👩‍👧‍👦",
    "</script>\\\"'",
    "a\r\nb",
    "\ud800x",
]
words = st.one_of(st.text(), st.sampled_from(ODD)).filter(str.strip)
preferences = st.builds(Preference, words, words, words).filter(lambda p: p[1] != p[2])
GOOD = Preference("2+2?", "4", "5")


# --- JSON lines ---------------------------------------------------------------


@given(st.lists(preferences), st.booleans(), st.booleans(), st.booleans())
def test_a_round_trip_keeps_every_character(
    tmp_path_factory, given_, bom, windows, blank
):
    text = to_json_lines(given_)
    assert read_json_lines(text) == given_
    assert len(text.splitlines()) == len(given_), "another reader would see more lines"
    if blank:
        text = "\n \n" + text.replace("\n", "\n\n")
    if windows:
        text = text.replace("\n", "\r\n")
    path = tmp_path_factory.getbasetemp() / "preferences.jsonl"
    path.write_bytes(("\ufeff" * bom + text).encode())
    assert load_preferences(path) == load_preferences(str(path)) == given_


@given(st.lists(preferences, max_size=4))
def test_others_can_read_what_we_write_and_we_what_they_do(given_):
    by_hand = [json.loads(line) for line in to_json_lines(given_).split("\n")[:-1]]
    assert by_hand == [preference._asdict() for preference in given_]
    for ascii_ in (True, False):
        theirs = "\n".join(json.dumps(row, ensure_ascii=ascii_) for row in by_hand)
        if not any("\ud800" in part for row in given_ for part in row) or ascii_:
            assert read_json_lines(theirs) == given_


def test_very_long_lines_and_further_keys_are_read(tmp_path):
    long = Preference("p" * 10**6, "ä" * 10**6, "l")
    row = json.dumps(long._asdict() | {"by": "me", "score": [1, None]})
    assert read_json_lines(row) == [long]


def line(**changes) -> str:
    """GOOD as a JSON line, with keys changed, or left out where None."""
    found = GOOD._asdict() | changes
    return json.dumps({key: v for key, v in found.items() if v is not Ellipsis})


MALFORMED = {
    "not json": (line()[:-1], r"is not JSON: Expecting ',' delimiter at character \d+"),
    "two objects": (line() + line(), "is not JSON: Extra data"),
    "a list": ("[1]", "is a list, not an object"),
    "null": ("null", "is a NoneType, not an object"),
    "nothing": ("{}", "prompt is absent; its keys are none"),
    "absent": (
        line(losing_response=...),
        "losing_response is absent; its keys are pro",
    ),
    "a number": (line(prompt=3), "prompt is 3, not a string"),
    "no value": (line(winning_response=None), "winning_response is null, not a str"),
    "empty": (line(prompt=" \n"), "prompt is empty"),
    "equal": (line(losing_response="4"), "winning_response and losing_response are th"),
    "twice": (line()[:-1] + ', "prompt": "b"}', "is not JSON: a key stands twice"),
    "deep": ("[" * 10**5, "is not JSON: "),
    "long number": ("9" * 5000, "is not JSON: |is a int"),
    "bytes": (line(prompt="\x7f").replace("\\u007f", "\udcff"), "is not UTF-8"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_line_is_named_and_the_others_are_kept(tmp_path, what):
    bad, message = MALFORMED[what]
    second = GOOD._replace(prompt="3+1?")
    text = to_json_lines([GOOD]) + "\n" + bad + "\n" + to_json_lines([second])
    path = tmp_path / "preferences.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=f"line 3: (.*)({message})") as caught:
        load_preferences(path)
    assert caught.value.preferences == [GOOD, second]
    [(number, _, kept)] = caught.value.faults
    assert (number, kept) == (3, bad)
    assert "of 3 lines 1 should be mended" in str(caught.value)
    assert "take error.preferences" in str(caught.value)


def test_every_malformed_line_is_named():
    rng = np.random.default_rng(0)
    bad = {int(n) for n in rng.permutation(200)[:40]}
    text = "\n".join("{oops" if n in bad else line(prompt=str(n)) for n in range(200))
    with pytest.raises(MalformedLines, match="of 200 lines 40") as caught:
        read_json_lines(text)
    assert [fault[0] - 1 for fault in caught.value.faults] == sorted(bad)
    assert all(f"line {n + 1}: " in str(caught.value) for n in bad)
    kept = [int(preference.prompt) for preference in caught.value.preferences]
    assert kept == [n for n in range(200) if n not in bad]


def test_messages(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="give '{.* to read_json_lines"):
        load_preferences(line())
    with pytest.raises(ValueError, match=r"preferences\[1\]: .* are the same; leave"):
        to_json_lines([GOOD, Preference("a", "b", "b")])
    with pytest.raises(FileNotFoundError):
        load_preferences(tmp_path / "absent.jsonl")
    (tmp_path / "utf16.jsonl").write_text(line() + "\n", "utf-16")
    with pytest.raises(MalformedLines, match="line 1: is not UTF-8"):
        load_preferences(tmp_path / "utf16.jsonl")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mine.jsonl").write_text(line(), "utf-8")
    assert load_preferences("~/mine.jsonl") == [GOOD]


# --- the set that ships -------------------------------------------------------


def test_the_set_that_ships_leaves_room_for_a_taste():
    shipped = load_preferences(PAIRS)
    assert len(shipped) >= 12
    assert len({preference.prompt for preference in shipped}) == len(shipped)
    assert "RI = 2.44·((Mp/Mp′)^(1/3))·Rp" in shipped[0].prompt
    texts = [text for pair in shipped for text in pair[1:]]
    assert all(len(text) <= 300 for text in texts)
    assert not any(mark in "".join(texts) for mark in "$<>`")  # nothing to typeset
    counts = features(texts)
    differences = counts[::2] - counts[1::2]
    assert np.linalg.matrix_rank(differences) == len(FEATURES)
    assert ((differences != 0).sum(0) >= 3).all(), "each feature is asked for"
    spread = differences / counts.std(0)
    cosines = np.corrcoef(spread.T) - np.eye(len(FEATURES))
    assert np.abs(cosines).max() < 0.8, "no two features always come together"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("", [0, 0, 0, 0, 0, 0]),
        ("Perhaps.", [1, 7, 0, 0, 0, 1]),
        ("It may, for example, be 42.", [6, 17 / 6, 1, 1, 0, 1]),
        ("You do; IMAGINE your joy", [5, 19 / 5, 1, 0, 1, 0]),
        ("youth, mayor, supposed, ½", [4, 18 / 4, 0, 0, 0, 0]),  # parts of words
        ("Größe\u2028naïve", [2, 5, 0, 0, 0, 0]),
    ],
)
def test_features_count_what_they_say(response, expected):
    np.testing.assert_allclose(features([response]), [expected])
    assert features([]).shape == (0, len(FEATURES))


# --- the fit ------------------------------------------------------------------


def loss(w: torch.Tensor, d: torch.Tensor, l2: float) -> torch.Tensor:
    return torch.nn.functional.softplus(-(d @ w)).sum() + l2 / 2 * w @ w


def by_lbfgs(differences: np.ndarray, l2: float) -> np.ndarray:
    """The same minimum, found by torch."""
    d = torch.from_numpy(differences)
    w = torch.zeros(d.shape[1], dtype=torch.float64, requires_grad=True)
    settings_ = dict(max_iter=2000, tolerance_grad=1e-13, tolerance_change=0)
    optimizer = torch.optim.LBFGS([w], line_search_fn="strong_wolfe", **settings_)

    def closure():
        optimizer.zero_grad()
        value = loss(w, d, l2)
        value.backward()
        return value

    optimizer.step(closure)
    return w.detach().numpy()


@pytest.mark.parametrize("seed", range(20))
def test_the_fit_is_the_minimum(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 40), rng.integers(1, 9)
    differences = rng.normal(scale=2, size=shape)
    l2 = 10.0 ** rng.uniform(-2, 1)
    ours = fit_bradley_terry(differences, l2)
    np.testing.assert_allclose(ours, by_lbfgs(differences, l2), atol=1e-6)
    w = torch.from_numpy(ours).requires_grad_()
    loss(w, torch.from_numpy(differences), l2).backward()
    assert w.grad.abs().max() < 1e-9


# Newton's whole steps leap to and fro here for ever.
LEAPS = np.array([[20.0, -36.0], [0.0, -1.0], [-16.0, 22.0]])


def test_steps_that_would_leap_over_the_minimum_are_halved():
    w = torch.from_numpy(fit_bradley_terry(LEAPS, 1e-4)).requires_grad_()
    loss(w, torch.from_numpy(LEAPS), 1e-4).backward()
    assert w.grad.abs().max() < 1e-9


numbers = st.floats(-1e3, 1e3, allow_subnormal=False)


@settings(deadline=None)
@given(
    st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=30),
    st.floats(1e-3, 1e3),
)
def test_the_slope_is_zero_whatever_the_choices(rows, l2):
    d = np.array(rows)
    w = fit_bradley_terry(d, l2)
    slope = l2 * w - d.T @ np.exp(-np.logaddexp(0, d @ w))
    assert np.abs(slope).max() < 1e-9 * (1 + l2 + np.abs(d).sum())


def test_one_choice_gives_a_finite_answer_along_it():
    d = np.array([[2.0, -1.0, 0.0]])
    w = fit_bradley_terry(d, l2=0.5)
    times = w[0] / 2
    np.testing.assert_allclose(w, times * d[0])
    assert math.isclose(0.5 * times, 1 / (1 + math.exp(5 * times)))


def test_choices_that_never_contradict_stay_finite_and_grow_with_less_penalty():
    d = np.array([[1.0], [2.0]])
    weak, strong = (fit_bradley_terry(d, l2)[0] for l2 in (1e-6, 1.0))
    assert np.isfinite(weak) and weak > 5 > strong > 0


def test_contradictions_cancel_and_the_other_taste_is_the_mirror_image():
    d = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(fit_bradley_terry(np.vstack([d, -d])), 0, atol=1e-12)
    np.testing.assert_allclose(fit_bradley_terry(-d), -fit_bradley_terry(d))
    order = np.random.default_rng(1).permutation(9)
    np.testing.assert_allclose(fit_bradley_terry(d[order]), fit_bradley_terry(d))


def test_a_known_taste_comes_back():
    rng = np.random.default_rng(0)
    true = np.array([1.0, -0.5, 0.0])
    d = rng.normal(size=(20_000, 3))
    d *= np.where(rng.random(len(d)) < 1 / (1 + np.exp(-d @ true)), 1, -1)[:, None]
    np.testing.assert_allclose(fit_bradley_terry(d), true, atol=0.06)


def test_the_fit_s_messages():
    with pytest.raises(ValueError, match="differences should have 2 axes"):
        fit_bradley_terry(np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        fit_bradley_terry([[math.nan]])
    for l2 in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="l2 should be a number over 0"):
            fit_bradley_terry([[1.0]], l2)
