"""The stores of one process: by URL, or the embedded ones."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Thread

from serve_app.domain.interactions import Events
from serve_app.domain.settings import Settings
from serve_app.embedded.lease import Lease, StoreUrls, lease
from serve_app.errors import EmbeddedStoresFailed
from serve_app.stores.postgres.serving_reads import PostgresConfig, PostgresShop
from serve_app.stores.records import ItemRow, UserRow
from serve_app.stores.redis_cache import RedisCache, RedisConfig

_logger = logging.getLogger("ray.serve.recserve.stores")

_PAUSE_S = 1.0
"""Before the stores are started again after an attempt that failed."""


class StoresConfig(Settings):
    """How the serving side talks to its stores."""

    redis: RedisConfig = RedisConfig()
    postgres: PostgresConfig = PostgresConfig()


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """
    Attributes:
        home: folder of the embedded stores, of bundles, and of what a node keeps.
        database_url: ``None`` for the embedded PostgreSQL.
        redis_url: ``None`` for the embedded Redis.
    """

    home: Path
    database_url: str | None
    redis_url: str | None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], home: Path) -> "StoreLocation":
        """``DATABASE_URL`` and ``REDIS_URL``, empty ones as if they were not set."""
        return cls(
            home,
            environment.get("DATABASE_URL") or None,
            environment.get("REDIS_URL") or None,
        )

    def urls(self) -> tuple[StoreUrls, Lease | None]:
        """
        Where the stores are; the lease has to be kept as long as they are used.

        Raises:
            EmbeddedStoresFailed: they are needed and do not start.
        """
        if self.database_url and self.redis_url:
            return StoreUrls(self.database_url, self.redis_url), None
        held = lease(self.home)
        return StoreUrls(
            self.database_url or held.urls.database, self.redis_url or held.urls.redis
        ), held


def home_of(environment: Mapping[str, str], folder: Path) -> Path:
    """``RECSERVE_HOME``, or ``.recserve`` in a folder; absolute."""
    return (folder / (environment.get("RECSERVE_HOME") or ".recserve")).absolute()


class LazyShop:
    """PostgreSQL, opened by the first call: a connection pool belongs to a running event loop."""

    def __init__(self, url: str, config: PostgresConfig) -> None:
        self._url = url
        self._config = config
        self._opening: asyncio.Task[PostgresShop] | None = None

    async def user_features(self, ids: Sequence[str]) -> Mapping[str, UserRow]:
        return await (await self._shop()).user_features(ids)

    async def items(self, ids: Sequence[str]) -> Mapping[str, ItemRow]:
        return await (await self._shop()).items(ids)

    async def histories(self, user_ids: Sequence[str]) -> Mapping[str, Events]:
        return await (await self._shop()).histories(user_ids)

    async def _shop(self) -> PostgresShop:
        if self._opening is None:
            self._opening = asyncio.create_task(PostgresShop.open(self._url, self._config))
        return await asyncio.shield(self._opening)


class Stores:
    """
    What a process reads from. Nothing is opened before it is used.

    Another process that it is sent to opens its own.
    """

    def __init__(self, location: StoreLocation, config: StoresConfig) -> None:
        self._location = location
        self._config = config

    def __reduce__(self) -> tuple[type["Stores"], tuple[StoreLocation, StoresConfig]]:
        return Stores, (self._location, self._config)

    @cached_property
    def cache(self) -> RedisCache:
        """Redis; raises as :attr:`_urls`."""
        return RedisCache(self._urls.redis, self._config.redis)

    @cached_property
    def shop(self) -> LazyShop:
        """PostgreSQL; raises as :attr:`_urls`."""
        return LazyShop(self._urls.database, self._config.postgres)

    @cached_property
    def _urls(self) -> StoreUrls:
        """
        Raises:
            EmbeddedStoresFailed: they are needed and do not start.
        """
        urls, held = self._location.urls()
        if held is not None:
            home = self._location.home
            Thread(target=_keep, args=(home, held), name="lease", daemon=True).start()
        return urls


def _keep(home: Path, held: Lease) -> None:
    """Holds the embedded stores for the life of the process; brings them back when they are lost.

    They come back at the same place, so the clients find them by themselves.
    """
    while True:
        held.wait_lost()
        _logger.warning("the embedded stores in %s were lost and are started again", home)
        try:
            held = lease(home)
        except EmbeddedStoresFailed as failure:
            _logger.error("%s", failure)
            time.sleep(_PAUSE_S)
