"""Deadlines that hold whatever a driver does when it is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")

_GRACE_S = 0.02


class DetachedCalls:
    """
    Runs each call in a task of its own; a caller whose time is up leaves without it.

    psycopg answers a cancellation by asking the server to stop and waiting for that, up to ten
    seconds when the server is frozen; only a second cancellation closes the connection at once.
    So what is abandoned gets a first one, and a second 20 ms later.
    """

    def __init__(self) -> None:
        self._reapers: set[asyncio.Task[None]] = set()

    async def within(self, timeout_s: float, call: Coroutine[Any, Any, Answer]) -> Answer:
        """
        Raises:
            TimeoutError: no answer in time.
        """
        task = asyncio.create_task(call)
        task.add_done_callback(_take_note)
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout_s)
        finally:
            if not task.done():
                self._abandon(task)
        if not done:
            raise TimeoutError
        return task.result()

    async def close(self) -> None:
        """Wait until everything abandoned has been cancelled."""
        await asyncio.gather(*self._reapers)

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        reaper = asyncio.create_task(_cancel_twice(task))
        self._reapers.add(reaper)
        reaper.add_done_callback(self._reapers.discard)


async def _cancel_twice(task: asyncio.Task[Any]) -> None:
    for _ in range(2):
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=_GRACE_S)
        if done:
            return


def _take_note(task: asyncio.Task[Any]) -> None:
    """Look at the outcome, so that asyncio does not report one that nobody waits for."""
    if not task.cancelled():
        task.exception()
