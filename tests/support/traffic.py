"""Gives tests requests that go on while something else happens."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import httpx2

from tests.support.real_serve import Served


@dataclass
class Traffic:
    """
    Attributes:
        outcomes: requests by HTTP status; those without an answer by the name of their error.
        degraded: answers by replaced stage.
        versions: answers by bundle version.
    """

    outcomes: Counter[object] = field(default_factory=Counter)
    degraded: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)


@contextmanager
def traffic(service: Served, n_threads: int = 2, pause_s: float = 0.05) -> Iterator[Traffic]:
    """Asks for one user after the other until the block ends.

    The pauses leave the cores to what the block does, such as the start of a replica.
    """
    seen, over, lock, numbers = Traffic(), threading.Event(), threading.Lock(), count()

    def ask() -> None:
        with httpx2.Client(base_url=service.http.base_url, timeout=30) as http:
            while not over.wait(pause_s):
                _ask_once(http, next(numbers), seen, lock)

    threads = [threading.Thread(target=ask) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask_once(http: httpx2.Client, number: int, seen: Traffic, lock: threading.Lock) -> None:
    # A filter that no other request has, so that no answer comes from the cache.
    body = {
        "user_id": f"u{number % 400:06d}",
        "filters": {"price": {"lte": 10_000 + number}},
    }
    try:
        answer = http.post("/recommendations", json=body)
    except httpx2.TransportError as error:
        with lock:
            seen.outcomes[type(error).__name__] += 1
        return
    with lock:
        seen.outcomes[answer.status_code] += 1
        if answer.status_code == 200:
            body = answer.json()
            seen.degraded.update(body["degraded"])
            seen.versions[body["model_version"]] += 1
