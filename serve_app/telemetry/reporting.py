"""Exports what a replica counted, and leaves it where ``recserve status`` finds it."""

import asyncio
import logging
import time
from uuid import uuid4

from serve_app.background import repeat
from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache
from serve_app.telemetry.counting import Telemetry
from serve_app.telemetry.minutes import put_window

_logger = logging.getLogger("ray.serve.recserve.ingress")

PERIOD_S = 5.0


class Reporting:
    """Flushes every few seconds, for as long as the process lives."""

    def __init__(self, telemetry: Telemetry, cache: Cache) -> None:
        self._telemetry = telemetry
        self._cache = cache
        self._replica = uuid4().hex[:8]
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Needs a running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(repeat(self._report, PERIOD_S))

    async def _report(self) -> None:
        window = self._telemetry.flush(time.time())
        if not window.stages and not window.outcomes:
            return
        try:
            await put_window(self._cache, window, self._replica)
        except StoreUnavailable as failure:
            _logger.warning("measurements of this minute are not left: %s", failure)
