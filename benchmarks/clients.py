"""Keeps clients busy beside a measurement."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import httpx2


@contextmanager
def busy_clients(
    url: str, n: int, timeout_s: float, step: Callable[[httpx2.Client, Event], None]
) -> Iterator[None]:
    """Repeats a step with ``n`` connections until the block ends.

    Args:
        step: takes a client, and the event that tells that the block has ended. What it raises is
            raised at the end.
    """
    over = Event()

    def repeat() -> None:
        with httpx2.Client(base_url=url, timeout=timeout_s) as http:
            while not over.is_set():
                step(http, over)

    with ThreadPoolExecutor(n) as threads:
        running = [threads.submit(repeat) for _ in range(n)]
        try:
            yield
        finally:
            over.set()
        for each in running:
            each.result()
