"""Reads and writes Redis, the cache: quick to read, and lost at any time without harm.

The client's own defaults wait seconds and retry ten times. Here a failure takes at most the
timeout, is not retried, and reaches the caller as ``StoreUnavailable``.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from copy import copy
from dataclasses import dataclass
from typing import Self
from weakref import WeakKeyDictionary

from pydantic import Field
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, ReadOnlyError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from serve_app.domain.settings import Settings
from serve_app.errors import StoreUnavailable
from serve_app.reachability import Reachability
from serve_app.stores.redis_connections import look_up_once
from serve_app.stores.server_identity import read_identity

# Redis is single-threaded: each step of a walk over the keys is short, so that reads get between.
_KEYS_PER_STEP = 1_000


_PROBED = ("probe:1", "probe:2")
"""Keys that nobody writes."""

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


@dataclass(frozen=True, slots=True)
class Moment:
    """What one server held at one moment.

    Attributes:
        server: identity of the server; ``None`` where it tells none.
        values: one per key, ``None`` for absent keys.
    """

    server: bytes | None
    values: list[bytes | None]


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
            redis_connect_func=self._greet,
        )
        self._pool = pool
        self._lookup = look_up_once(pool)
        self._redis = Redis(connection_pool=pool)
        # By connection: while servers change, a pool can hold connections to both of them.
        self._servers: WeakKeyDictionary[AbstractConnection, bytes | None] = WeakKeyDictionary()
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
        return (await self.read(keys)).values if keys else []

    async def read(self, keys: Sequence[str]) -> Moment:
        """Reads the values of the keys, in their order, and the identity of their server."""
        async with self._failures_named():
            # Not by the client, which does not tell the connection that answered.
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.send_command("MGET", *map(self._space.__add__, keys))
                values: list[bytes | None] = await connection.read_response()
                if not _are_values(values, len(keys)):
                    # The answer to something else: this connection is out of step.
                    await connection.disconnect()
                    raise InvalidResponse
                # Before the release: another command may reconnect it to another server.
                return Moment(self._servers[connection], values)
            finally:
                await self._pool.release(connection)

    async def set_absent(self, values: Mapping[str, bytes], ttl_s: float) -> list[bytes | None]:
        """Writes the values of absent keys alone, and reads what all keys hold afterwards."""
        async with self._failures_named():
            pipeline = self._redis.pipeline(transaction=False)
            for key, value in values.items():
                pipeline.set(self._space + key, value, px=_milliseconds(ttl_s), nx=True)
            pipeline.mget(map(self._space.__add__, values))
            *_, present = await pipeline.execute()
            if not _are_values(present, len(values)):
                raise InvalidResponse
        return list(present)

    async def set_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        """Writes all values; each expires ``ttl_s`` seconds later.

        After an error some of the values may have been written.
        """
        if not values:
            return
        async with self._failures_named():
            # No transaction: the values are independent, and one would hold up other clients.
            pipeline = self._redis.pipeline(transaction=False)
            for key, value in values.items():
                pipeline.set(self._space + key, value, px=_milliseconds(ttl_s))
            await pipeline.execute()

    async def remove(self, keys: Sequence[str]) -> None:
        """Removes the keys; absent ones are normal. It works even where Redis has no memory left.

        After an error some or all of the keys may have been removed.
        """
        if not keys:
            return
        async with self._failures_named():
            await self._redis.unlink(*map(self._space.__add__, keys))

    async def keys(self, prefix: str) -> list[str]:
        """All keys that start with ``prefix``, unordered. Slow: walks over all keys of Redis."""
        pattern = f"{_escape(self._space + prefix)}*"
        async with self._failures_named():
            keys = self._redis.scan_iter(match=pattern, count=_KEYS_PER_STEP)
            return [key.decode().removeprefix(self._space) async for key in keys]

    async def ping(self) -> None:
        """Tells whether Redis answers."""
        async with self._failures_named():
            await self._redis.ping()

    async def unreachable_s(self) -> float:
        """Seconds for which no command was answered; 0 if the last one was, or one is now."""
        if self._reachability.unreachable_s:
            # As stages read, and not ``ping``: a Redis may answer that alone.
            with suppress(StoreUnavailable):
                await self.get_many(_PROBED)
        return self._reachability.unreachable_s

    async def close(self) -> None:
        await self._redis.aclose()
        # A client does not close a pool that it was given.
        await self._pool.disconnect()
        if self._lookup is not None:
            self._lookup.cancel()

    async def _greet(self, connection: AbstractConnection) -> None:
        await connection.on_connect()
        self._servers[connection] = await read_identity(connection)

    @asynccontextmanager
    async def _failures_named(self) -> AsyncIterator[None]:
        try:
            yield
        except RedisError as error:
            self._reachability.failed()
            if isinstance(error, ReadOnlyError):
                # The server has become a replica. New connections may lead to the new primary.
                await self._pool.disconnect(inuse_connections=False)
            raise StoreUnavailable("redis", type(error).__name__) from error
        self._reachability.answered()


def _milliseconds(ttl_s: float) -> int:
    # Redis refuses an expiry of 0 ms.
    return max(1, round(ttl_s * 1e3))


def _are_values(reply: object, n: int) -> bool:
    """Tells whether a reply has the form of ``n`` values."""
    return (
        isinstance(reply, list)
        and len(reply) == n
        and all(value is None or isinstance(value, bytes) for value in reply)
    )


def _escape(prefix: str) -> str:
    """A pattern of Redis that matches the prefix literally."""
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in prefix)
