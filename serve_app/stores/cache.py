"""Reads and writes Redis, the cache: quick to read, and lost at any time without harm.

The client's own defaults wait seconds and retry ten times. Here a failure takes at most the
timeout, is not retried, and reaches the caller as ``StoreUnavailable``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from typing import Self, cast

from pydantic import Field
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from serve_app.domain.settings import Settings
from serve_app.errors import StoreUnavailable
from serve_app.reachability import Reachability

# Redis is single-threaded: each step of a walk over the keys is short, so that reads get between.
_KEYS_PER_STEP = 1_000


_SPACE = "recserve:"
"""Begins every key, so that an operator can grant recserve its own keys alone."""


class RedisConfig(Settings):
    """Limits of a connection to Redis."""

    timeout_s: float = Field(
        default=0.1,
        gt=0,
        le=5,
        description="Longest wait in seconds for a command, for a free connection, and for"
        " connecting.",
    )
    max_connections: int = Field(
        default=16, ge=1, description="Commands that one process runs at the same time."
    )


class Cache:
    """Bytes by key in Redis, each with a time to live.

    An absent key is normal. Values of one call are read and written in one round trip. Nothing
    connects before the first call. Every method raises ``StoreUnavailable`` when there is no
    answer.
    """

    def __init__(self, url: str, config: RedisConfig) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=config.max_connections,
            # Without it a burst of commands would wait 20 s for a free connection.
            timeout=config.timeout_s,
            socket_timeout=config.timeout_s,
            socket_connect_timeout=config.timeout_s,
            # The caller can read PostgreSQL in the time that a second attempt would take.
            retry=Retry(NoBackoff(), 0),
            # With notifications on, the pool skips its check for unread data in a connection. A
            # command could then read the answer of a cancelled one.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._redis = Redis(connection_pool=pool)
        self._space = _SPACE
        self._reachability = Reachability()

    def of_shop(self, shop_id: str) -> Self:
        """The keys of one shop, over the same connections.

        Shops that share a Redis do not see each other's values. An empty id is the key space of
        bundles that name no shop.
        """
        view = copy(self)
        view._space = f"{_SPACE}{shop_id}:" if shop_id else _SPACE
        return view

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Reads the values of the keys, in their order; ``None`` for an absent key."""
        if not keys:
            return []
        with self._failures_named():
            return cast(list[bytes | None], await self._redis.mget(map(self._space.__add__, keys)))

    async def set_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        """Writes all values; each expires ``ttl_s`` seconds later.

        After an error some of the values may have been written.
        """
        if not values:
            return
        with self._failures_named():
            # No transaction: the values are independent, and one would hold up other clients.
            pipeline = self._redis.pipeline(transaction=False)
            for key, value in values.items():
                # Redis refuses an expiry of 0 ms.
                pipeline.set(self._space + key, value, px=max(1, round(ttl_s * 1e3)))
            await pipeline.execute()

    async def remove(self, keys: Sequence[str]) -> None:
        """Removes the keys; absent ones are normal. It works even where Redis has no memory left.

        After an error some or all of the keys may have been removed.
        """
        if not keys:
            return
        with self._failures_named():
            await self._redis.unlink(*map(self._space.__add__, keys))

    async def keys(self, prefix: str) -> list[str]:
        """All keys that start with ``prefix``, unordered. Slow: walks over all keys of Redis."""
        pattern = f"{_escape(self._space + prefix)}*"
        with self._failures_named():
            keys = self._redis.scan_iter(match=pattern, count=_KEYS_PER_STEP)
            return [key.decode().removeprefix(self._space) async for key in keys]

    async def ping(self) -> None:
        """Tells whether Redis answers."""
        with self._failures_named():
            await self._redis.ping()

    async def unreachable_s(self) -> float:
        """Seconds for which no command was answered; 0 if the last one was, or one is now."""
        if self._reachability.unreachable_s:
            with suppress(StoreUnavailable):
                await self.ping()
        return self._reachability.unreachable_s

    async def close(self) -> None:
        await self._redis.aclose()
        # A client does not close a pool that it was given.
        await self._redis.connection_pool.disconnect()

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            self._reachability.failed()
            raise StoreUnavailable("redis", type(error).__name__) from error
        self._reachability.answered()


def _escape(prefix: str) -> str:
    """A pattern of Redis that matches the prefix literally."""
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in prefix)
