"""Repeats and shares work beside the requests, and logs a lasting problem once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, Generic, TypeVar

_logger = logging.getLogger("ray.serve.recserve.background")

Result = TypeVar("Result")


class ChangeLogger:
    """Logs a problem once; repeats are suppressed until the problem changes or is resolved."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """``write`` takes a message, e.g. a method of a logger."""
        self._write = write
        self._last: dict[str, str] = {}

    def log(self, subject: str, message: str) -> None:
        """Logs the message unless it is the last one that was logged of the subject.

        Args:
            subject: one of a few, because the last message of each is kept in memory.
        """
        if self._last.get(subject) != message:
            self._last[subject] = message
            self._write(message)

    def resolved(self, subject: str) -> None:
        """Logs the next problem of the subject even if it repeats the last one."""
        self._last.pop(subject, None)


class SharedCall(Generic[Result]):
    """Runs a call once at a time: whoever asks meanwhile waits for the same result.

    For calls that hold a thread until they end, even if they are cancelled, such as DNS. However
    many callers give up, and however often they try again, one thread waits.
    """

    def __init__(self, call: Callable[[], Coroutine[Any, Any, Result]]) -> None:
        self._call = call
        self._task: asyncio.Task[Result] | None = None

    async def result(self) -> Result:
        """Waits for the result; raises what the call raises. Cancelled callers leave it running."""
        if self._task is None:
            self._task = asyncio.create_task(self._call())
        task = self._task
        await asyncio.wait({task})
        # A result that came after its callers had given up serves the next one.
        if self._task is task:
            self._task = None
        return task.result()

    def cancel(self) -> None:
        """Gives the call up, at the end of the process's work."""
        if self._task is not None:
            self._task.cancel()


class RepeatedStep:
    """A step that is repeated from its first start until the process ends."""

    def __init__(self, step: Callable[[], Awaitable[None]]) -> None:
        self._step = step
        self._task: asyncio.Task[None] | None = None

    def start(self, period_s: float) -> None:
        """Starts once, and does nothing from then on; needs a running event loop."""
        if self._task is None:
            # An empty context: Serve cancels what was started in the context of a request.
            self._task = asyncio.create_task(repeat(self._step, period_s), context=Context())


async def repeat(step: Callable[[], Awaitable[None]], period_s: float) -> None:
    """Runs a step, waits, and runs it again; ends only when it is cancelled.

    The pause begins when the step ends, so a slow step never overlaps with the next one.
    """
    while True:
        try:
            await step()
        # Any error: one bad step must not end the task, because nothing would notice its end.
        except Exception:
            _logger.exception("%s failed and is tried again", step.__qualname__)
        await asyncio.sleep(period_s)
