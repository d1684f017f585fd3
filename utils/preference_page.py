"""Two responses side by side: choose, and see a reward model learn your taste.

The page fits by itself, as `utils.preferences` does in Python. Where Colab runs a
kernel, each choice arrives there too.
"""

import json
import random
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from utils.preferences import (
    FEATURES,
    Preference,
    features,
    fit_bradley_terry,
    load_preferences,
    read_json_lines,
)
from utils.widgets import page_block

HELD_OUT = (
    "What does temperature do when a model writes?",
    (
        "It sets how bold the choice of the next token is.",
        "The logits are divided by T: 0.5 makes the likely tokens likelier still, "
        "2 evens them out.",
        "Suppose you ask what follows “the cat sat on the”. At a low temperature you "
        "nearly always get “mat”; at a high one you also get “moon”.",
        "Temperature rescales logits, controlling the entropy of the resulting "
        "categorical distribution.",
        "It usually makes text somewhat more varied, but how much may depend on the "
        "model and perhaps on the prompt.",
        "Before each token, the model has a score for all those it knows. The scores "
        "are divided by the temperature and made into shares. When it is small, the "
        "best token wins nearly always; when it is large, the others get a chance. "
        "The model itself stays as it is.",
    ),
)


def _card(n: int, response: str) -> str:
    """One of the two responses, with its button."""
    return (
        f'<div class="response"><small>response {n}</small><p>{escape(response)}</p>'
        f'<button type="button" disabled aria-keyshortcuts="{n}">'
        f"I prefer this one <kbd>{n}</kbd></button></div>"
    )


class PreferencePage:
    """Made by `prefer`.

    Attributes:
        preferences: the choices that reached Python, in order.
        weights: (F,) of the reward fitted to them, in the order of FEATURES.
    """

    def __init__(
        self,
        pairs: Sequence[Preference],
        held_out: tuple[str, Sequence[str]],
        seed: int,
        l2: float,
    ) -> None:
        prompt, responses = held_out
        if not pairs or len(responses) < 2:
            raise ValueError(
                f"a page should have a pair and 2 held-out responses or more, has "
                f"{len(pairs)} and {len(responses)}: utils.preferences.PAIRS has some"
            )
        sides = random.Random(seed)
        self.pairs = []
        for asked, *two in pairs:
            sides.shuffle(two)
            self.pairs.append((asked, *two))
        self.prompt, self.responses, self.l2 = prompt, list(responses), l2
        counts = features([text for pair in self.pairs for text in pair[1:]])
        spread = counts.std(0)
        self.mean, self.spread = counts.mean(0), np.where(spread > 0, spread, 1.0)
        self.learn([])
        self.body = self._body()
        self.html = page_block("prefer", self.body, "preferences.js")
        self._listen()

    def learn(self, preferences: str | Path | Sequence[Preference]) -> np.ndarray:
        """Fit the reward to choices: a list of them, or a file that was saved."""
        if isinstance(preferences, str | Path):
            preferences = load_preferences(preferences)
        won, lost = (
            self._standard([preference[side] for preference in preferences])
            for side in (1, 2)
        )
        # A difference of 0 teaches nothing, and is there before the first choice.
        differences = np.vstack([np.zeros(len(FEATURES)), won - lost])
        self.weights = fit_bradley_terry(differences, self.l2)
        self.preferences = list(preferences)
        return self.weights

    def reward(self, response: str) -> float:
        """What the fitted reward gives a response; 0 is an average one."""
        return float(self._standard([response])[0] @ self.weights)

    def _standard(self, responses: Sequence[str]) -> np.ndarray:
        """Features less their mean, in standard deviations of the page's pairs."""
        return (features(responses) - self.mean) / self.spread

    def _listen(self) -> None:
        """In Colab, let the page call `learn` with all choices after each click."""
        try:
            from google.colab import output
        except ImportError:
            return
        name = self.html.partition('id="')[2].partition('"')[0]
        output.register_callback(name, self._hear)

    def _hear(self, json_lines: str) -> None:
        self.learn(read_json_lines(json_lines))

    def _data(self) -> str:
        """What the script needs; no text in it can end or comment out the script."""
        left, right = (
            self._standard([pair[side] for pair in self.pairs]) for side in (1, 2)
        )
        data = {
            "pairs": self.pairs,
            # Rounded, so that the block is the same from every machine.
            "differences": (left - right).round(9).tolist(),
            "heldOut": self._standard(self.responses).round(9).tolist(),
            "l2": self.l2,
        }
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        return text.replace("<", "\\u003c")

    def _body(self) -> str:
        """The first pair, no choice made: what stands without JavaScript."""
        asked, *two = self.pairs[0]
        cards = "".join(map(_card, (1, 2), two))
        bars = "".join(
            f"<li><span>{less}</span><i><b></b></i><span>{more}</span>"
            "<var>0.00</var></li>"
            for less, more, _ in FEATURES
        )
        ranked = "".join(
            f"<li><span>{escape(text)}</span><var>0.00</var><small></small></li>"
            for text in self.responses
        )
        return (
            f'<p class="head"><b>Which response do you prefer?</b>'
            f"<span>pair 1 of {len(self.pairs)}</span></p>\n"
            f'<p class="asked" tabindex="-1"><small>prompt</small>'
            f"<b>{escape(asked)}</b></p>\n"
            f'<div class="two">{cards}</div>\n'
            '<p class="keys"><button type="button" class="skip" disabled '
            'aria-keyshortcuts="s">No preference, skip <kbd>S</kbd></button>'
            '<button type="button" class="undo" disabled aria-keyshortcuts="u">'
            "Undo <kbd>U</kbd></button><span>keys: 1 or ←, 2 or →, S, U</span></p>\n"
            '<output aria-live="polite">Choosing needs JavaScript, which does not run '
            "here.</output>\n"
            f'<div class="learned"><div><b>What the reward likes</b><ul>{bars}</ul>'
            f"</div>\n<div><b>How it ranks</b> responses to “{escape(self.prompt)}”"
            f"<ol>{ranked}</ol></div></div>\n"
            '<p class="keys"><button type="button" class="save" disabled>'
            "Save preferences.jsonl</button><span></span></p>\n"
            "<details><summary>Your choices as text, to copy</summary>"
            '<textarea readonly rows="5" spellcheck="false" '
            'aria-label="your choices as JSON lines"></textarea>'
            "Saved, they load in Python: <code>page.learn(&quot;preferences.jsonl"
            "&quot;)</code></details>\n"
            f'<script type="application/json">{self._data()}</script>'
        )

    def __repr__(self) -> str:
        return f"<PreferencePage: {len(self.pairs)} pairs>"

    def _repr_html_(self) -> str:
        return self.html

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}


def prefer(
    pairs: Sequence[Preference],
    held_out: tuple[str, Sequence[str]] = HELD_OUT,
    seed: int = 0,
    l2: float = 1.0,
) -> PreferencePage:
    """Ask a reader which of two responses is better, and fit a reward at once.

    In Colab each choice arrives in `.preferences` and `.weights`. Elsewhere the
    page works by itself: save the choices in it, then
    `page.learn("~/Downloads/preferences.jsonl")`.

    Args:
        pairs: what to ask, in order. Who won before does not show: `seed` decides
            which response stands first.
        held_out: a prompt and responses to it, which the fitted reward ranks.
        seed: of the order in each pair.
        l2: strength of the penalty on the weights, over 0.

    Raises:
        ValueError: if there is no pair, fewer than 2 held-out responses, or l2 is
            not over 0.

    >>> prefer([Preference("2+2?", "4", "5, perhaps")])
    <PreferencePage: 1 pairs>
    """
    return PreferencePage(pairs, held_out, seed, l2)
