"""Where two values differ, in words that a learner can act on."""

import numpy as np
import torch
from torch import Tensor

RTOL, ATOL = 1e-4, 1e-6
LONGEST = 200  # characters of one value that are shown
_KINDS = {
    Tensor: "a torch.Tensor",
    np.ndarray: "a numpy array",
    type(None): "None",
    bool: "a bool",
    int: "an int",
    float: "a float",
    str: "a string",
    list: "a list",
    tuple: "a tuple",
    set: "a set",
    dict: "a dict",
}


def kind_of(value: object) -> str:
    """The type of a value, with its article.

    >>> kind_of(1), kind_of(None), kind_of(object())
    ('an int', 'None', 'an object')
    """
    for kind, words in _KINDS.items():
        if isinstance(value, kind):
            return words
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def require_comparable(value: object) -> None:
    """Refuse a value whose differences cannot be put in words.

    Raises:
        ValueError: naming the type.
    """
    if isinstance(value, list | tuple | set):
        inner = list(value)
    else:
        inner = list(value.values()) if isinstance(value, dict) else []
    if not isinstance(value, tuple(_KINDS)):
        raise ValueError(
            "expected should be a tensor, array, number, bool, string, None, or a "
            f"list, tuple, set or dict of these, is {kind_of(value)}: turn it into one"
        )
    for item in inner:
        require_comparable(item)


def difference(expected: object, got: object, at: str = "") -> str:
    """Say where `got` first differs from `expected`; "" if nowhere.

    Floats may differ by rtol 1e-4 and atol 1e-6; an int may stand for a float,
    a list for a tuple. A value of a kind that cannot be compared counts as equal
    to its own kind.

    Args:
        expected: of the kinds that `require_comparable` accepts.
        got: anything; a value that fails when it is looked at is different.
        at: how to reach the two inside a larger value.

    >>> difference([1, 2.0], [1, 2.5])
    'At [1]: expected 2.0, got 2.5'
    >>> difference(torch.ones(2, 3), torch.ones(3, 2))
    'Expected shape (2, 3), got (3, 2)'
    """
    try:
        return _difference(expected, got, at)
    except Exception as error:  # a sparse tensor, an __eq__ of the learner's own
        what = f"something that cannot be compared: {words_of(error)}"
        return _says(at, kind_of(expected), what)


def words_of(error: BaseException) -> str:
    """The first line of an error's message, cut to a length that can be read.

    >>> words_of(ValueError("too small\\nand more"))
    'too small'
    """
    try:
        return "".join(str(error).strip().splitlines()[:1])[:LONGEST] or "(no message)"
    except Exception:  # an error class of the learner's own
        return "(no message)"


def _difference(expected: object, got: object, at: str) -> str:
    for kind in (Tensor, np.ndarray, list, tuple, set, dict):
        if isinstance(expected, kind):
            if not isinstance(got, (tuple, list) if kind is tuple else kind):
                return _says(at, kind_of(expected), kind_of(got))
            if kind in (Tensor, np.ndarray):
                return _arrays(expected, got, at)
            compare = _members if kind is set else _parts
            return compare(expected, got, at)
    return _plain(expected, got, at)


def _says(at: str, expected: str, got: str) -> str:
    where = f"At {at}: expected" if at else "Expected"
    return f"{where} {_cut(expected)}, got {_cut(got)}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]} …"


def _plain(expected: object, got: object, at: str) -> str:
    """Numbers, strings, None; numpy's own scalars are as good as Python's."""
    if isinstance(got, np.generic):
        got = got.item()
    wanted = {float: (float, int), bool: bool, int: int, str: str}.get(
        type(expected), type(expected)
    )
    mixed = isinstance(got, bool) != isinstance(expected, bool)
    if not isinstance(got, wanted) or mixed:
        value = f" ({got!r})" if isinstance(got, bool | int | float) else ""
        plain = isinstance(got, Tensor) and got.numel() == 1
        value += ": .item() makes it a plain number" * plain
        return _says(at, kind_of(expected), kind_of(got) + value)
    if isinstance(expected, float):
        if isinstance(got, int) and abs(got) > 10**300:  # too large for a float
            return _says(at, repr(expected), "an int above 1e300")
        same = np.isclose(got, expected, rtol=RTOL, atol=ATOL, equal_nan=True)
        return "" if same else _says(at, repr(expected), repr(got))
    if isinstance(expected, int | str):
        return "" if got == expected else _says(at, repr(expected), repr(got))
    return ""


def _parts(expected: object, got: object, at: str) -> str:
    """Lists, tuples and dicts, one part after another."""
    keys = range(len(expected))
    if isinstance(expected, dict):
        keys = expected
        absent = [key for key in expected if key not in got]
        extra = [key for key in got if key not in expected]
        if absent or extra:
            return _says(at, f"the keys {list(expected)}", str(list(got)))
    elif len(expected) != len(got):
        return _says(at, f"{len(expected)} entries", str(len(got)))
    for key in keys:
        if words := difference(expected[key], got[key], f"{at}[{key!r}]"):
            return words
    return ""


def _members(expected: set, got: set, at: str) -> str:
    """Sets: what is absent, then what should not be there."""
    absent, extra = (sorted(map(repr, s)) for s in (expected - got, got - expected))
    words = ""
    if absent:
        words = _says(at, f"{absent[0]} in the set", "a set without it")
        words += f" ({len(absent)} of {len(expected)} absent)"
    elif extra:
        words = _says(at, f"a set without {extra[0]}", "one with it")
    if extra:
        also = f"; {_cut(extra[0])} should not be there" if absent else ""
        words += f"{also} ({len(extra)} too many)"
    return words


def _arrays(expected: object, got: object, at: str) -> str:
    """Tensors and numpy arrays."""
    for name in ("shape", "dtype"):
        want, have = getattr(expected, name), getattr(got, name)
        if want != have:
            want, have = (tuple(s) if name == "shape" else s for s in (want, have))
            return _says(at, f"{name} {want}", str(have))
    want, have = _numbers(expected), _numbers(got)
    if want.dtype.kind in "fc":
        same = np.isclose(have, want, rtol=RTOL, atol=ATOL, equal_nan=True)
        lost = np.isnan(have) & ~np.isnan(want)
    else:
        same = have == want
        lost = np.zeros(have.shape, dtype=bool)
    if np.all(same):
        return ""
    first = tuple(int(i) for i in np.argwhere(~same)[0])
    at += str(list(first)) if first else ""
    words = _says(at, _show(want[first]), _show(have[first]))
    if np.size(same) > 1:
        words += f" ({np.sum(~same)} of {np.size(same)} entries differ)"
    if np.any(lost):
        words += f"; {np.sum(lost)} NaN (not a number), as from 0/0 or inf - inf"
    return words


def _numbers(values: object) -> np.ndarray:
    """As a numpy array; floats in double precision."""
    if not isinstance(values, Tensor):
        return values
    values = values.detach().cpu().resolve_conj().resolve_neg()
    if values.is_floating_point():
        values = values.to(torch.float64)
    return values.numpy()


def _show(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
