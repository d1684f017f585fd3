"""Every exercise: right answers pass, likely mistakes are named, nothing hangs.

A chapter's solutions come from its notebook; a second, different right answer
for each exercise is in tests/alternatives/chNN.py, as a function of the
exercise's name.
"""

import ast
import importlib.util
import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
import torch
from torch import Tensor

from tools.record import CHAPTERS, ROOT
from utils.checks import Exercise, report

EXERCISES = ROOT / "utils" / "exercises"
ALTERNATIVES = ROOT / "tests" / "alternatives"
CHAPTER_FILES = sorted(CHAPTERS.glob("*.ipynb"))


def load(path: Path) -> ModuleType:
    assert path.is_file(), f"{path.relative_to(ROOT)} is absent: write it"
    spec = importlib.util.spec_from_file_location(
        f"{path.parent.name}_{path.stem}", path
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def exercises_of(module: ModuleType) -> dict[str, Exercise]:
    return {k: v for k, v in vars(module).items() if isinstance(v, Exercise)}


@dataclass(frozen=True)
class Item:
    """One exercise, with the number of its chapter."""

    chapter: str
    name: str
    exercise: Exercise

    def __str__(self) -> str:
        return f"{self.exercise.id}-{self.name}"


ITEMS = [
    Item(path.stem[2:], name, exercise)
    for path in sorted(EXERCISES.glob("ch*.py"))
    for name, exercise in exercises_of(load(path)).items()
]
each_exercise = pytest.mark.parametrize("item", ITEMS, ids=str)
each_chapter = pytest.mark.parametrize(
    "chapter", [path.stem[:2] for path in CHAPTER_FILES]
)


# --- the notebook's own cells -------------------------------------------------------


def code_cells(chapter: str) -> list[nbformat.NotebookNode]:
    (path,) = CHAPTERS.glob(f"{chapter}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def parse(source: str) -> ast.Module:
    """The cell as Python: without the lines that only IPython knows."""
    lines = [
        line if line.lstrip()[:1] not in ("%", "!") else line[: -len(line.lstrip())]
        + "pass"
        for line in source.splitlines()
    ]  # fmt: skip
    return ast.parse("\n".join(lines))


def definitions(tree: ast.Module) -> list[ast.stmt]:
    """Imports, functions and classes: what a solution may lean on."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    return [node for node in tree.body if isinstance(node, kinds)]


def checked_pairs(tree: ast.Module) -> dict[str, str]:
    """Exercise name -> function name, from each check(ex.name, function).

    >>> checked_pairs(ast.parse("check(ex.a, b)"))
    {'a': 'b'}
    """
    calls = [
        node.args
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check"
    ]
    return {args[0].attr: ast.unparse(args[1]) for args in calls}


def functions_tagged(chapter: str, tag: str) -> dict[str, tuple[Callable, ast.AST]]:
    """Exercise name -> (function, its syntax) from the cells with a tag."""
    scope: dict = {"__name__": f"chapter_{chapter}"}
    found, waiting = {}, {}
    for cell in code_cells(chapter):
        tags = set(cell.metadata.get("tags", []))
        tree = parse(cell.source)
        pairs = checked_pairs(tree)
        if tag in tags or not tags & {"setup", "exercise", "check", "solution"}:
            body = ast.Module(definitions(tree), [])
            exec(compile(body, f"chapter {chapter}", "exec"), scope)
        if tag in tags:
            nodes = [n for n in definitions(tree) if isinstance(n, ast.FunctionDef)]
            waiting |= {n.name: (scope[n.name], n) for n in nodes}
        if tags & {tag, "check"}:
            found |= {a: waiting[b] for a, b in pairs.items() if b in waiting}
    return found


def body_of(node: ast.AST) -> str:
    """What a function does, without its name and docstring."""
    body = list(node.body)
    if ast.get_docstring(node):
        body = body[1:]
    return "\n".join(ast.dump(statement) for statement in body)


def alternatives(chapter: str) -> dict[str, tuple[Callable, ast.AST]]:
    path = ALTERNATIVES / f"ch{chapter}.py"
    module = load(path)
    tree = ast.parse(path.read_text("utf-8"))
    nodes = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    return {name: (getattr(module, name), node) for name, node in nodes.items()}


# --- what an exercise must have ------------------------------------------------------


@each_chapter
def test_every_chapter_has_its_exercises(chapter):
    ids = [item.exercise.id for item in ITEMS if item.chapter == chapter]
    assert ids == [f"{int(chapter)}.{n + 1}" for n in range(len(ids))]
    assert 3 <= len(ids) <= 6, f"chapter {chapter} has {len(ids)} exercises"


@each_exercise
def test_exercise_is_complete(item):
    exercise = item.exercise
    assert list(CHAPTERS.glob(f"{item.chapter}_*.ipynb")), "its chapter is absent"
    assert len(exercise.cases) >= 2
    assert len(exercise.slips) >= 2
    assert len(exercise.hints) == 3
    assert "?" in exercise.hints[0], "hint 1 should ask a question"
    shown = [case.shows for case in exercise.cases]
    assert len(set(shown)) == len(shown), "two cases show the same"


@each_exercise
def test_every_slip_is_rejected_and_named(item):
    for name, slip in item.exercise.slips.items():
        found = report(item.exercise, slip)
        assert found.status == "wrong", f"passes: {name}"
        assert f"It looks as if {name.rstrip('.')}." in found.message, found.message


@each_exercise
def test_notebook_and_exercise_agree(item):
    pairs = {}
    for cell in code_cells(item.chapter):
        if "check" in cell.metadata.get("tags", []):
            pairs |= checked_pairs(parse(cell.source))
    assert pairs.get(item.name) == item.name, "check(ex.name, name) should check it"


@each_exercise
def test_unstarted_stub_gives_one_line(item):
    stubs = functions_tagged(item.chapter, "exercise")
    stub, _ = stubs[item.name]
    found = report(item.exercise, stub)
    assert found.status == "not started"
    assert found.message == f"{item.exercise.id}: not started yet"


@each_exercise
def test_two_different_right_answers_pass(item):
    solution, shown = functions_tagged(item.chapter, "solution")[item.name]
    others = alternatives(item.chapter)
    assert item.name in others, f"tests/alternatives/ch{item.chapter}.py lacks it"
    other, written = others[item.name]
    assert body_of(shown) != body_of(written), "the two should differ"
    for function in (solution, other):
        found = report(item.exercise, function)
        assert found.status == "right", found.message


# --- what else a learner's function may do -------------------------------------------


def raises(value, args):
    raise RuntimeError("my own words")


def loops(value, args):
    while True:
        pass


def spoils(result: object, number: float) -> object:
    """`result` with every float replaced by NaN, every shape one too large."""
    if isinstance(result, Tensor) and number != number:
        return result * number if result.is_floating_point() else result
    if isinstance(result, Tensor):
        return result[None]
    if isinstance(result, float) and number != number:
        return number
    if isinstance(result, list) and number == number:
        return [*result, *result[:1]] if result else [0]
    if isinstance(result, set) and number == number:
        return result | {"one more"}
    if isinstance(result, tuple):
        return tuple(spoils(part, number) for part in result)
    return result


def changes(value, args):
    """Change the first argument that can be, in place; else do nothing."""
    for arg in args:
        if isinstance(arg, Tensor) and arg.numel():
            arg.logical_not_() if arg.dtype == torch.bool else arg.add_(1)
            break
        if isinstance(arg, list) and arg:
            arg.append(arg[0])
            break
    return value


SIZE = r"xpected (shape|\d+ entries|a set without)"
# what the function does with the right answer: pattern found in the message
OUTCOMES: dict[str, tuple[Callable, str]] = {
    "an exception": (raises, r"raised RuntimeError: my own words"),
    "no return": (lambda value, args: None, r"got None: did you forget `return`\?"),
    "a wrong type": (lambda value, args: object(), r"got an object"),
    "a wrong shape": (lambda value, args: spoils(value, 1.0), SIZE),
    "NaN": (lambda value, args: spoils(value, float("nan")), r"got nan"),
    "a change in place": (changes, r"changes its argument `\w+` in place"),
    "an endless loop": (loops, r"is there a loop that never ends\?"),
}


def wrap(solution: Callable, outcome: Callable) -> Callable:
    """The right answer, spoiled; with the learner's parameters."""

    def learner(*args):
        return outcome(solution(*args), args)

    learner.__signature__ = inspect.signature(solution)
    return learner


@pytest.mark.parametrize("outcome", OUTCOMES)
@each_chapter
def test_other_mistakes_get_a_clear_message(chapter, outcome):
    spoil, words = OUTCOMES[outcome]
    solutions = functions_tagged(chapter, "solution")
    n_wrong = 0
    for item in (item for item in ITEMS if item.chapter == chapter):
        learner = wrap(solutions[item.name][0], spoil)
        found = report(item.exercise, learner, seconds=0.3)
        assert "Traceback" not in found.message
        if found.status == "wrong":
            n_wrong += 1
            assert re.search(words, found.message), found.message
    assert n_wrong, f"no exercise of chapter {chapter} can show {outcome}"


# --- the machinery, on a chapter of our own ------------------------------------------


def test_the_notebook_reader(monkeypatch):
    sources = {
        "from math import pi\n%time 1": [],
        "def one():\n    return pi": [],
        "def twice(x):\n    raise NotImplementedError": ["exercise"],
        "check(ex.twice, twice)": ["check"],
        "#@title Show\ndef twice_solution(x):\n    '''Doc.'''\n    return one() * x\n\n"
        "check(ex.twice, twice_solution)": ["solution"],
    }
    cells = [
        nbformat.v4.new_code_cell(source, metadata={"tags": tags})
        for source, tags in sources.items()
    ]
    monkeypatch.setitem(globals(), "code_cells", lambda chapter: cells)
    function, node = functions_tagged("99", "solution")["twice"]
    assert round(function(2), 2) == 6.28
    same = ast.parse(textwrap.dedent("def g(x):\n    return one() * x")).body[0]
    assert body_of(node) == body_of(same)
    with pytest.raises(NotImplementedError):
        functions_tagged("99", "exercise")["twice"][0](1)
