"""Reads how the last fit ended, for health and for metrics."""

import asyncio
from typing import Any

from serve_app.background import RepeatedStep
from serve_app.bundles.last_fit import LastFit, read_last_fit
from serve_app.telemetry.counting import Telemetry

PERIOD_S = 30.0


class FitWatch:
    """Keeps how the last fit under a root of bundles ended."""

    def __init__(self, root: str, telemetry: Telemetry) -> None:
        self._root = root
        self._telemetry = telemetry
        self._last = LastFit()
        self._repeated = RepeatedStep(self.look)

    def start(self) -> None:
        """Starts once; needs a running event loop."""
        self._repeated.start(PERIOD_S)

    def last(self) -> dict[str, Any]:
        """The last fit, as ``/health`` reports it."""
        return self._last.model_dump()

    async def look(self) -> None:
        """Reads the record once."""
        self._last = await asyncio.to_thread(read_last_fit, self._root)
        if self._last.succeeded_at is not None:
            self._telemetry.last_fit(self._last.succeeded_at)
