"""Figures that live in a page by themselves: HTML, a few lines of JavaScript.

No library and no request: the same block works in Colab, in the book and on a
slide. Without JavaScript the first picture stays.
"""

import base64
import hashlib
import io
import json
from collections.abc import Callable
from html import escape

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# White paper and dark ink in light and dark pages alike.
_STYLE = """<style>
.explore, .hover-words { box-sizing: border-box; max-width: 46em; margin: 0;
  padding: 10px 12px; border: 1px solid #c9d1d9; border-radius: 8px;
  background: #fff; color: #1d2733; font-family: inherit; }
.explore img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.explore .controls { display: flex; flex-wrap: wrap; gap: 4px 24px; }
.explore label { display: flex; flex: 1 1 14em; align-items: center; gap: 10px;
  margin: 0; color: #1d2733; }
.explore input { flex: 1 1 6em; min-width: 5em; accent-color: #0b6e7f; }
.explore select { font: inherit; color: #1d2733; background: #fff; padding: 2px 6px;
  border: 1px solid #5b6876; border-radius: 4px; max-width: 100%; }
.explore output { min-width: 3em; font-variant-numeric: tabular-nums;
  font-weight: 600; color: #1d2733; }
.hover-words div { display: flex; flex-wrap: wrap; gap: 4px; margin: 4px 0; }
.hover-words b { flex: 0 0 100%; font-size: .8em; font-weight: 400; color: #4a5560; }
.hover-words span { padding: 2px 6px; border-radius: 5px; text-align: center;
  color: #1d2733; }
.hover-words small { display: block; min-height: 1.3em; min-width: 2.8em;
  font-size: .75em; font-variant-numeric: tabular-nums; }
.hover-words [tabindex] { cursor: pointer; border: 1px solid #c9d1d9; }
.hover-words [aria-pressed=true] { border-color: #1d2733; background: #e8ecef;
  font-weight: 700; }
.explore :focus-visible, .hover-words :focus-visible { outline: 3px solid #0b6e7f;
  outline-offset: 1px; }
</style>"""
# Takes every block not yet alive: a page may hold the same block twice.
_EXPLORE_JS = """<script>
for (const box of document.querySelectorAll('.explore:not([data-alive])')) {
  const data = box.querySelector('script[type="application/json"]');
  if (!data) continue;
  box.dataset.alive = '1';
  const {frames, alts, values} = JSON.parse(data.textContent);
  const image = box.querySelector('img');
  const controls = [...box.querySelectorAll('input, select')];
  const show = () => {
    let index = 0;
    controls.forEach((control, i) => {
      const at = Number(control.value);
      index = index * values[i].length + at;
      if (control.type !== 'range') return;
      control.setAttribute('aria-valuetext', values[i][at]);
      control.nextElementSibling.value = values[i][at];
    });
    image.src = 'data:image/png;base64,' + frames[index];
    image.alt = alts[index];
  };
  for (const control of controls) control.addEventListener('input', show);
  /* arrow keys move the slider, not the slide */
  box.addEventListener('keydown', event => event.stopPropagation());
  show();
}
</script>"""
_HOVER_JS = """<script>
for (const box of document.querySelectorAll('.hover-words:not([data-alive])')) {
  box.dataset.alive = '1';
  const source = [...box.querySelectorAll('.source span')];
  const target = [...box.querySelectorAll('.target span')];
  const show = word => {
    target.forEach(other => other.setAttribute('aria-pressed', other === word));
    word.dataset.weights.split(' ').forEach((percent, i) => {
      source[i].style.background = `rgba(230, 159, 0, ${percent / 100})`;
      source[i].lastElementChild.textContent = percent > 0 ? percent + ' %' : '';
    });
  };
  for (const word of target)
    for (const event of ['mouseenter', 'focus', 'click'])
      word.addEventListener(event, () => show(word));
}
</script>"""


def frame(draw: Callable, values: dict, figsize: tuple[float, float]) -> str:
    """One picture as base64 PNG, in few colours where Pillow is there."""
    figure = Figure(figsize=figsize, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.subplots(), **values)
    raw = io.BytesIO()
    figure.savefig(raw, format="png", facecolor="white", metadata={"Software": None})
    try:
        from PIL import Image
    except ImportError:
        return base64.b64encode(raw.getvalue()).decode()
    small = io.BytesIO()
    image = Image.open(raw).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    image.save(small, format="png", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def _named(kind: str, body: str, script: str) -> str:
    """A block whose id follows from what it holds."""
    name = hashlib.sha256(body.encode()).hexdigest()[:10]
    block = f'<div class="{kind}" id="{kind}-{name}">\n{body}\n</div>'
    return f"{_STYLE}\n{block}\n{script}"


class Explorer:
    """A figure with one or two controls; made by `utils.plots.explore`."""

    def __init__(
        self, choices: dict[str, list], first: dict, frames: list[str], alts: list[str]
    ) -> None:
        if len(frames) != np.prod([len(values) for values in choices.values()]):
            raise ValueError(f"frames should be one for each choice, are {len(frames)}")
        self.choices, self.first = choices, first
        self.frames, self.alts = frames, alts

    def __repr__(self) -> str:
        return f"<Explorer: {', '.join(self.choices)}, {len(self.frames)} pictures>"

    def _repr_html_(self) -> str:
        index, controls = 0, []
        for name, values in self.choices.items():
            at = values.index(self.first[name])
            index = index * len(values) + at
            controls.append(_control(name, _texts(values), at))
        texts = [_texts(values) for values in self.choices.values()]
        data = {"frames": self.frames, "alts": self.alts, "values": texts}
        json_text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
        body = (
            f'<img src="data:image/png;base64,{self.frames[index]}" '
            f'alt="{escape(self.alts[index])}">\n'
            f'<div class="controls">{"".join(controls)}</div>\n'
            f'<script type="application/json">{json_text}</script>'
        )
        return _named("explore", body, _EXPLORE_JS)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}


def _texts(values: list) -> list[str]:
    return [v if isinstance(v, str) else f"{v:.6g}" for v in values]


def _control(name: str, texts: list[str], at: int) -> str:
    """A slider for numbers, a menu for words, each with its label."""
    name = escape(name)
    try:
        [float(text) for text in texts]
    except ValueError:
        options = "".join(
            f'<option value="{i}"{" selected" * (i == at)}>{escape(text)}</option>'
            for i, text in enumerate(texts)
        )
        return f"<label>{name} <select>{options}</select></label>"
    return (
        f'<label>{name} <input type="range" min="0" max="{len(texts) - 1}" step="1" '
        f'value="{at}" autocomplete="off" aria-valuetext="{texts[at]}">'
        f"<output>{texts[at]}</output></label>"
    )


class Hover:
    """Words to point at; made by `utils.plots.hover_alignment`."""

    def __init__(
        self, weights: np.ndarray, source: list[str], target: list[str], start: int
    ) -> None:
        if weights.shape != (len(target), len(source)):
            raise ValueError(f"weights should be (T, S), have shape {weights.shape}")
        self.percents = np.rint(weights * 100).astype(int)  # (T, S)
        self.source, self.target, self.start = source, target, start

    def __repr__(self) -> str:
        n_target, n_source = self.percents.shape
        return f"<Hover: {n_target} target words over {n_source} source words>"

    def _repr_html_(self) -> str:
        source = "".join(
            f'<span style="background: rgba(230, 159, 0, {p / 100})">{escape(word)}'
            f"<small>{f'{p} %' if p else ''}</small></span>"
            for word, p in zip(self.source, self.percents[self.start], strict=True)
        )
        target = "".join(
            f'<span role="button" tabindex="0" '
            f'aria-pressed="{"true" if t == self.start else "false"}" '
            f'data-weights="{" ".join(map(str, row))}">{escape(word)}</span>'
            for t, (word, row) in enumerate(
                zip(self.target, self.percents, strict=True)
            )
        )
        body = (
            f'<div class="source" aria-live="polite"><b>source</b>{source}</div>\n'
            f'<div class="target"><b>target: point at a word, or press Tab</b>'
            f"{target}</div>"
        )
        return _named("hover-words", body, _HOVER_JS)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}
