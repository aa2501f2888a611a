"""Work that goes on beside the requests for as long as a process lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_logger = logging.getLogger("ray.serve.recserve.background")


async def repeat(step: Callable[[], Awaitable[None]], period_s: float) -> None:
    """
    Does a step, waits, and does it again; ends only when it is cancelled.

    A step that fails is a bug, which is logged; the next one may work, and nobody would notice that
    there is none.
    """
    while True:
        try:
            await step()
        except Exception:
            _logger.exception("%s failed and is tried again", step.__qualname__)
        await asyncio.sleep(period_s)
