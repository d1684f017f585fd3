"""Turn the chapters into reveal.js decks: slides/<chapter>.html and an index.

A deck needs no network: reveal.js and MathJax are copied from node_modules to
slides/lib, pictures are embedded, and bertviz finds its libraries beside the
deck. Cells carry a slide type (slide, subslide, fragment, notes, skip or none:
goes on with the slide) and tags; what they mean here is in `TAGS`.
"""

import argparse
import re
import shutil
import sys
from html import escape
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

from tools.offline import LIBRARIES, copy_libraries, localise
from tools.record import CHAPTERS, ROOT, find_chapters
from tools.repository import current_address

TEMPLATE = ROOT / "tools" / "slides_template"
DECK_LIBRARIES = {
    **LIBRARIES,
    "reveal.js/dist/reset.css": "reveal/reset.css",
    "reveal.js/dist/reveal.css": "reveal/reveal.css",
    "reveal.js/dist/reveal.js": "reveal/reveal.js",
    "reveal.js/plugin/notes/notes.js": "reveal/notes.js",
    "mathjax/es5/tex-svg.js": "mathjax/tex-svg.js",
    # loaded by MathJax when a formula uses \cancel, \color and the like
    "mathjax/es5/input/tex/extensions": "mathjax/input/tex/extensions",
}
TAGS = {
    "not shown": {"setup", "check", "solution", "hide-cell", "remove-cell"},
    "no input": {"hide-input", "remove-input"},
    "no output": {"hide-output", "remove-output"},
}


def slide_type(cell: dict) -> str:
    """What the cell is in the deck: notes and skip win over the tags."""
    kind = cell.metadata.get("slideshow", {}).get("slide_type", "-") or "-"
    if kind == "notes":
        return "notes"
    hidden = TAGS["not shown"].intersection(cell.metadata.get("tags", []))
    return "skip" if hidden else kind


def trim(cell: dict) -> None:
    """Leave out, in place, the parts of a code cell that a slide does not show."""
    tags = set(cell.metadata.get("tags", []))
    if cell.cell_type != "code":
        return
    if tags & TAGS["no input"]:
        cell.metadata["transient"] = {"remove_source": True}
    if tags & TAGS["no output"]:
        cell.outputs = []
    # The book reads alt text from here; nbconvert's template from `alt`.
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt")
    if alt:
        cell.metadata["alt"] = alt
    for output in cell.outputs:
        if output.output_type == "error":
            output.traceback = [f"{output.ename}: {output.evalue}"]


def arrange(notebook: nbformat.NotebookNode) -> int:
    """Group the cells into slides, in place, and return how many slides there are.

    The template writes `deck.before` and `deck.after` around each cell.

    Raises:
        ValueError: if no cell is to be shown.
    """
    cells = [cell for cell in notebook.cells if slide_type(cell) != "skip"]
    shown = [cell for cell in cells if slide_type(cell) != "notes"]
    if not shown:
        raise ValueError(
            "a chapter should have a cell with slide type 'slide', but all of its "
            "cells are notes or skipped; set slideshow.slide_type on some"
        )
    n_slides = 0
    for cell in cells:
        trim(cell)
        kind = slide_type(cell)
        before = after = ""
        if n_slides == 0 or kind in ("slide", "subslide"):
            before = "</section>" * (n_slides > 0) + "<section>"
            n_slides += 1
        if kind == "notes":
            before, after = before + '<aside class="notes">', "</aside>"
        elif kind == "fragment":
            before, after = before + '<div class="fragment">', "</div>"
        cell.metadata["deck"] = {"before": before, "after": after}
    cells[-1].metadata["deck"]["after"] += "</section>"
    notebook.cells = cells
    return n_slides


def title_of(notebook: nbformat.NotebookNode, default: str) -> str:
    """The text of the first heading."""
    for cell in notebook.cells:
        found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE)
        if cell.cell_type == "markdown" and found:
            return re.sub(r"[*_`]", "", found[1]).strip()
    return default


def relink(html: str, address: str) -> str:
    """Chapters link to decks; other files of the course to the repository."""
    html = re.sub(
        r'href="(?:\./)?(\d\d_\w+)\.ipynb(?:#[^"]*)?"', r'href="\1.html"', html
    )
    return re.sub(
        r'href="\.\./([\w./-]+\.(?:md|py|bib|ipynb))(#[^"]*)?"',
        rf'href="{address}/blob/main/\1"',
        html,
    )


def build_deck(path: Path, destination: Path) -> tuple[str, int]:
    """Write one deck; return its title and number of slides."""
    notebook = nbformat.read(path, as_version=4)
    title = title_of(notebook, path.stem)
    n_slides = arrange(notebook)
    exporter = HTMLExporter(
        template_name=TEMPLATE.name,
        extra_template_basedirs=[str(TEMPLATE.parent)],
        exclude_anchor_links=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
    )
    resources = {
        "metadata": {"path": str(path.parent), "name": path.stem},
        "deck": {
            "title": title,
            "lib": "lib",
            "css": (TEMPLATE / "deck.css").read_text("utf-8"),
            "js": (TEMPLATE / "deck.js").read_text("utf-8"),
        },
    }
    html, _ = exporter.from_notebook_node(notebook, resources=resources)
    html = relink(localise(html, "lib"), current_address())
    html = html.replace('"../images/', '"images/')
    (destination / f"{path.stem}.html").write_text(html, "utf-8")
    return title, n_slides


def build_index(decks: list[tuple[str, str, int]], destination: Path) -> None:
    """Write slides/index.html, one line for each (file, title, slides)."""
    lines = [
        f'<li><a href="{escape(name)}">{escape(title)}</a> <span>{n} slides</span></li>'
        for name, title, n in decks
    ]
    page = (TEMPLATE / "contents.html").read_text("utf-8")
    page = page.replace("<!-- decks -->", "\n".join(lines))
    (destination / "index.html").write_text(page, "utf-8")


def build(paths: list[Path], destination: Path, node_modules: Path) -> list[tuple]:
    """Write the decks of `paths` and the index; return (file, title, slides)."""
    destination.mkdir(parents=True, exist_ok=True)
    copy_libraries(node_modules, destination / "lib", DECK_LIBRARIES)
    shutil.copytree(ROOT / "images", destination / "images", dirs_exist_ok=True)
    decks = []
    for path in paths:
        try:
            decks.append((f"{path.stem}.html", *build_deck(path, destination)))
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from error
    build_index(decks, destination)
    return decks


def main(argv: list[str]) -> int:
    """Write all decks into slides/."""
    parser = argparse.ArgumentParser(
        prog="python -m tools slides",
        description="Turn the chapters into slides/*.html, with speaker notes (key S).",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "slides")
    options = parser.parse_args(argv)
    try:
        decks = build(
            find_chapters([], CHAPTERS), options.output, ROOT / "node_modules"
        )
    except (FileNotFoundError, ValueError) as error:
        print(f"slides: {error}", file=sys.stderr)
        return 1
    for name, title, n_slides in decks:
        print(f"{n_slides:3d} slides  {name}  {title}")
    print(f"open {(options.output / 'index.html').resolve()}")
    return 0
