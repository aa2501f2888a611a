"""How long something takes, and how much memory it needs at most."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from serve_app.fitting.run import Used

_PERIOD_S = 0.25


@contextmanager
def metered() -> Iterator[Used]:
    """
    Seconds, and the most memory that this process and all below it have had at a time.

    Memory that processes share counts once (proportional set size). On a cluster the machine of the
    command is measured, no other.
    """
    used, over = Used(), threading.Event()
    start_s = time.perf_counter()

    def watch() -> None:
        while True:
            used.peak_bytes = max(used.peak_bytes, _memory_bytes())
            if over.wait(_PERIOD_S):
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield used
    finally:
        over.set()
        watcher.join()
        used.seconds = time.perf_counter() - start_s


def _memory_bytes() -> int:
    own = psutil.Process()
    return sum(map(_share_of, [own, *own.children(recursive=True)]))


def _share_of(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.Error:  # it has ended meanwhile, or is another user's
        return 0
    # Only Linux tells a process's share of what is shared; elsewhere what is its own.
    return int(getattr(memory, "pss", memory.uss))
