"""Change the address of the repository everywhere it is used, for a fork.

`pyproject.toml` holds the address; the book's configuration, the badges and
the first cell of each chapter repeat it, because Colab opens a chapter alone.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "pyproject.toml",
    "package.json",
    "_config.yml",
    "CITATION.cff",
    "*.md",
    "chapters/*.ipynb",
)
_PYPROJECT = re.compile(r'(?m)^(?:# )?(Repository = ")([^"]*)(")')
# the first cell of a chapter, as it stands in the JSON of a notebook
_SETUP_CELL = re.compile(r'(REPOSITORY = \\")([^"\\]*)(\\")')
_COLAB = re.compile(
    r"(colab\.research\.google\.com/github/)([\w.-]+/[\w.-]+)(?=[/)\s\"'])"
)
_GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
_ADDRESS = re.compile(r"https://[\w.-]+(:\d+)?(/[\w.~%+@-]+)+|file://(/[\w.~%+@-]+)+")


def current_address(root: Path = ROOT) -> str:
    """The address in pyproject.toml.

    Raises:
        ValueError: if there is none.
    """
    found = _PYPROJECT.search((root / "pyproject.toml").read_text("utf-8"))
    if not found:
        raise ValueError(
            'pyproject.toml should hold a line `Repository = "https://…"` under '
            "[project.urls], but has none; add it"
        )
    return found[2]


def clean_address(address: str) -> str:
    """The address without a trailing slash or `.git`.

    Raises:
        ValueError: if it is not an https:// or file:// address.

    >>> clean_address("https://github.com/ada/course.git/")
    'https://github.com/ada/course'
    """
    cleaned = address.strip().rstrip("/")
    if cleaned.startswith("https://"):
        cleaned = cleaned.removesuffix(".git")
    if not _ADDRESS.fullmatch(cleaned):
        raise ValueError(
            "the address should look like https://github.com/OWNER/NAME or "
            f"file:///FOLDER, but is {address!r}; give the address that a browser "
            "shows for your fork"
        )
    return cleaned


def _new_text(text: str, old: str, new: str) -> str:
    """`text` with every use of the address changed."""
    # setuptools refuses a folder as a project's address: a comment keeps it
    mark = "# " if new.startswith("file:") else ""
    text = _PYPROJECT.sub(lambda m: mark + m[1] + new + m[3], text)
    text = _SETUP_CELL.sub(lambda m: m[1] + new + m[3], text)
    text = re.sub(re.escape(old) + r"(?![\w-])", lambda m: new, text)
    github = _GITHUB.fullmatch(new)
    if github:  # Colab opens notebooks from GitHub only
        text = _COLAB.sub(lambda m: m[1] + github[1], text)
    return text


def set_repository(address: str, root: Path = ROOT) -> list[tuple[str, int]]:
    """Write `address` wherever the address is used; doing it twice changes nothing.

    Args:
        address: https://… or file://…
        root: the folder of the course.

    Returns:
        (file, lines changed) for each file that changed.

    Raises:
        ValueError: if the address cannot be one.
    """
    new, old = clean_address(address), current_address(root)
    changed = []
    for pattern in FILES:
        for path in sorted(root.glob(pattern)):
            before = path.read_bytes().decode("utf-8")
            after = _new_text(before, old, new)
            if after != before:
                path.write_bytes(after.encode("utf-8"))
                pairs = zip(before.splitlines(), after.splitlines(), strict=True)
                n_lines = sum(a != b for a, b in pairs)
                changed.append((str(path.relative_to(root)), n_lines))
    return changed


def main(argv: list[str]) -> int:
    """Change the address and say what changed."""
    parser = argparse.ArgumentParser(
        prog="python -m tools set-repository",
        description="Change the repository address everywhere (for a fork).",
    )
    parser.add_argument("url", help="https://github.com/OWNER/NAME, or file:///FOLDER")
    options = parser.parse_args(argv)
    try:
        changed = set_repository(options.url)
    except ValueError as error:
        print(f"set-repository: {error}", file=sys.stderr)
        return 2
    for name, n_lines in changed:
        print(f"{name}: {n_lines} line{'s' * (n_lines != 1)}")
    if not changed:
        print(f"nothing to change: the address is {current_address()} everywhere")
    return 0
