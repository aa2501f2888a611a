"""What a benchmark started ends with it."""

import signal
import sys


def exit_on_sigterm() -> None:
    """SIGTERM unwinds as Ctrl-C does, so that what was started is stopped, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
