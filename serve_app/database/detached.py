"""Enforces a deadline on a call, even if the driver ignores its cancellation."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")

_GRACE_S = 0.02
"""Long enough for a living server to confirm a cancellation; short beside a stage's deadline."""


class DetachedCalls:
    """Runs each call in a task of its own; a caller whose time is up leaves without it.

    psycopg answers a cancellation by asking the server to stop, and waits up to ten seconds for
    that when the server is frozen. Only a second cancellation closes the connection at once. So
    an abandoned call is cancelled twice, 20 ms apart. The first time keeps the connection usable
    when the server is alive; the second frees it when the server is not.
    """

    def __init__(self) -> None:
        self._reapers: set[asyncio.Task[None]] = set()

    async def within(self, timeout_s: float, call: Coroutine[Any, Any, Answer]) -> Answer:
        """Waits for the call; raises TimeoutError when the time is up."""
        task = asyncio.create_task(call)
        task.add_done_callback(_retrieve_outcome)
        try:
            # Not wait_for, which cancels the task and then waits until the task agrees.
            done, _ = await asyncio.wait({task}, timeout=timeout_s)
        finally:
            # Also when the caller itself was cancelled: wait leaves its tasks running.
            if not task.done():
                self._abandon(task)
        if not done:
            raise TimeoutError
        return task.result()

    async def close(self) -> None:
        """Waits until everything abandoned has been cancelled."""
        await asyncio.gather(*self._reapers)

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        # The event loop holds tasks weakly: the set keeps the reaper alive until it is done.
        reaper = asyncio.create_task(_cancel_twice(task))
        self._reapers.add(reaper)
        reaper.add_done_callback(self._reapers.discard)


async def _cancel_twice(task: asyncio.Task[Any]) -> None:
    for _ in range(2):
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=_GRACE_S)
        if done:
            return


def _retrieve_outcome(task: asyncio.Task[Any]) -> None:
    """Looks at the outcome; asyncio would log an error of an abandoned call as never retrieved."""
    if not task.cancelled():
        task.exception()
