"""The page's tokens are Python's, in a real browser, for whatever is typed."""

import random
import re

import pytest
from tokenizer_texts import ARABIC, CHINESE, CODE, EMOJI, FRENCH, GERMAN, strings

from utils.bpe import ByteBPE
from utils.packages import play
from utils.token_widget import TokenField

START = "To be, or not  to bé 👍\n<b>&amp;\t"


@pytest.fixture(scope="module")
def bpe():
    return ByteBPE.train(play("hamlet"), 1024)


@pytest.fixture(scope="module")
def field(bpe):
    return TokenField(bpe.merges, bpe.encode, START)


@pytest.fixture
def visit(browser, tmp_path, field):
    """Open a page that holds the field; every error and request is a fault."""
    faults, pages = [], []

    def open_(width: int = 390, n: int = 1, field=field, **settings):
        head = "<!doctype html><meta charset=utf-8><meta name=viewport "
        head += "content='width=device-width'><body style='background: #111'>"
        path = tmp_path / "page.html"
        path.write_text(head + field._repr_html_() * n, "utf-8")
        page = browser.new_page(viewport={"width": width, "height": 800}, **settings)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url))
        page.goto(path.as_uri())
        pages.append(page)
        assert faults == [path.as_uri()]
        faults.clear()
        return page

    yield open_
    for page in pages:
        page.close()
    assert faults == []


def ids_of(page) -> list[int]:
    return [int(i) for i in page.locator(".tokens i").all_inner_texts()]


def typed() -> list[str]:
    """Varied strings as a page keeps them: no carriage return, at most 2,000."""
    texts = ["aaa", "aaaa", "aaaaa a aa", *EMOJI, "", "\ufeffa", "a\x85 b", "x\x00y"]
    texts += [GERMAN, FRENCH, CHINESE, ARABIC, CODE, "don't I'LL ''s", "12 345"]
    texts += ["<script>alert(1)</script>", "&lt;", " \n\n  x", "\t\tif", "a" * 2000]
    texts += strings()[::50]
    return [text.replace("\r", "")[:2000] for text in texts]


def test_the_page_s_ids_are_python_s(visit, bpe):
    page = visit()
    texts = typed()
    assert len(texts) >= 200
    area = page.locator("textarea")
    for text in texts:
        area.fill(text)
        kept = area.input_value()
        assert kept == text
        assert ids_of(page) == bpe.encode(text), repr(text)
        count = f"{len(bpe.encode(text))} tokens, {len(text)} characters, "
        count += f"{len(text.encode())} bytes"
        assert page.locator("output").inner_text() == count


def test_overlapping_pairs_and_ties_are_python_s_too(visit):
    rng = random.Random(0)
    some = ["".join(rng.choices("aab c", k=rng.randint(1, 40))) for _ in range(60)]
    small = ByteBPE.train("aaa aaaaa aaaaaaaa abab baba cc " + " ".join(some), 300)
    assert small.merges[0] == (97, 97)
    page = visit(field=TokenField(small.merges, small.encode, "aaa"))
    assert ids_of(page) == small.encode("aaa")
    for text in ["a" * n for n in range(1, 40)] + some:
        page.locator("textarea").fill(text)
        assert ids_of(page) == small.encode(text), text


def test_spaces_of_all_kinds_are_python_s_too(visit):
    spaces = [chr(c) for c in range(0x3001) if chr(c).isspace() and chr(c) not in "\r"]
    texts = [f"a{c}b {c}{c}a !{c}{c} b  {c}" for c in [*spaces, "\ufeff", "\u200b"]]
    small = ByteBPE.train(texts * 3, 700)
    page = visit(field=TokenField(small.merges, small.encode, "a"))
    for text in texts:
        page.locator("textarea").fill(text)
        assert ids_of(page) == small.encode(text), repr(text)


def test_tokens_follow_the_keys(visit, bpe):
    page = visit(n=2)  # the same field twice: each by itself
    page.evaluate("document.addEventListener('keydown', () => { window.left = 1 })")
    area = page.get_by_label("Type here").first
    area.focus()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("aaa the ")
    first, second = page.locator(".type-tokens").all()
    assert ids_of(first) == bpe.encode("aaa the ")
    assert ids_of(second) == bpe.encode(START)
    assert page.evaluate("window.left") is None, "a slide would turn"
    page.keyboard.press("Tab")  # a long list can be scrolled by keys
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "tokens: text, id, bytes"


def test_the_first_picture_is_the_page_s_own(visit, bpe):
    page = visit()
    before = page.locator(".tokens").inner_html(), page.locator("output").inner_html()
    page.locator("textarea").fill("")
    assert ids_of(page) == []
    page.locator("textarea").fill(START)
    after = page.locator(".tokens").inner_html(), page.locator("output").inner_html()
    assert before == after


def test_without_javascript_the_first_text_stands(visit, bpe):
    page = visit(java_script_enabled=False)
    assert ids_of(page) == bpe.encode(START)
    assert page.locator("textarea").input_value() == START


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_and_all_can_be_read(visit, width, scheme):
    page = visit(width=width, color_scheme=scheme)
    page.locator("textarea").fill(
        "antidisestablishmentarianism 👩‍👩‍👧‍👦 " * 20 + " " * 300
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator(".type-tokens")
    assert box.evaluate("node => node.scrollWidth <= node.clientWidth")
    style = "node => [getComputedStyle(node).color, "
    style += "getComputedStyle(node).backgroundColor, "
    style += "getComputedStyle(node).borderTopWidth]"
    for n in range(3):
        ink, paper, border = page.locator(".tokens span").nth(n).evaluate(style)
        assert contrast(ink, paper) > 7
        assert float(border.removesuffix("px")) >= 1
    assert contrast(*page.locator("textarea").evaluate(style)[:2]) > 7


def contrast(ink: str, paper: str) -> float:
    """WCAG's contrast of two colours written rgb(…)."""
    light = []
    for color in (ink, paper):
        parts = [int(c) / 255 for c in re.findall(r"\d+", color)[:3]]
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
                 for c in parts]  # fmt: skip
        light.append(0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_no_request_and_the_same_page_each_time(field, bpe):
    html = field._repr_html_()
    assert not re.search(r"https?:|//\w|url\(|@import", html)
    assert html == TokenField(bpe.merges, bpe.encode, START)._repr_html_()
    assert len(html) < 25_000
    bundle = field._repr_mimebundle_()
    assert bundle == {"text/html": html, "text/plain": "<TokenField: 1024 tokens>"}


@pytest.mark.parametrize(
    ("merges", "text", "message"),
    [
        ([(97, 256)], "a", "merge 0 should join two earlier"),
        ([(-1, 97)], "a", "merge 0 should join"),
        ([(97, 97)] * 65_300, "a", "65280 or fewer"),
        ([], "\na", "begin with one that shows"),
        ([], "a" * 2001, "at most 2000"),
    ],
)
def test_messages(merges, text, message):
    with pytest.raises(ValueError, match=message):
        TokenField(merges, lambda text: [], text)
