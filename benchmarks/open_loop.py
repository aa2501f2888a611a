"""Measures a service under an open loop: each request is sent when it is due.

Requests do not wait for earlier answers. Latency counts from the moment at which a request was due:
a stall counts for every request due during it. Closed loops hide that ("coordinated omission").
"""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import quantiles_ms

LOST = 0
"""Status of a request without an answer."""

_ANSWER_DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True)
class OpenRun:
    """
    Attributes:
        offered: requests per second that were due.
        duration_s: from the start to the last answer.
        statuses: number of answers by HTTP status; ``LOST`` for none.
        n_degraded: answers with a replaced stage.
        has_retry_after: every 429 had a Retry-After header.
        latencies_s: of the answers with 200, from the due moment.
        lateness_s: delay of sending after the due moment.
    """

    offered: float
    duration_s: float
    statuses: dict[int, int]
    n_degraded: int
    has_retry_after: bool
    latencies_s: list[float]
    lateness_s: list[float]

    @property
    def goodput(self) -> float:
        """Answers with 200 per second."""
        return self.statuses.get(200, 0) / self.duration_s

    @property
    def n_failed(self) -> int:
        """Answers with neither 200 nor 429."""
        return sum(n for status, n in self.statuses.items() if status not in (200, 429, LOST))

    def latency_ms(self) -> dict[str, float]:
        return quantiles_ms(self.latencies_s)


def poisson_schedule(
    rate: float, duration_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """
    Moments of a Poisson process, ascending, in seconds from its start.

    Args:
        rate: arrivals per second.
    """
    n = rng.poisson(rate * duration_s)
    return np.sort(rng.uniform(0.0, duration_s, n))


def run_open_loop(
    url: str, bodies: Sequence[bytes], rate: float, duration_s: float, seed: int
) -> OpenRun:
    """
    Args:
        url: of the route.
        bodies: JSON, sent in turn.
        rate: requests per second.
    """
    due = poisson_schedule(rate, duration_s, np.random.default_rng(seed))
    return asyncio.run(LoadGenerator(url, bodies).run(rate, due))


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class LoadGenerator:
    """Sends requests over keep-alive connections, one per request in flight."""

    def __init__(self, url: str, bodies: Sequence[bytes], good_status: int = 200) -> None:
        """``good_status`` is that of answers whose latencies count."""
        self._good_status = good_status
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._requests = [_request(parts.path, parts.netloc, body) for body in bodies]
        self._idle: list[_Connection] = []
        self._statuses: Counter[int] = Counter()
        self._latencies_s: list[float] = []
        self._lateness_s: list[float] = []
        self._n_degraded = 0
        self._has_retry_after = True

    async def run(self, rate: float, due: NDArray[np.float64]) -> OpenRun:
        loop = asyncio.get_running_loop()
        started_at, tasks = loop.time(), []
        for i, at in enumerate(due.tolist()):
            if (pause_s := started_at + at - loop.time()) > 0:
                await asyncio.sleep(pause_s)
            request = self._requests[i % len(self._requests)]
            tasks.append(asyncio.create_task(self._ask(request, started_at + at)))
        await asyncio.gather(*tasks)
        duration_s = loop.time() - started_at
        for connection in self._idle:
            connection.writer.close()
        return OpenRun(
            rate,
            duration_s,
            dict(self._statuses),
            self._n_degraded,
            self._has_retry_after,
            self._latencies_s,
            self._lateness_s,
        )

    async def _ask(self, request: bytes, due_at: float) -> None:
        loop = asyncio.get_running_loop()
        self._lateness_s.append(loop.time() - due_at)
        try:
            async with asyncio.timeout(_ANSWER_DEADLINE_S):
                status, head, body = await self._exchange(request)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            self._statuses[LOST] += 1
            return
        self._statuses[status] += 1
        self._has_retry_after &= status != 429 or b"\r\nretry-after:" in head.lower()
        if status == self._good_status:
            self._latencies_s.append(loop.time() - due_at)
            self._n_degraded += b'"degraded":["' in body

    async def _exchange(self, request: bytes) -> tuple[int, bytes, bytes]:
        connection = self._idle.pop() if self._idle else await self._connect()
        connection.writer.write(request)
        head = await connection.reader.readuntil(b"\r\n\r\n")
        body = await connection.reader.readexactly(content_length(head))
        self._idle.append(connection)
        return int(head[9:12]), head, body

    async def _connect(self) -> _Connection:
        return _Connection(*await asyncio.open_connection(self._host, self._port))


def content_length(head: bytes) -> int:
    """Content length in an answer's head; 0 without one."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def bodies_of(user_ids: Sequence[str], n: int = 10) -> list[bytes]:
    """One request body per user."""
    return [json.dumps({"user_id": user_id, "n": n}).encode() for user_id in user_ids]


def _request(path: str, host: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
