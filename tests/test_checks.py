"""A check names what is wrong, and nothing a learner writes can stop it."""

import random
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from utils import checks
from utils.calls import call
from utils.checks import Case, Exercise, Report, check, hint, report
from utils.differences import difference


def make(*cases: Case, **slips) -> Exercise:
    names = {name.replace("_", " "): slip for name, slip in slips.items()}
    return Exercise("9.1", list(cases), ["one", "two", "three"], names)


def returns(expected: object) -> Exercise:
    """An exercise whose function takes a tensor x and returns `expected`."""
    return make(Case("it works", (torch.ones(2),), expected))


def says(expected: object, got: object) -> str:
    found = report(returns(expected), lambda x: got)
    assert found.status == "wrong", f"{got!r} passed for {expected!r}"
    return found.message


MASK = make(
    Case(
        "the first of two cannot see the second.", (2,), torch.tensor([[1, 0], [1, 1]])
    ),
    Case("position t sees 0 to t", (3,), torch.tensor([[1, 0, 0], [1, 1, 0], [1] * 3])),
    rows_and_columns_are_swapped=lambda T: torch.ones(T, T).triu().long(),
    a_position_cannot_see_itself=lambda T: torch.ones(T, T).tril(-1).long(),
    it_needs_two_positions=lambda T: [][T],
)


@pytest.fixture(autouse=True)
def forget():
    checks._n_wrong.clear()


# --- the three outcomes ---------------------------------------------------------


def test_right_is_one_line(capsys):
    check(MASK, lambda T: torch.ones(T, T).tril().long())
    assert capsys.readouterr().out == "9.1: all 2 cases pass\n"


def test_not_started_is_one_line(capsys):
    def stub(T):
        raise NotImplementedError

    check(MASK, stub)
    assert capsys.readouterr().out == "9.1: not started yet\n"


def test_torch_not_implemented_is_not_unstarted():
    def unsupported(T):
        raise NotImplementedError("no kernel for this dtype")

    assert "no kernel for this dtype" in report(MASK, unsupported).message


def test_wrong_names_case_difference_and_slip(capsys):
    check(MASK, lambda T: torch.arange(T)[:, None].le(torch.arange(T)).long())
    assert capsys.readouterr().out.splitlines() == [
        "9.1: not right yet. Case 1 of 2: the first of two cannot see the second.",
        "  At [0, 1]: expected 0, got 1 (2 of 4 entries differ).",
        "  It looks as if rows and columns are swapped.",
        "  Hint 1 of 3: one",
    ]


def test_wrong_only_later_names_that_case():
    first_only = torch.tensor([[1, 0], [1, 1]])
    message = report(MASK, lambda T: first_only).message
    assert "Case 2 of 2: position t sees 0 to t.\n" in message
    assert "Expected shape (3, 3), got (2, 2)." in message


def test_a_slip_must_agree_on_every_case():
    def half(T):
        return torch.ones(T, T).triu() if T == 2 else torch.zeros(T, T)

    assert "looks as if" not in report(MASK, lambda T: half(T).long()).message


def test_a_slip_that_raises_matches_the_same_error():
    def fails(T):
        raise IndexError("other words")

    assert "as if it needs two positions." in report(MASK, fails).message
    other = report(MASK, lambda T: 1 / 0).message
    assert "ZeroDivisionError" in other and "as if it needs" not in other


def test_a_slip_cannot_hang_or_stop_the_check():
    def loop(x):
        while True:
            pass

    slow = make(Case("a", (1,), 1), it_loops=loop, it_exits=lambda x: sys.exit())
    assert report(slow, lambda x: 2, seconds=0.2).status == "wrong"


def test_each_wrong_check_shows_the_next_hint(capsys):
    shown = []
    for _ in range(4):
        check(MASK, lambda T: 0)
        shown.append(capsys.readouterr().out.splitlines()[-1])
    assert [line[-5:].split()[-1] for line in shown] == ["one", "two", "three", "three"]
    check(MASK, lambda T: torch.ones(T, T).tril().long())
    check(MASK, lambda T: 0)
    assert capsys.readouterr().out.endswith("Hint 1 of 3: one\n")


def test_report_prints_nothing_and_does_not_count(capsys):
    assert report(MASK, lambda T: 0) == report(MASK, lambda T: 0)
    assert capsys.readouterr() == ("", "")


def test_what_the_learner_prints_is_left_alone(capsys):
    check(returns(1), lambda x: sys.stdout.write("x is given\n") and 1)
    assert capsys.readouterr().out == "x is given\n9.1: all 1 cases pass\n"


# --- what learners' functions do --------------------------------------------------


def test_exception_shows_type_message_and_own_line():
    def learner(x):
        deep = [x, x]
        return torch.stack(deep) @ torch.ones(3)

    message = report(returns(1), learner).message
    assert "Your code raised RuntimeError: size mismatch" in message
    assert "`return torch.stack(deep) @ torch.ones(3)`" in message
    assert "Traceback" not in message and "site-packages" not in message


def test_wrong_number_of_parameters_is_an_ordinary_mistake():
    message = report(returns(1), lambda: 1).message
    assert "TypeError" in message and "takes 0 positional arguments" in message


def test_recursion_is_named():
    def learner(x):
        return learner(x)

    assert "RecursionError: maximum recursion" in report(returns(1), learner).message


def test_exit_does_not_end_the_kernel():
    message = report(returns(1), lambda x: sys.exit(3)).message
    assert "ends the whole program" in message


@pytest.mark.parametrize("value", [3, None, "text"])
def test_not_a_function(value):
    found = report(returns(1), value)
    assert found.status == "wrong"
    assert "expected your function" in found.message
    assert "run the cell that defines it again" in found.message


def test_forgotten_return():
    assert "got None: did you forget `return`?" in says(torch.ones(2), None)
    assert report(returns(None), lambda x: None).status == "right"


def test_argument_changed_in_place_is_named():
    def learner(x, scale):
        x *= scale
        return x

    two = make(Case("doubled", (torch.ones(2), 2), torch.full((2,), 2.0)))
    assert "changes its argument `x` in place" in report(two, learner).message
    assert report(two, learner) == report(two, learner), "a case was changed"
    assert report(two, lambda x, scale: x * scale).status == "right"


def test_change_inside_a_list_is_seen():
    nested = make(Case("the sum", ([torch.ones(2), [1]],), 3.0))
    message = report(nested, lambda items: items[1].append(2) or 3.0).message
    assert "changes its argument `items` in place" in message


def test_change_of_a_set_is_seen():
    links = make(Case("how many", ({1, 2},), 2))
    message = report(links, lambda seen: seen.add(3) or 2).message
    assert "changes its argument `seen` in place" in message


def test_an_error_that_cannot_be_shown():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def learner(x):
        raise Mute

    assert "raised Mute: (no message)" in report(returns(1), learner).message


class Patient:
    """Loops that a learner may write by mistake."""

    @staticmethod
    def plain(x):
        while True:
            x = x + 0

    @staticmethod
    def catches(x):
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                continue

    @staticmethod
    def catches_all(x):
        while True:
            try:
                x + 1
            except:  # noqa: E722
                pass

    @staticmethod
    def swallows_one(x):
        try:
            time.sleep(9)
        except:  # noqa: E722
            pass
        while True:
            pass


@pytest.mark.parametrize("name", ["plain", "catches", "catches_all", "swallows_one"])
@pytest.mark.timeout(30)
def test_endless_loop_is_stopped(name):
    start = time.monotonic()
    found = report(returns(1), getattr(Patient, name), seconds=0.3)
    assert time.monotonic() - start < 10
    assert "Stopped after 0.3 s: is there a loop that never ends?" in found.message
    assert "This is in your line" in found.message


def test_no_alarm_is_left_behind():
    report(returns(1), lambda x: 1, seconds=0.1)
    time.sleep(0.3)  # an alarm would end the test run


def test_somebody_elses_alarm_still_rings():
    import signal

    rung = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    before = signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        report(returns(1), lambda x: 1)
        time.sleep(0.4)
        assert rung == [1]
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *before)


def test_outside_the_main_thread_it_works_without_limit():
    found = []
    thread = threading.Thread(target=lambda: found.append(report(returns(1), len)))
    thread.start()
    thread.join()
    assert "Expected 1, got 2" in found[0].message


def test_stop_button_goes_through():
    def learner(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(returns(1), learner)


def test_random_numbers_of_later_cells_do_not_move():
    torch.manual_seed(0)
    untouched = torch.rand(1)
    torch.manual_seed(0)
    report(returns(1), lambda x: torch.rand(5))
    assert torch.rand(1) == untouched


# --- what is compared, and how the difference reads ---------------------------------

HALF = torch.tensor([0.5, 0.5])


class Hostile(str):
    __hash__ = str.__hash__

    def __eq__(self, other):
        raise RuntimeError("no comparing")


@pytest.mark.parametrize(
    ("expected", "got", "words"),
    [
        (HALF, [0.5, 0.5], "Expected a torch.Tensor, got a list."),
        (HALF, HALF[None], "Expected shape (2,), got (1, 2)."),
        (HALF, HALF.double(), "Expected dtype torch.float32, got torch.float64."),
        (HALF, HALF.bool(), "Expected dtype torch.float32, got torch.bool."),
        (HALF, HALF + 1e-3, "At [0]: expected 0.5, got 0.501 (2 of 2 entries"),
        (HALF, HALF / 0 * 0, "2 NaN (not a number)"),
        (HALF.bfloat16(), HALF.bfloat16() + 1, "expected 0.5, got 1.5"),
        (HALF, HALF.to_sparse(), "cannot be compared"),
        (HALF, HALF.numpy(), "Expected a torch.Tensor, got a numpy array."),
        (HALF.numpy(), HALF, "Expected a numpy array, got a torch.Tensor."),
        (np.ones(2), np.zeros(2), "At [0]: expected 1, got 0"),
        (np.ones(2), np.ones(3), "Expected shape (2,), got (3,)"),
        (torch.tensor(1), torch.tensor(2), "Expected 1, got 2."),
        (0.5, 0.6, "Expected 0.5, got 0.6."),
        (0.5, float("nan"), "Expected 0.5, got nan."),
        (0.5, torch.tensor(0.5), "Expected a float, got a torch.Tensor: .item()"),
        (0.5, "0.5", "Expected a float, got a string."),
        (1.0, True, "Expected a float, got a bool (True)."),
        (1, True, "Expected an int, got a bool (True)."),
        (True, 1, "Expected a bool, got an int (1)."),
        (2, 2.0, "Expected an int, got a float (2.0)."),
        (2, 3, "Expected 2, got 3."),
        ("le chat", "la chat", "Expected 'le chat', got 'la chat'."),
        (None, 0, "Expected None, got an int (0)."),
        ([1, 2], (1, 2), "Expected a list, got a tuple."),
        ([1, 2], [1, 2, 3], "Expected 2 entries, got 3."),
        ([1, 2], iter([1, 2]), "Expected a list, got a list_iterator."),
        ([[1], [2]], [[1], [3]], "At [1][0]: expected 2, got 3."),
        ((HALF, 1), (HALF, 2), "At [1]: expected 1, got 2."),
        ((HALF, 1), (HALF + 1, 1), "At [0][0]: expected 0.5, got 1.5"),
        ({"a": 1}, {"b": 1}, "Expected the keys ['a'], got ['b']."),
        ({"a": [1]}, {"a": [2]}, "At ['a'][0]: expected 1, got 2."),
        ({1, 2}, [1, 2], "Expected a set, got a list."),
        ({1, 2}, {2}, "Expected 1 in the set, got a set without it (1 of 2 absent)."),
        ({(0, 1)}, {(0, 1), (1, 0)}, "Expected a set without (1, 0), got one with it"),
        ({1}, {2}, "without it (1 of 1 absent); 2 should not be there (1 too many)."),
        ((1, 2), [1, 3], "At [1]: expected 2, got 3."),
        ((1, 2), {1, 2}, "Expected a tuple, got a set."),
        (0.5, 10**400, "Expected 0.5, got an int above 1e300."),
        ("a", Hostile("a"), "something that cannot be compared: no comparing"),
        ("a", "b" * 1000, "bbb …."),
        ({"a": 1}, {"a": None}, "At ['a']: expected an int, got None."),
    ],
)
def test_the_difference_in_words(expected, got, words):
    assert words in says(expected, got)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (HALF, HALF + 1e-6),
        (HALF, HALF.clone().requires_grad_()),
        (HALF, torch.nn.Parameter(HALF.clone())),
        (torch.tensor([torch.nan, torch.inf]), torch.tensor([torch.nan, torch.inf])),
        (torch.ones(0, 3), torch.ones(0, 3)),
        (np.array(["a"]), np.array(["a"])),
        (torch.tensor([1 + 2j]), torch.tensor([1 + 2j])),
        (torch.tensor([1 - 2j]), torch.tensor([1 + 2j]).conj()),
        ({1, (0, 2)}, {(0, np.int64(2)), 1}),
        ((1, (HALF, 2)), [1, [HALF, 2]]),
        (2.0, 2),
        (0.5, np.float32(0.5)),
        (2, np.int64(2)),
        (True, np.bool_(True)),
        ([1.0, (None, "a")], [1.0, (None, "a")]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_as_good_as_equal(expected, got):
    assert report(returns(expected), lambda x: got).status == "right"


def test_tolerance_agrees_with_torch():
    rng = random.Random(0)
    for _ in range(200):
        a = rng.uniform(-3, 3)
        b = a * (1 + rng.choice([-1, 1]) * 10 ** rng.uniform(-6, -2))
        a, b = (torch.tensor(v, dtype=torch.float64) for v in (a, b))
        close = torch.isclose(b, a, rtol=1e-4, atol=1e-6)
        assert bool(difference(a, b)) != bool(close)


def test_the_solution_is_never_shown(capsys):
    def secret_solution(T):
        return torch.ones(T, T).triu().long()

    hidden = make(*MASK.cases, swapped=secret_solution)
    check(hidden, lambda T: T)
    check(hidden, lambda T: torch.ones(T, T).triu().long())
    assert "secret_solution" not in capsys.readouterr().out


# --- mistakes of authors -------------------------------------------------------------

CASE = Case("a", (), 1)


@pytest.mark.parametrize(
    ("make_it", "words"),
    [
        (lambda: Case("", (), 1), "shows should be words"),
        (lambda: Case("a", 1, 1), "args should be a tuple"),
        (lambda: Case("a", (iter("a") for _ in "a"), 1), "args should be a tuple"),
        (lambda: Case("a", ((i for i in "a"),), 1), "args should be plain data"),
        (lambda: Case("a", (), frozenset({1})), "expected should be a tensor"),
        (lambda: Case("a", (), [len]), "expected should be a tensor"),
        (lambda: Case("a", (), {len}), "expected should be a tensor"),
        (lambda: Exercise("3", [CASE], ["a"], {}), "id should be chapter.number"),
        (lambda: Exercise("3.1", [], ["a"], {}), "3.1: cases should be a list"),
        (lambda: Exercise("3.1", (CASE,), ["a"], {}), "3.1: cases should be a list"),
        (lambda: Exercise("3.1", [CASE], [1], {}), "3.1: hints should be a list"),
        (lambda: Exercise("3.1", [CASE], ["a"], {"b": 1}), "3.1: slips should be"),
        (lambda: Report("fine", "a"), "status should be"),
        (lambda: check(len, MASK), "first argument should be an Exercise"),
        (lambda: report(MASK, len, seconds=0), "seconds should be a number above 0"),
        (lambda: call(len, (), seconds=-1), "seconds should be above 0"),
        (lambda: hint(MASK, 4), "9.1 has hints 1 to 3, not 4"),
        (lambda: hint(MASK, 0), "9.1 has hints 1 to 3, not 0"),
    ],
)
def test_a_wrong_exercise_is_named(make_it, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        make_it()


def test_cases_are_frozen():
    with pytest.raises(AttributeError):
        CASE.expected = 2
    assert isinstance(MASK.cases[0].expected, Tensor)
