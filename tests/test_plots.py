"""The pictures hold what they are given; moving figures move in a real browser."""

import base64
import io
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from utils.plots import (
    explore,
    hover_alignment,
    plot_alignment,
    plot_bars,
    plot_by_length,
    plot_curve,
)

WEIGHTS = [[0.9, 0.1, 0.0], [0.2, 0.2, 0.6]]
SOURCE, TARGET = ["the", "black", "<cat>"], ["le", "chat"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


# --- pictures -------------------------------------------------------------------


def test_alignment_shows_the_weights_given():
    ax = plot_alignment(torch.tensor(WEIGHTS), SOURCE, TARGET, gold=[(2, 1)])
    assert np.allclose(ax.images[0].get_array(), WEIGHTS)
    assert ax.images[0].get_clim() == (0, 1)
    assert [label.get_text() for label in ax.get_yticklabels()] == TARGET
    (box,) = ax.patches
    assert box.get_x() + box.get_width() / 2 == pytest.approx(2)
    assert box.get_y() + box.get_height() / 2 == pytest.approx(1)


def test_a_picture_goes_where_it_is_told():
    _, axes = plt.subplots(1, 4)
    assert plot_alignment(WEIGHTS, SOURCE, TARGET, ax=axes[0]) is axes[0]
    assert plot_curve([1.0], ax=axes[1]) is axes[1]
    assert plot_by_length([5], {"a": [1]}, ax=axes[2]) is axes[2]
    assert plot_bars({"a": 1}, ax=axes[3]) is axes[3]
    assert len(plt.get_fignums()) == 1


def test_lines_differ_in_more_than_colour():
    names = "abcdef"
    curves = plot_curve({name: [1.0, 2.0] for name in names}).lines
    assert len({str(line._dash_pattern) for line in curves}) == 6
    series = {name: ([1, 2], [0, 1], [2, 3]) for name in names}
    ax = plot_by_length([10, 20], series)
    assert len({c.lines[0].get_marker() for c in ax.containers}) == 6
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(names)


def test_curve_is_a_running_mean():
    losses = [4.0, 2.0, 6.0, 0.0]
    (line,) = plot_curve(losses, smooth=2).lines
    assert line.get_xdata().tolist() == [1, 2, 3, 4]
    assert line.get_ydata().tolist() == [4, 3, 4, 3]
    assert plot_curve(losses).get_legend() is None
    assert plot_curve(losses, label="dot").get_legend() is not None


def test_error_bars_reach_from_low_to_high():
    ax = plot_by_length([10, 20], {"a": ([5, 6], [4, 3], [8, 7]), "b": [1, 2]})
    (bars,) = ax.containers[0].lines[2]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [[4, 8], [3, 7]]
    assert not ax.containers[1].lines[2]


def test_bars_carry_their_number():
    ax = plot_bars({"a": 0.25, "b": (0.5, 0.1)}, xlabel="AER")
    assert [bar.get_width() for bar in ax.patches] == [0.25, 0.5]
    assert [text.get_text() for text in ax.texts] == ["0.25", "0.5 ± 0.1"]


def line(ax, a):
    ax.plot([0, a])


WRONG = {
    "transposed": (lambda: plot_alignment(WEIGHTS, TARGET, SOURCE), "transpose or cut"),
    "a batch": (lambda: plot_alignment([WEIGHTS], SOURCE, TARGET), "2 axes"),
    "scores": (lambda: plot_alignment([[3.0]], ["a"], ["b"]), "apply softmax"),
    "NaN": (lambda: plot_alignment([[np.nan]], ["a"], ["b"]), "holds NaN or inf"),
    "words": (lambda: plot_alignment([["a"]], ["a"], ["b"]), "should be numbers"),
    "gold": (
        lambda: plot_alignment(WEIGHTS, SOURCE, TARGET, gold=[(1, 2)]),
        "other way round",
    ),
    "empty curve": (lambda: plot_curve([]), "hold a number"),
    "smooth": (lambda: plot_curve([1.0], smooth=0), "smooth should be 1"),
    "too few": (lambda: plot_by_length([1, 2], {"a": [1]}), "'a' should have 2 values"),
    "order": (
        lambda: plot_by_length([1], {"a": ([1], [2], [3])}),
        "should be .mean, low, high",
    ),
    "no bars": (lambda: plot_bars({}), "is empty"),
    "no control": (lambda: explore(line, alt="a"), "1 or 2 controls"),
    "three": (lambda: explore(line, alt="a", a=[1], b=[1], c=[1]), "1 or 2 controls"),
    "too many": (lambda: explore(line, alt="a", a=range(81)), "at most 80 pictures"),
    "scalar": (lambda: explore(line, alt="a", a=3), "a should be a list"),
    "string": (lambda: explore(line, alt="a", a="menu"), "bind a fixed value in draw"),
    "nothing": (lambda: explore(line, alt="a", a=[]), "a should be a list"),
    "mixed": (lambda: explore(line, alt="a", a=[1, None]), "a should be finite"),
    "no alt": (lambda: explore(line, alt=" ", a=[1]), "alt should be words"),
    "start": (lambda: explore(line, alt="a", start={"a": 9}, a=[1]), "start should be"),
    "hover start": (
        lambda: hover_alignment(WEIGHTS, SOURCE, TARGET, start=2),
        "start should be below 2",
    ),
    "hover": (lambda: hover_alignment(WEIGHTS, TARGET, SOURCE), "transpose or cut"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_input_is_named(what):
    make, words = WRONG[what]
    with pytest.raises(ValueError, match=words):
        make()


# --- figures that move ------------------------------------------------------------


def bars(ax, height, name):
    ax.bar(["x"], [height])
    ax.set_ylim(0, 4)
    ax.set_title(name)


def tell(height, name):
    return f'a "bar" of {height:g} <b> {name}'


def small_figure(**more):
    controls = {"height": [1, 2.5, 4], "name": ["été", "</script>"]}
    return explore(bars, alt=tell, figsize=(3, 2), **controls, **more)


def test_each_combination_is_drawn_once():
    seen = []
    figure = explore(lambda ax, a, b: seen.append((a, b)), alt="a", a=[1, 2], b=["x"])
    assert seen == [(1, "x"), (2, "x")]
    assert len(set(small_figure().frames)) == 6
    assert len(figure.frames) == 2
    assert not plt.get_fignums(), "a figure was left open"


def test_frames_are_small_pngs():
    raw = base64.b64decode(small_figure().frames[0])
    image = Image.open(io.BytesIO(raw))
    assert (image.format, image.size, image.mode) == ("PNG", (300, 200), "P")
    assert len(raw) < 4000


def test_the_same_figure_gives_the_same_page():
    assert small_figure()._repr_html_() == small_figure()._repr_html_()
    bundle = small_figure()._repr_mimebundle_()
    assert bundle["text/plain"] == "<Explorer: height, name, 6 pictures>"
    assert bundle["text/html"] == small_figure()._repr_html_()


def test_the_start_is_shown_without_javascript():
    figure = small_figure(start={"height": 2.5, "name": "</script>"})
    html = figure._repr_html_()
    shown = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', html)
    assert shown[1] == figure.frames[3]
    assert shown[2] == "a &quot;bar&quot; of 2.5 &lt;b&gt; &lt;/script&gt;"
    assert 'value="1" autocomplete' in html and "selected>&lt;/script" in html


def test_no_request_is_in_the_page():
    for widget in (small_figure(), hover_alignment(WEIGHTS, SOURCE, TARGET)):
        html = widget._repr_html_()
        html = re.sub(r"[\w+/]{200,}", "", html)  # the pictures
        assert not re.search(r"https?:|//\w|url\(|@import", html)


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page that holds some widgets; every error and request is a fault."""
    faults, pages = [], []

    def asked(url: str) -> None:
        if not url.startswith(("data:", (tmp_path / "page.html").as_uri())):
            faults.append(f"asked for {url[:200]}")

    def open_(*widgets, width: int = 390, **settings):
        html = "".join(widget._repr_html_() for widget in widgets)
        head = "<!doctype html><meta charset=utf-8><meta name=viewport "
        head += "content='width=device-width'><body style='background: #111'>"
        (tmp_path / "page.html").write_text(head + html, "utf-8")
        viewport = {"width": width, "height": 700}
        page = browser.new_page(viewport=viewport, **settings)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: asked(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()
    assert faults == []


def test_slider_and_menu_change_picture_text_and_value(visit):
    figure = small_figure()
    page = visit(figure, figure)  # the same one twice: each moves by itself
    first, second = page.locator(".explore").all()
    slider, menu, image = (first.locator(x) for x in ("input", "select", "img"))
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert image.get_attribute("src").endswith(figure.frames[2])
    assert first.locator("output").inner_text() == "2.5"
    assert slider.get_attribute("aria-valuetext") == "2.5"
    menu.select_option("</script>")
    assert image.get_attribute("src").endswith(figure.frames[3])
    assert image.get_attribute("alt") == 'a "bar" of 2.5 <b> </script>'
    assert second.locator("img").get_attribute("src").endswith(figure.frames[0])
    assert page.get_by_label("height").count() == page.get_by_label("name").count() == 2


def test_arrow_keys_stay_in_the_figure(visit):
    page = visit(small_figure())
    page.evaluate("document.addEventListener('keydown', () => { window.left = 1 })")
    page.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("window.left") is None


@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_sticks_out(visit, width):
    wide = explore(lambda ax, name: None, alt="a", figsize=(9, 3), name=["w" * 90, "b"])
    words = [f"word{i}" for i in range(40)]
    hover = hover_alignment(np.eye(40), words, words)
    page = visit(wide, hover, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for box in page.locator(".explore, .hover-words").all():
        assert box.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_hovering_and_tabbing_shade_the_source_words(visit):
    page = visit(hover_alignment(WEIGHTS, SOURCE, TARGET))
    texts = page.locator(".source small")
    assert texts.all_inner_texts() == ["90 %", "10 %", ""]
    page.locator(".target span").nth(1).hover()
    assert texts.all_inner_texts() == ["20 %", "20 %", "60 %"]
    shade = "node => getComputedStyle(node).backgroundColor"
    cat = page.locator(".source span").nth(2)
    assert cat.evaluate(shade) == "rgba(230, 159, 0, 0.6)"
    page.keyboard.press("Tab")
    assert texts.all_inner_texts() == ["90 %", "10 %", ""]
    assert cat.evaluate(shade) == "rgba(230, 159, 0, 0)"
    assert page.locator("[aria-pressed=true]").inner_text() == "le"


def luminance(color: tuple[float, ...]) -> float:
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_words_can_be_read_on_every_shade(visit):
    """WCAG's contrast, at full weight, on a dark page and a light one."""
    hover = hover_alignment([[1.0]], ["a"], ["b"])
    for scheme in ("light", "dark"):
        page = visit(hover, color_scheme=scheme)
        style = "node => [getComputedStyle(node).color, "
        style += "getComputedStyle(node).backgroundColor]"
        pair = page.locator(".source span").evaluate(style)
        ink, paper = (
            luminance(tuple(int(c) / 255 for c in re.findall(r"\d+", color)[:3]))
            for color in pair
        )
        assert (paper + 0.05) / (ink + 0.05) > 4.5


def test_without_javascript_the_first_picture_stands(visit):
    page = visit(small_figure(), java_script_enabled=False)
    assert page.locator("img").bounding_box()["width"] == 300
