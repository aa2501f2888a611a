"""Leaves what each replica measured in Redis, minute by minute, where one command merges it."""

import logging
import time
from collections.abc import Callable, Sequence
from uuid import uuid4

from serve_app.background import RepeatedStep
from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache
from serve_app.telemetry.counting import Telemetry
from serve_app.telemetry.histograms import MINUTE_S, Minute

_logger = logging.getLogger("ray.serve.recserve.ingress")

PREFIX = "minute:1:"
# Longer than any report looks back, so that a minute is never half expired in one.
TTL_S = 15 * 60.0
PERIOD_S = 5.0


async def write_minute(cache: Cache, minute: Minute, replica: str) -> None:
    """Writes a replica's minute over the part of that minute that the replica wrote before.

    Raises:
        StoreUnavailable: no answer.
    """
    # A key per replica and minute: a repeated write replaces, so nothing is counted twice.
    await cache.set_many({f"{PREFIX}{minute.number}:{replica}": minute.encode()}, TTL_S)


async def read_minutes(cache: Cache, now_s: float, n_minutes: int) -> Sequence[Minute]:
    """The last ``n_minutes`` whole minutes and the one that has begun, of all replicas.

    Raises:
        StoreUnavailable: no answer, or a value that is no minute.
    """
    first = int(now_s) // MINUTE_S - n_minutes
    keys = [key for key in await cache.keys(PREFIX) if _number_of(key) >= first]
    # A key may expire between the two calls.
    return [Minute.decode(value) for value in await cache.get_many(keys) if value is not None]


def _number_of(key: str) -> int:
    return int(key.removeprefix(PREFIX).partition(":")[0])


class MinuteReporter:
    """Flushes the telemetry of this replica every few seconds, for the life of the process."""

    def __init__(
        self, telemetry: Telemetry, cache: Cache, shop_id: Callable[[], str] = str
    ) -> None:
        """``shop_id`` names the shop of the bundle in use."""
        self._telemetry = telemetry
        self._cache = cache
        self._shop_id = shop_id
        # Random, not Ray's id: a replica that is restarted within a minute has a new key, and does
        # not overwrite what the old process measured.
        self._replica = uuid4().hex[:8]
        self._repeated = RepeatedStep(self._report)

    def start(self) -> None:
        """Starts once; needs a running event loop."""
        self._repeated.start(PERIOD_S)

    async def _report(self) -> None:
        minute = self._telemetry.flush(time.time())
        if not minute.stages and not minute.outcomes:
            return
        try:
            await write_minute(self._cache.of_shop(self._shop_id()), minute, self._replica)
        except StoreUnavailable as failure:
            # The next flush of this minute contains everything again.
            _logger.warning("measurements of this minute are not written: %s", failure)
