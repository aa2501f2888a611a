"""Repeats work beside the requests, and logs a lasting problem once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_logger = logging.getLogger("ray.serve.recserve.background")


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
