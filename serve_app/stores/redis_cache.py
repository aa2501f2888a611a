"""The cache in Redis, tuned to fail within a stage's deadline.

The client's own defaults wait seconds and retry ten times; here every failure is quick, is not
retried, and reaches the caller as ``StoreUnavailable``.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from pydantic import Field
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from serve_app.domain.settings import Settings
from serve_app.errors import StoreUnavailable

_CHUNK = 1_000


class RedisConfig(Settings):
    """
    Attributes:
        timeout_s: how long one command may take, and how long connecting may.
        max_connections: how many commands of one process run at the same time.
    """

    timeout_s: float = Field(default=0.1, gt=0, le=5)
    max_connections: int = Field(default=16, ge=1)


class RedisCache:
    """One pool of connections, opened when first used; see ``Cache`` for the contract."""

    def __init__(self, url: str, config: RedisConfig) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=config.max_connections,
            timeout=config.timeout_s,
            socket_timeout=config.timeout_s,
            socket_connect_timeout=config.timeout_s,
            retry=Retry(NoBackoff(), 0),
            # With notifications on, the pool skips its check that a connection holds no answer
            # that somebody else was waiting for.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        self._redis = Redis(connection_pool=pool)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        with _failures_named():
            return cast(list[bytes | None], await self._redis.mget(keys))

    async def set_many(self, values: Mapping[str, bytes], ttl_s: float) -> None:
        if not values:
            return
        with _failures_named():
            pipeline = self._redis.pipeline(transaction=False)
            for key, value in values.items():
                pipeline.set(key, value, px=max(1, round(ttl_s * 1e3)))
            await pipeline.execute()

    async def keys(self, prefix: str) -> list[str]:
        with _failures_named():
            found = self._redis.scan_iter(match=f"{_escaped(prefix)}*", count=_CHUNK)
            return [key.decode() async for key in found]

    async def ping(self) -> None:
        """
        Raises:
            StoreUnavailable: no answer.
        """
        with _failures_named():
            await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()


def _escaped(prefix: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in prefix)


@contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise StoreUnavailable("redis", type(error).__name__) from error
