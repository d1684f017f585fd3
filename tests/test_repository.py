"""`python -m tools set-repository` changes every use of the address."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools.repository import (
    FILES,
    ROOT,
    clean_address,
    current_address,
    set_repository,
)

OLD = "https://github.com/learning-to-align/learning-to-align"
NEW = "https://github.com/ada/my-course"
COLAB = "https://colab.research.google.com/github/"


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A small course that uses the address in every way the real one does."""
    (tmp_path / "chapters").mkdir()
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{OLD}"\n')
    (tmp_path / "_config.yml").write_text(
        f"repository:\n  url: {OLD}\n  branch: main\n"
    )
    (tmp_path / "CITATION.cff").write_text(f'repository-code: "{OLD}"\n')
    (tmp_path / "README.md").write_text(
        f"[![Colab](badge.svg)]({COLAB}learning-to-align/learning-to-align"
        f"/blob/main/chapters/02.ipynb)\n`git clone {OLD}.git`\n"
        f"[issues]({OLD}/issues)\n"
        f"Not ours: {OLD}-extra, https://github.com/other/one\n"
    )
    setup = f'#@title Setup\nREPOSITORY = "{OLD}"\nneeds = {{}}'
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(setup)])
    nbformat.write(notebook, tmp_path / "chapters" / "02.ipynb")
    return tmp_path


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_every_use_changes(course):
    changed = dict(set_repository(NEW, course))
    assert set(changed) == {
        "pyproject.toml",
        "_config.yml",
        "CITATION.cff",
        "README.md",
        "chapters/02.ipynb",
    }
    assert changed["README.md"] == 3
    readme = (course / "README.md").read_text()
    assert f"{COLAB}ada/my-course/blob/main/chapters/02.ipynb" in readme
    assert f"{NEW}.git" in readme and f"{NEW}/issues" in readme
    assert f"{OLD}-extra, https://github.com/other/one" in readme
    cells = json.loads((course / "chapters" / "02.ipynb").read_text())["cells"]
    assert f'REPOSITORY = "{NEW}"\n' in cells[0]["source"]
    assert current_address(course) == NEW


def test_twice_changes_nothing_and_back_restores(course):
    before = snapshot(course)
    assert set_repository(NEW, course)
    assert set_repository(NEW + ".git", course) == []
    assert set_repository(OLD, course)
    assert snapshot(course) == before


def test_a_folder_leaves_colab_badges_alone(course):
    before = snapshot(course)
    set_repository("file:///srv/course", course)
    assert current_address(course) == "file:///srv/course"
    readme = (course / "README.md").read_text()
    assert f"{COLAB}learning-to-align/learning-to-align/blob" in readme
    set_repository(NEW, course)
    assert f"{COLAB}ada/my-course/blob" in (course / "README.md").read_text()
    set_repository(OLD, course)
    assert snapshot(course) == before


@pytest.mark.parametrize(
    "address",
    ["", "github.com/a/b", "git@github.com:a/b", "http://x.org/a", "https://x.org",
     'https://x.org/a"b', "file://course", "https://x.org/a b"],
)  # fmt: skip
def test_a_wrong_address_is_named(address, course):
    before = snapshot(course)
    with pytest.raises(ValueError, match="should look like https://github.com"):
        set_repository(address, course)
    assert snapshot(course) == before


def test_clean_address_keeps_a_folder_that_ends_in_git():
    assert clean_address("file:///srv/course.git/") == "file:///srv/course.git"


def test_this_course_changes_everywhere(tmp_path):
    for pattern in FILES:
        for path in ROOT.glob(pattern):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(path, copy)
    old = current_address(tmp_path)
    changed = set_repository(NEW, tmp_path)
    assert "pyproject.toml" in dict(changed)
    left = [p for p, data in snapshot(tmp_path).items() if old.encode() in data]
    assert left == []


def test_the_command_explains_a_wrong_address():
    done = subprocess.run(
        [sys.executable, "-m", "tools", "set-repository", "nowhere"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "should look like https://github.com/OWNER/NAME" in done.stderr
