"""Draws the progress of a long command for a terminal or a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

if TYPE_CHECKING:  # most verbs do not need the fit
    from serve_app.fitting.run import Progress

_BAR = "{desc:<32}{percentage:3.0f}%|{bar:30}| {elapsed}"

_LINE_SHARE = 0.25
"""A log gets a line each time that another share of a step is done: four lines at most."""


@contextmanager
def show_progress(
    stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator["Progress"]:
    """Shows the progress of consecutive steps: as bars on a terminal, as plain lines elsewhere.

    A bar redraws itself with carriage returns, which make a log unreadable.

    Args:
        stream: ``None`` for standard error, which leaves standard output to results.
        clock: monotonic seconds.
    """
    stream = sys.stderr if stream is None else stream
    with _bars(stream) if stream.isatty() else _lines(stream, clock) as show:
        yield show


@contextmanager
def _bars(stream: TextIO) -> Iterator["Progress"]:
    bars: dict[str, tqdm[Any]] = {}

    def show(step: str, share: float) -> None:
        if step not in bars:
            # Steps follow each other: a new one means that the one before is done.
            close_all()
            bars[step] = tqdm(total=100, desc=step, unit="%", bar_format=_BAR, file=stream)
        bars[step].update(100 * share - bars[step].n)

    def close_all() -> None:
        for bar in bars.values():
            bar.close()

    try:
        yield show
    finally:
        close_all()


@contextmanager
def _lines(stream: TextIO, clock: Callable[[], float]) -> Iterator["Progress"]:
    began_s: dict[str, float] = {}
    n_shown: dict[str, int] = {}

    def show(step: str, share: float) -> None:
        n_done = int(share / _LINE_SHARE)
        # The end of a step needs no line: the next line is that of the next step, or of the result.
        if share >= 1 or n_done <= n_shown.get(step, -1):
            return
        n_shown[step] = n_done
        now_s = clock()
        seconds = now_s - began_s.setdefault(step, now_s)
        # Flushed, because a redirected stream is block-buffered and somebody may follow the log.
        print(f"{step}: {share:.0%} ({seconds:.0f} s)", file=stream, flush=True)

    yield show
