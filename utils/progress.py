"""A progress bar that leaves no trace, and a Ctrl-C that waits for a good moment."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from IPython import get_ipython
from IPython.display import display
from tqdm import tqdm


@contextmanager
def late_interrupt() -> Iterator[Callable[[], bool]]:
    """Let a first Ctrl-C wait for the end of the step; a second one acts at once."""
    hits: list[int] = []

    def handle(signum: int, frame: object) -> None:
        hits.append(signum)
        if len(hits) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: bool(hits)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress_bar(n_steps: int, shown: bool) -> Iterator[Callable[[int, float], None]]:
    """A bar that shows steps, loss and time left, and leaves nothing behind."""
    draw, erase = _screen() if shown else (None, None)
    start = last = time.monotonic()

    def show(n_done: int, loss: float) -> None:
        nonlocal last
        now = time.monotonic()
        if draw and (now - last > 0.2 or n_done == 1):
            last = now
            draw(
                tqdm.format_meter(
                    n_done,
                    n_steps,
                    now - start,
                    ncols=79,
                    unit="step",
                    postfix=f"loss {loss:.3f}",
                )
            )

    try:
        yield show
    finally:
        if erase:
            erase()


def _screen() -> tuple[Callable[[str], None] | None, Callable[[], None] | None]:
    """Where a bar can be drawn and erased: a notebook, a terminal or nowhere."""
    if getattr(get_ipython(), "kernel", None) is not None:
        # An output without data is invisible; only updates fill it.
        handle = display({}, raw=True, display_id=True)
        return (
            lambda text: handle.update({"text/plain": text}, raw=True),
            lambda: handle.update({}, raw=True),
        )
    if sys.stderr.isatty():

        def draw(text: str) -> None:
            sys.stderr.write(f"\r{text}")
            sys.stderr.flush()

        return draw, lambda: draw(" " * 79 + "\r")
    return None, None
