"""Run chapters from top to bottom and store their outputs in place.

The stored outputs are what the book, the slides and the tests read. A chapter
is written only if every cell ran, and then in one step, so an interrupted run
leaves the chapter as it was.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import (
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
)

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# No version: it would change with every author's Python.
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
# What editors and kernels add by themselves; it makes diffs and says nothing.
NOISE = ("execution", "ExecuteTime", "executionInfo", "outputId", "colab", "scrolled")


def find_chapters(names: list[str], folder: Path = CHAPTERS) -> list[Path]:
    """The notebooks meant by `names`: paths, file names, or their first letters.

    Raises:
        ValueError: if a name fits no chapter.
    """
    every = sorted(folder.glob("*.ipynb"))
    if not names:
        return every
    found: list[Path] = []
    for name in names:
        fits = [path for path in every if path.name.startswith(Path(name).name)]
        if not fits:
            known = ", ".join(path.stem for path in every) or "none yet"
            raise ValueError(f"no chapter starts with {name!r}; the chapters: {known}")
        found += [path for path in fits if path not in found]
    return found


def is_empty(output: dict) -> bool:
    """True for a picture or widget output that holds no data at all."""
    return output.output_type == "display_data" and not any(output.data.values())


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Remove, in place, what differs from run to run without saying anything."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": KERNEL,
            "language_info": LANGUAGE,
            **{
                key: value
                for key, value in notebook.metadata.items()
                if key not in ("kernelspec", "language_info", "widgets", *NOISE)
            },
        }
    )
    for cell in notebook.cells:
        for key in NOISE:
            cell.metadata.pop(key, None)
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if not is_empty(output)]
        for output in cell.outputs:
            output.get("metadata", {}).pop("execution", None)


def write_atomically(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write beside the file, then replace it in one step."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", "utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def show_progress(notebook: nbformat.NotebookNode, start: float):
    """A callback that keeps one line of the terminal up to date."""
    total = len(notebook.cells)

    def show(cell, cell_index: int, **_) -> None:
        if sys.stderr.isatty():
            line = f"  cell {cell_index + 1}/{total}, {time.monotonic() - start:.0f} s"
            print(f"\r{line}   ", end="", file=sys.stderr, flush=True)

    return show


def record(path: Path, cell_timeout: int = 600) -> float:
    """Run one chapter in a fresh kernel, store its outputs, return the seconds.

    Raises:
        CellExecutionError: if a cell not tagged raises-exception fails; the
            file is then left as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    start = time.monotonic()
    client = NotebookClient(
        notebook,
        timeout=cell_timeout,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # one box of text, however slowly it was printed
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=show_progress(notebook, start),
    )
    client.execute()
    seconds = time.monotonic() - start
    normalise(notebook)
    nbformat.validate(notebook)
    write_atomically(notebook, path)
    return seconds


def main(argv: list[str]) -> int:
    """Record the chapters named, or all of them."""
    parser = argparse.ArgumentParser(
        prog="python -m tools record",
        description="Run chapters from top to bottom and store their outputs in place.",
    )
    parser.add_argument(
        "chapters", nargs="*", help="for example 03, or 03_attention.ipynb; default all"
    )
    parser.add_argument(
        "--timeout", type=int, default=600, help="seconds allowed for one cell"
    )
    options = parser.parse_args(argv)
    try:
        paths = find_chapters(options.chapters)
    except ValueError as error:
        parser.error(str(error))
    failed = 0
    for path in paths:
        print(f"{path.name} …", flush=True)
        try:
            print(f"\r  {record(path, options.timeout):.0f} s, stored   ", flush=True)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed += 1
            print(f"\r{error}\n  {path.name} failed and is unchanged", file=sys.stderr)
    return 1 if failed else 0
