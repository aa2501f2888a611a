"""Asks the stages which stores have not answered them for long, for health and for metrics."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from serve_app.background import ChangeLogger, RepeatedStep
from serve_app.errors import StageFailed
from serve_app.telemetry.counting import Telemetry

_logger = logging.getLogger("ray.serve.recserve.ingress")

PERIOD_S = 5.0
DEADLINE_S = 2.0

LONG_S = 5.0
"""Shorter gaps are ordinary: the caches and the archive hide them."""

Silences = Mapping[str, float]
"""Seconds without an answer, by store."""

AskStage = Callable[[float], Awaitable[Silences]]
"""Gives the stores that have not answered a stage for at least so many seconds."""


class StoreWatch:
    """Keeps, by stage, the stores that have not answered it for ``LONG_S``."""

    def __init__(self, stages: Mapping[str, AskStage], telemetry: Telemetry) -> None:
        self._stages = stages
        self._telemetry = telemetry
        self._silent: dict[str, Silences] = {}
        self._problems = ChangeLogger(_logger.warning)
        self._repeated = RepeatedStep(self.look)

    def start(self) -> None:
        """Starts once; needs a running event loop."""
        if self._stages:
            self._repeated.start(PERIOD_S)

    def silent(self) -> dict[str, dict[str, float]]:
        """Whole seconds by stage and store; empty if every store answers."""
        return {
            stage: {store: round(seconds) for store, seconds in stores.items()}
            for stage, stores in self._silent.items()
            if stores
        }

    async def look(self) -> None:
        """Asks each stage once."""
        await asyncio.gather(*(self._ask(stage) for stage in self._stages))

    async def _ask(self, stage: str) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                silent = await self._stages[stage](LONG_S)
        except (StageFailed, TimeoutError):
            # The stage itself is away, which other figures show.
            silent = {}
        self._silent[stage] = silent
        for store in silent:
            self._telemetry.silent(stage, store)
            self._problems.log(f"{stage} {store}", f"{stage}: {store} has not answered for long")
        for store in ("postgres", "redis"):
            if store not in silent:
                self._problems.resolved(f"{stage} {store}")
