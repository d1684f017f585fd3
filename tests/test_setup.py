"""Set-up: does nothing twice, repairs what is half made, pins everything."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from tools import setup

ROOT = setup.ROOT
PIN = re.compile(
    r'[A-Za-z0-9._-]+==[0-9][A-Za-z0-9._]*( ; python_(full_)?version (<|>=) "[\d.]+")?'
)


@pytest.fixture
def small(tmp_path):
    """An environment that needs nothing, so that no test needs a network."""
    (tmp_path / "requirements.txt").write_text("# nothing\n", "utf-8")
    return setup.Environment(tmp_path.resolve(), smoke="import pip")


def test_a_second_run_does_nothing(small, monkeypatch):
    assert small.set_up() is True
    monkeypatch.setattr(setup, "run", lambda *_: pytest.fail("something was run"))
    assert small.set_up() is False


def test_a_changed_requirement_runs_again(small):
    small.set_up()
    (small.root / "requirements.txt").write_text("# something else\n", "utf-8")
    assert small.set_up() is True
    assert small.set_up() is False


def break_python(small):
    small.python.unlink()
    small.python.write_text("not a Python\n", "utf-8")
    small.python.chmod(0o755)


def lose_pip(small):
    for folder in small.venv.glob("lib*/python*/site-packages/pip"):
        shutil.rmtree(folder)


def lose_stamp(small):
    (small.venv / setup.STAMP).unlink()


def cut_stamp_short(small):
    (small.venv / setup.STAMP).write_text('{"inp', "utf-8")


@pytest.mark.parametrize(
    "damage", [break_python, lose_pip, lose_stamp, cut_stamp_short]
)
def test_a_half_made_venv_is_repaired(small, damage):
    small.set_up()
    damage(small)
    assert small.set_up() is True
    assert setup.works(small.python, "import pip")
    assert small.set_up() is False


def test_an_empty_venv_folder_is_replaced(small):
    small.venv.mkdir()
    assert small.set_up() is True
    assert setup.works(small.python, "import pip")


def test_a_failing_smoke_import_starts_again_once(small, capsys):
    small.smoke = "import there_is_no_such_module"
    with pytest.raises(setup.SetupError, match="should run in .venv"):
        small.set_up()
    assert "Starting again with an empty .venv" in capsys.readouterr().out
    assert setup.read_stamp(small.venv) is None


def test_a_failed_download_says_run_again_and_keeps_the_venv(small, monkeypatch):
    small.set_up()
    kept = small.venv / "kept"
    kept.touch()
    (small.root / "requirements.txt").write_text("# changed\n", "utf-8")
    offline = [sys.executable, "-c", "raise SystemExit('Connection refused')"]
    real = setup.run
    monkeypatch.setattr(setup, "run", lambda _, root, what: real(offline, root, what))
    with pytest.raises(setup.DownloadError, match="run the same command again"):
        small.set_up()
    assert kept.exists()
    monkeypatch.undo()
    assert small.set_up() is True


def test_no_venv_module_says_what_to_install(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(setup.SetupError, match="apt-get install python3-venv"):
        small.set_up()


def test_an_old_python_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(setup.sys, "version_info", (3, 9, 18))
    assert setup.main([]) == 1
    assert "3.10 or newer, but this is 3.9.18" in capsys.readouterr().err


def test_set_up_needs_only_the_standard_library():
    code = "import sys; sys.path[:0] = ['.']; import tools.setup"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def lines(name):
    text = (ROOT / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and line[0] != "#"]


def test_every_requirement_is_pinned_exactly():
    *pins, last = lines("requirements.txt")
    assert last == "-e ."
    for pin in pins + lines("requirements-models.txt"):
        assert PIN.fullmatch(pin), pin


def test_browser_libraries_are_pinned_and_name_no_registry():
    package = json.loads((ROOT / "package.json").read_text("utf-8"))
    lock = json.loads((ROOT / "package-lock.json").read_text("utf-8"))
    for name, wanted in package["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", wanted), name
        assert lock["packages"][f"node_modules/{name}"]["version"] == wanted
    for name, entry in lock["packages"].items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name
