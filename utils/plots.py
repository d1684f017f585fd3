"""Pictures of the course: arrays or lists in, Axes out.

Colour is never the only signal: lines differ in marker and dash, bars carry
their number. `explore` and `hover_alignment` stay alive without a kernel.
"""

from collections.abc import Callable, Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from utils.arrays import number_array, word_weights
from utils.widgets import Explorer, Hover

# Okabe and Ito's colours, told apart by colour-blind readers too.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")


def plot_alignment(
    weights: object,
    source: Sequence[str],
    target: Sequence[str],
    ax: Axes | None = None,
    gold: Iterable[tuple[int, int]] | None = None,
    title: str | None = None,
) -> Axes:
    """Draw attention weights as a heat map: a row is a target word.

    Args:
        weights: (T, S), from 0 to 1.
        source: S words, written along the top.
        target: T words, written down the side.
        ax: where to draw; a new figure if None.
        gold: (source position, target position) pairs, drawn as outlines.
        title: written above.

    Raises:
        ValueError: if the sizes do not fit or a gold link is outside.

    >>> ax = plot_alignment([[0.9, 0.1]], ["the", "cat"], ["le"], gold=[(0, 0)])
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['the', 'cat']
    """
    array = word_weights(weights, source, target)
    n_target, n_source = array.shape
    if ax is None:
        size = (min(0.4 * n_source + 1.6, 9.0), min(0.32 * n_target + 1.2, 9.0))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    ax.imshow(array, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(n_source), source, rotation=60, ha="left", fontsize=10)
    ax.set_yticks(range(n_target), target, fontsize=10)
    ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    for s, t in gold or ():
        if not (0 <= s < n_source and 0 <= t < n_target):
            raise ValueError(
                f"gold should hold (source, target) positions below ({n_source}, "
                f"{n_target}), holds ({s}, {t}): is the pair the other way round?"
            )
        box = Rectangle((s - 0.42, t - 0.42), 0.84, 0.84, fill=False, lw=1.8)
        box.set_edgecolor(COLORS[1])
        ax.add_patch(box)
    if title:
        ax.set_title(title, fontsize=11)
    return ax


def plot_curve(
    losses: Sequence[float] | dict[str, Sequence[float]],
    ax: Axes | None = None,
    label: str | None = None,
    smooth: int = 1,
    xlabel: str = "step",
    ylabel: str = "loss (nats per token)",
) -> Axes:
    """Draw one or more loss curves.

    Args:
        losses: one list, or label -> list.
        ax: where to draw; a new figure if None.
        smooth: each point is the mean of this many steps up to it.

    Raises:
        ValueError: if a curve is empty or not finite, or smooth is below 1.

    >>> len(plot_curve({"dot": [3.0, 1.0], "additive": [3.0, 2.0]}).lines)
    2
    """
    if smooth < 1:
        raise ValueError(f"smooth should be 1 step or more, is {smooth}: try 20")
    curves = losses if isinstance(losses, dict) else {label or "": losses}
    ax = ax or plt.subplots(figsize=(6, 3.2), layout="constrained")[1]
    for i, (name, values) in enumerate(curves.items()):
        array = number_array(f"losses {name}".strip(), values, 1)
        sums = np.concatenate([[0.0], np.cumsum(array)])
        ends = np.arange(1, len(array) + 1)
        starts = np.maximum(ends - smooth, 0)
        array = (sums[ends] - sums[starts]) / (ends - starts)
        style = {"color": COLORS[i % 6], "ls": DASHES[i % 6]}
        ax.plot(ends, array, label=name or None, **style)
    return _finish(ax, xlabel, ylabel, legend=any(curves))


def plot_by_length(
    lengths: Sequence,
    series: dict[str, object],
    ax: Axes | None = None,
    xlabel: str = "sentence length (tokens)",
    ylabel: str = "BLEU",
) -> Axes:
    """Draw quality against length, with error bars where there are any.

    Args:
        lengths: n numbers, or n names of bins.
        series: label -> n values, or label -> (mean, low, high) of n values each.
        ax: where to draw; a new figure if None.

    Raises:
        ValueError: if a series does not have n values, or low <= mean <= high
            does not hold.

    >>> both = {"plain": [20, 5], "attention": ([27, 26], [26, 25], [28, 27])}
    >>> plot_by_length(["1-10", "11-20"], both).get_ylabel()
    'BLEU'
    """
    ax = ax or plt.subplots(figsize=(6, 3.6), layout="constrained")[1]
    for i, (name, values) in enumerate(series.items()):
        if isinstance(values, tuple) and len(values) == 3 and np.ndim(values[0]):
            parts = [number_array(name, part, 1) for part in values]
        else:
            parts = [number_array(name, values, 1)] * 3
        if {len(part) for part in parts} != {len(lengths)}:
            raise ValueError(
                f"{name!r} should have {len(lengths)} values, one for each length, "
                f"has {[len(part) for part in parts]}: give as many"
            )
        mean, low, high = parts
        if (low > mean).any() or (mean > high).any():
            raise ValueError(f"{name!r} should be (mean, low, high), is out of order")
        style = {"color": COLORS[i % 6], "ls": DASHES[i % 6], "marker": MARKERS[i % 6]}
        error = None if (low == high).all() else np.stack([mean - low, high - mean])
        ax.errorbar(list(lengths), mean, error, label=name, capsize=3, **style)
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    return _finish(ax, xlabel, ylabel, legend=True)


def plot_bars(
    values: dict[str, float | tuple[float, float]],
    ax: Axes | None = None,
    xlabel: str = "",
) -> Axes:
    """Draw one bar for each value, its number beside it.

    Args:
        values: label -> mean, or label -> (mean, spread).
        ax: where to draw; a new figure if None.
        xlabel: what is measured, with its unit.

    Raises:
        ValueError: if there is no value or one is not a number.

    >>> ax = plot_bars({"diagonal": 0.5, "attention": (0.1, 0.02)}, xlabel="AER")
    >>> [text.get_text() for text in ax.texts]
    ['0.5', '0.1 ± 0.02']
    """
    if not values:
        raise ValueError("values should hold label: number, is empty: give one")
    pairs = [v if isinstance(v, tuple | list) else (v, 0) for v in values.values()]
    means, spreads = number_array("values", pairs, 2).T
    size = (6, 0.45 * len(values) + 0.9)
    ax = ax or plt.subplots(figsize=size, layout="constrained")[1]
    error = spreads if spreads.any() else None
    ax.barh(list(values), means, xerr=error, color=COLORS[5], capsize=3)
    for row, (mean, spread) in enumerate(zip(means, spreads, strict=True)):
        text = f"{mean:.3g}" + (f" ± {spread:.2g}" if spread else "")
        ax.annotate(text, (mean + spread, row), (5, 0), textcoords="offset points",
                    va="center")  # fmt: skip
    ax.invert_yaxis()
    ax.margins(x=0.25)
    return _finish(ax, xlabel, "")


def _finish(ax: Axes, xlabel: str, ylabel: str, legend: bool = False) -> Axes:
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    if legend:
        ax.legend(frameon=False)
    return ax


def explore(
    draw: Callable,
    *,
    alt: str | Callable[..., str],
    figsize: tuple[float, float] = (6.0, 3.6),
    start: dict | None = None,
    **controls: Sequence,
) -> Explorer:
    """Make a figure that the reader can move, also where there is no kernel.

    Every picture is drawn now, so keep them few and small.

    Args:
        draw: draw(ax, **values) draws one picture on an empty Axes.
        alt: what the picture shows, or alt(**values) that says it.
        start: the values shown first; the first of each control if None.
        controls: one or two: name -> numbers (a slider) or strings (a menu).

    Raises:
        ValueError: if a control cannot be one, or there are too many pictures.

    >>> explore(lambda ax, a: ax.plot([0, a]), alt="a line", a=[1, 2])
    <Explorer: a, 2 pictures>
    """
    return Explorer(draw, alt, figsize, start or {}, controls)


def hover_alignment(
    weights: object, source: Sequence[str], target: Sequence[str], start: int = 0
) -> Hover:
    """Two rows of words: point at a target word, see its source words.

    Args:
        weights: (T, S), from 0 to 1.
        source, target: S and T words.
        start: the target position shown first.

    Raises:
        ValueError: if the sizes do not fit.

    >>> hover_alignment([[0.9, 0.1]], ["the", "cat"], ["le"])
    <Hover: 1 target words over 2 source words>
    """
    array = word_weights(weights, source, target)
    if not 0 <= start < len(target):
        raise ValueError(f"start should be below {len(target)}, is {start}: try 0")
    return Hover(array, list(source), list(target), start)
