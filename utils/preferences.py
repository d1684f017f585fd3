"""Which of two responses was preferred: kept as JSON lines, fitted by a reward.

The reward is as small as it can be: a weighted sum of things that one can count
in a response. It learns a taste from a handful of choices, in Python or in a page.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.arrays import number_array

# Written for this course; the winners are its authors' taste: plain words, an
# example, no hedging. In the one pair about a fact, the true response won.
PAIRS = Path(__file__).with_name("preference_pairs.jsonl")


class Preference(NamedTuple):
    """One choice: of two responses to a prompt, the one that was liked better."""

    prompt: str
    winning_response: str
    losing_response: str


class MalformedLines(ValueError):
    """Some lines are no preference; those that are wait in `preferences`.

    Attributes:
        preferences: the good lines, in order.
        faults: (line number from 1, what is wrong, the line) of each other line.
    """

    def __init__(self, preferences: list[Preference], faults: list[tuple]) -> None:
        self.preferences, self.faults = preferences, faults
        n_lines = len(preferences) + len(faults)
        named = "\n".join(f"  line {number}: {what}" for number, what, _ in faults)
        super().__init__(
            f"each line should be a JSON object with {', '.join(Preference._fields)}; "
            f"of {n_lines} lines {len(faults)} should be mended:\n{named}\n"
            f"The {len(preferences)} good ones are not lost: catch this error as "
            "`error` and take error.preferences"
        )


def _once(pairs: list[tuple[str, object]]) -> dict:
    """A JSON object, unless a key stands twice: one value would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _fault(found: object) -> str | None:
    """What keeps an object from being a preference; None if nothing does."""
    if not isinstance(found, dict):
        return f"is a {type(found).__name__}, not an object in braces"
    for key in Preference._fields:
        if key not in found:
            return f"{key} is absent; its keys are {', '.join(found) or 'none'}"
        if not isinstance(found[key], str):
            return f"{key} is {json.dumps(found[key])[:40]}, not a string"
        if not found[key].strip():
            return f"{key} is empty"
    if found["winning_response"] == found["losing_response"]:
        return "winning_response and losing_response are the same"
    return None


def _read_line(line: str) -> tuple[object, str | None]:
    """What a line holds and what is wrong with it."""
    if re.search("[\ud800-\udfff]", line):
        return None, "is not UTF-8"
    try:
        found = json.loads(line, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        return None, f"is not JSON: {error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON: {error}"
    return found, _fault(found)


def read_json_lines(text: str) -> list[Preference]:
    r"""Read preferences from JSON-lines text, such as the page's export.

    Only a line feed ends a line. Blank lines, a byte-order mark and keys other
    than Preference's are passed over.

    Raises:
        MalformedLines: a ValueError that names every malformed line and has the
            good ones in its `preferences`.

    >>> text = '{"prompt": "2+2?", "winning_response": "4", "losing_response": "5"}'
    >>> read_json_lines(text)[0].winning_response
    '4'
    """
    good, faults = [], []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        found, what = _read_line(line) if line.strip() else (None, None)
        if what:
            faults.append((number, what, line))
        elif found:
            good.append(Preference(*(found[key] for key in Preference._fields)))
    if faults:
        raise MalformedLines(good, faults)
    return good


def load_preferences(path: str | Path) -> list[Preference]:
    """Read preferences from a UTF-8 file of JSON lines.

    A leading ~ in the path is the home folder.

    Raises:
        ValueError: if given the text itself.
        MalformedLines: as `read_json_lines`.

    >>> load_preferences(PAIRS)[1].prompt
    'What does softmax do?'
    """
    if isinstance(path, str) and path.lstrip("\ufeff \n").startswith("{"):
        raise ValueError(f"path is text: give {path[:40]!r} to read_json_lines")
    raw = Path(path).expanduser().read_bytes()
    return read_json_lines(raw.decode("utf-8", errors="surrogateescape"))


def to_json_lines(preferences: Iterable[Preference]) -> str:
    """Write preferences as JSON lines, which `read_json_lines` reads back.

    Raises:
        ValueError: if one could not be read back: an empty or equal response.

    >>> print(to_json_lines([Preference("2+2?", "4", "5")]), end="")
    {"prompt": "2+2?", "winning_response": "4", "losing_response": "5"}
    """
    lines = []
    for n, preference in enumerate(preferences):
        found = Preference(*preference)._asdict()
        if what := _fault(found):
            raise ValueError(f"preferences[{n}]: {what}; leave it out or mend it")
        lines.append(json.dumps(found, ensure_ascii=False) + "\n")
    # What some readers take for the end of a line, and what UTF-8 cannot hold.
    other = re.compile("[\x85\u2028\u2029\ud800-\udfff]")
    return other.sub(lambda found: f"\\u{ord(found[0]):04x}", "".join(lines))


def _says(words: str, response: str) -> float:
    """1 if one of some words, joined by |, stands in a response."""
    return float(re.search(rf"(?i)\b({words})\b", response) is not None)


def _letters_per_word(response: str) -> float:
    """Technical terms mostly are long words."""
    return sum(map(str.isalpha, response)) / max(1, len(response.split()))


EXAMPLE = "for example|for instance|imagine|suppose"
HEDGE = "may|might|perhaps|probably|possibly|usually|often|somewhat"


class Feature(NamedTuple):
    """Something to count in a response, and what having less or more of it is."""

    less: str
    more: str
    count: Callable[[str], float]


FEATURES = (
    Feature("short", "long", lambda response: len(response.split())),
    Feature("short words", "long words", _letters_per_word),
    Feature("no example", "an example", partial(_says, EXAMPLE)),
    Feature("no number", "a number", lambda text: float(bool(re.search(r"\d", text)))),
    Feature("not to “you”", "says “you”", partial(_says, "you|your")),
    Feature("sure", "hedges", partial(_says, HEDGE)),
)


def features(responses: Sequence[str]) -> np.ndarray:
    """Count what FEATURES count: (N, F), one row for each response.

    >>> features(["Suppose you had 3 apples."]).round(2).tolist()
    [[5.0, 3.8, 1.0, 1.0, 1.0, 0.0]]
    """
    rows = [[feature.count(text) for feature in FEATURES] for text in responses]
    return np.array(rows, dtype=float).reshape(-1, len(FEATURES))


def fit_bradley_terry(differences: np.ndarray, l2: float = 1.0) -> np.ndarray:
    """Find the weights w (F,) of a reward w · x that make the choices likely.

    Minimises the sum of -log sigmoid(w · d) over the choices, plus l2 / 2 |w|²
    (Bradley and Terry, 1952, https://doi.org/10.2307/2334029, with a penalty).
    That is convex with one lowest point, which Newton's steps reach.

    Args:
        differences: (N, F), features of the winner less those of the loser.
        l2: strength of the penalty, over 0. It keeps the weights finite when no
            choice contradicts another.

    Raises:
        ValueError: if the differences are not finite or l2 is not over 0.

    >>> fit_bradley_terry([[1.0], [1.0], [-1.0]]).round(2).tolist()
    [0.29]
    """
    d = number_array("differences", differences, 2)
    if not (l2 > 0 and math.isfinite(l2)):
        raise ValueError(f"l2 should be a number over 0, is {l2}: 1 is a good start")

    def loses(w: np.ndarray) -> np.ndarray:
        return np.exp(-np.logaddexp(0, d @ w))  # (N,) sigmoid of minus the margin

    def slope(w: np.ndarray) -> np.ndarray:
        return l2 * w - d.T @ loses(w)

    w = np.zeros(d.shape[1])
    g = slope(w)
    enough = 1e-12 * (l2 + np.abs(d).sum())
    while np.linalg.norm(g) > enough:
        p = loses(w)
        curve = (d.T * (p * (1 - p))) @ d + l2 * np.eye(len(w))  # (F, F)
        step = np.linalg.solve(curve, g)
        # A whole step can leap over the lowest point: halve it until it gains.
        for part in 0.5 ** np.arange(30):
            flatter = slope(w - part * step)
            if np.linalg.norm(flatter) <= (1 - part / 4) * np.linalg.norm(g):
                break
        else:
            return w  # as near as these numbers allow
        w, g = w - part * step, flatter
    return w
