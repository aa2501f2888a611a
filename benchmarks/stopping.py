"""Ends a benchmark: with a message when it cannot go on, and with all processes it started."""

import signal
import sys


class BenchmarkFailed(Exception):
    """A benchmark cannot go on; the message says what to do."""


def exit_on_sigterm() -> None:
    """Make SIGTERM unwind like Ctrl-C: the processes that were started stop as well."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
