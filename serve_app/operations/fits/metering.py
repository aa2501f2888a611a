"""Measures the duration and the peak memory of a piece of work."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from serve_app.fitting.run import StepCost

# Short enough to see the peak of a step of seconds. Reading the memory takes milliseconds.
_PERIOD_S = 0.25


@contextmanager
def metered() -> Iterator[StepCost]:
    """Measures seconds, and the peak memory of this process and its descendants together.

    Memory that processes share counts once (proportional set size). On a cluster, only the machine
    that runs the command is measured.
    """
    used, over = StepCost(), threading.Event()
    start_s = time.perf_counter()

    def watch() -> None:
        # Samples before the first wait: work shorter than a period has a peak too.
        while True:
            used.peak_bytes = max(used.peak_bytes, _memory_bytes())
            if over.wait(_PERIOD_S):
                return

    # A daemon: a measurement must not keep a process alive that ends with an error.
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield used
    finally:
        over.set()
        watcher.join()
        used.seconds = time.perf_counter() - start_s


def _memory_bytes() -> int:
    process = psutil.Process()
    return sum(map(_share_of, [process, *process.children(recursive=True)]))


def _share_of(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.Error:  # it has just ended, or belongs to another user
        return 0
    # Only Linux reports the proportional share; elsewhere the unshared part has to do.
    return int(getattr(memory, "pss", memory.uss))
