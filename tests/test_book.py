"""Every page of the book in a real browser, from the disk and from localhost."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools import book

WIDE, PHONE = 1300, 390
# What a page holds that a reader would call broken; one line for each fault.
FAULTS = r"""() => {
  const faults = [];
  const say = (what, node) =>
    faults.push(what + ": " + (node.outerHTML || "").slice(0, 160));
  for (const image of document.images) {
    if (!image.getAttribute("src") || !image.complete || !image.naturalWidth)
      say("broken image", image);
    if (!image.hasAttribute("alt")) say("image without alt", image);
  }
  for (const math of document.querySelectorAll("span.math, div.math"))
    if (!math.querySelector("mjx-container")) say("formula not typeset", math);
  for (const error of document.querySelectorAll(
      "mjx-merror, [data-mml-node=merror]")) say("formula in error", error);
  const article = document.querySelector("article") || document.body;
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (parent.closest("pre, code, script, style, textarea, mjx-container")) continue;
    if (/\$[^$\n]*[\\_^][^$\n]*\$|\\\(|\\\[/.test(node.textContent))
      say("formula not typeset", parent);
  }
  for (const plot of document.querySelectorAll("[id^=bertviz]"))
    if (!plot.querySelector("svg *")) say("bertviz drew nothing", plot);
  for (const link of document.querySelectorAll("article a[href^='#']")) {
    const id = decodeURIComponent(link.getAttribute("href").slice(1));
    if (id && !document.getElementById(id)) say("link to nowhere", link);
  }
  return faults;
}"""

OVERFLOW = r"""() => {
  const width = document.documentElement.clientWidth;
  const over = document.documentElement.scrollWidth - width;
  if (over <= 1) return null;
  const wide = [...document.querySelectorAll("body *")].filter(
    (node) => node.getBoundingClientRect().right > width + 1);
  return over + " px too wide: " + wide.slice(0, 3).map(
    (node) => node.outerHTML.slice(0, 100)).join(" | ");
}"""

SETTLED = r"""async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  await Promise.all([...document.images].map((image) => {
    image.loading = "eager";
    return image.complete ? null : new Promise((done) => {
      image.onload = image.onerror = done;
    });
  }));
}"""


@dataclass
class Visit:
    """What opening one page showed: its faults and the browser's page."""

    page: object
    base: str
    faults: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note errors, and every request that leaves the book."""
        page = self.page
        page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        page.on("console", self.heard)
        page.on("request", self.asked)
        page.on("requestfailed", self.missed)

    def heard(self, message) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def asked(self, request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:", "about:")):
            self.faults.append(f"outside request: {request.url}")

    def missed(self, request) -> None:
        # A page that is left cancels what it has not loaded yet, its icon say.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"request failed: {request.url}")

    def open(self, address: str) -> None:
        self.page.goto(self.base + address)
        self.page.evaluate(SETTLED)
        if self.page.locator("[id^=bertviz]").count():
            self.page.wait_for_timeout(500)

    def look(self) -> list[str]:
        """All faults of the page that is open, wide and on a phone."""
        self.page.set_viewport_size({"width": WIDE, "height": 900})
        faults = self.page.evaluate(FAULTS)
        self.page.set_viewport_size({"width": PHONE, "height": 800})
        self.page.wait_for_timeout(50)
        overflow = self.page.evaluate(OVERFLOW)
        self.page.set_viewport_size({"width": WIDE, "height": 900})
        return self.faults + faults + ([overflow] if overflow else [])


@pytest.fixture(scope="module")
def html():
    """The folder of the built book."""
    if not list((book.ROOT / "chapters").glob("*.ipynb")):
        pytest.skip("there are no chapters yet")
    return book.build().parent


@pytest.fixture(scope="module", params=["file", "localhost"])
def base(request, html):
    """The address of the book's folder, ending in a slash."""
    if request.param == "file":
        yield html.as_uri() + "/"
        return
    server = book.make_server(html)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def visit(browser, base):
    context = browser.new_context(viewport={"width": WIDE, "height": 900})
    visit = Visit(context.new_page(), base)
    visit.watch()
    yield visit
    context.close()


def pages(html: Path) -> list[str]:
    return sorted(
        path.relative_to(html).as_posix()
        for path in html.rglob("*.html")
        if "_static" not in path.parts
    )


def test_every_page_is_whole(visit, html):
    found = pages(html)
    assert {"index.html", "intro.html", "glossary.html", "references.html"} <= set(
        found
    )
    faults = []
    for address in found:
        visit.faults.clear()
        visit.open(address)
        faults += [f"{address}: {fault}" for fault in visit.look()]
    assert not faults, "\n".join(faults)


def test_dark_pages_are_whole(visit, html):
    faults = []
    for address in pages(html):
        visit.faults.clear()
        visit.page.emulate_media(color_scheme="dark")
        visit.open(address)
        if visit.page.locator("html[data-theme]").count():
            assert visit.page.locator("html[data-theme=dark]").count(), address
        faults += [f"{address}: {fault}" for fault in visit.look()]
    assert not faults, "\n".join(faults)


def chapters(html: Path) -> list[str]:
    return [page for page in pages(html) if page.startswith("chapters/")]


def test_each_slider_and_menu_changes_its_figure(visit, html):
    moved = 0
    for address in chapters(html):
        visit.open(address)
        explorers = visit.page.locator(".explore")
        for index in range(explorers.count()):
            explorer = explorers.nth(index)
            moved += move_all(explorer, f"{address}, figure {index + 1}")
    assert moved, "no chapter has a figure that moves"
    assert not visit.faults


def move_all(explorer, where: str) -> int:
    """Move each slider and menu of one figure and see its picture change."""
    image = explorer.locator("img").first
    controls = explorer.locator("input[type=range], select")
    assert controls.count(), f"{where} has nothing to move"
    for index in range(controls.count()):
        control = controls.nth(index)
        before = image.get_attribute("src")
        if control.evaluate("node => node.tagName") == "SELECT":
            last = control.locator("option").count() - 1
            current = control.evaluate("node => node.selectedIndex")
            control.select_option(index=0 if current == last else last)
        else:
            control.focus()
            low = control.evaluate("node => node.value === node.max")
            control.press("Home" if low else "End")
        assert image.get_attribute("src") != before, f"{where}: nothing changed"
        assert image.evaluate("node => node.decode().then(() => node.naturalWidth)")
        assert image.get_attribute("alt")
    return controls.count()


def test_pointing_at_a_word_shows_where_it_looks(visit):
    visit.open("chapters/03_attention.html")
    figures = visit.page.locator(".hover-words")
    assert figures.count(), "chapter 03 has nothing to hover over"
    for index in range(figures.count()):
        figure = figures.nth(index)
        seen = set()
        for word in figure.locator(".target [data-weights]").all():
            word.hover()
            assert word.get_attribute("aria-pressed") == "true"
            seen.add(figure.locator(".source").inner_text())
        assert len(seen) > 1, "every word looks at the same place"
    assert not visit.faults


def test_the_quiz_answers_at_once_and_by_keyboard(visit, html):
    visit.open("intro.html")
    questions = visit.page.locator("fieldset.quiz")
    assert questions.count() == 8
    for index in range(8):
        question = questions.nth(index)
        assert question.locator("[data-right]").count() == 1
        assert question.locator("details").is_hidden()
        wrong = question.locator("[data-why]").first
        wrong.check()
        feedback = question.locator(".feedback")
        assert feedback.inner_text().startswith("✗")
        assert wrong.get_attribute("data-why") in feedback.inner_text()
        for _ in range(4):
            if feedback.inner_text().startswith("✓"):
                break
            visit.page.keyboard.press("ArrowDown")
        assert feedback.inner_text().startswith("✓")
        links = [a.get_attribute("href") for a in feedback.locator("a").all()]
        assert links, "no further reading"
        for link in links:
            assert link.startswith("https://") or (html / link).is_file(), link
    assert "0 of 8" in visit.page.locator(".quiz-total").inner_text()
    assert not visit.faults


def test_the_quiz_can_be_read_without_javascript(browser, base):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(base + "intro.html")
    assert page.locator("fieldset.quiz details").count() == 8
    assert page.locator("fieldset.quiz details").first.is_visible()
    context.close()


def test_search_finds_a_page(visit):
    visit.open("search.html?q=padding")
    visit.page.wait_for_selector("#search-results li a", timeout=10_000)
    visit.page.wait_for_timeout(500)
    names = visit.page.locator("#search-results li a").all_inner_texts()
    assert any("Glossary" in name or "padding" in name for name in names), names
    assert not visit.faults


def test_nothing_hidden_is_published(html):
    """The pages hold neither the sources nor cells that the book leaves out."""
    assert not (html / "_sources").exists()
    assert not list(html.rglob("*.ipynb"))


def test_chapters_have_a_colab_button(html):
    address = book.repository(book.ROOT)
    for page in chapters(html):
        text = (html / page).read_text("utf-8")
        has_button = f"{book.COLAB}/github/" in text
        assert has_button == address.startswith("https://github.com/"), page


BROKEN = {
    "outside request": "<script src='http://198.51.100.1/x.js'></script>",
    "console": "<script>console.error('told so')</script>",
    "page error": "<script>nothing.here</script>",
    "broken image": "<img src='absent.png' alt='absent'>",
    "image without alt": "<img src='data:image/svg+xml,<svg/>'>",
    "formula not typeset": "<p>so $x_i$ it is</p>",
    "too wide": "<div style='width: 2000px; height: 1px'></div>",
    "bertviz drew nothing": "<div id='bertviz-1'></div>",
    "link to nowhere": "<a href='#gone'>gone</a>",
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_checker_sees_a_broken_page(browser, tmp_path, fault):
    content = "<!doctype html><html><head><meta name=viewport content="
    content += "'width=device-width'></head><body><article>"
    (tmp_path / "page.html").write_text(content + BROKEN[fault], "utf-8")
    context = browser.new_context()
    visit = Visit(context.new_page(), tmp_path.as_uri() + "/")
    visit.watch()
    visit.open("page.html")
    assert any(fault in found for found in visit.look())
    context.close()


def test_the_checker_passes_a_whole_page(browser, tmp_path):
    (tmp_path / "page.html").write_text("<!doctype html><article>All well", "utf-8")
    context = browser.new_context()
    visit = Visit(context.new_page(), tmp_path.as_uri() + "/")
    visit.watch()
    visit.open("page.html")
    assert visit.look() == []
    context.close()
