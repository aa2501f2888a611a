"""Opens the stores of one process: by URL, or the embedded ones."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Thread

from serve_app.database.serving_reads import PostgresConfig, ShopReader
from serve_app.database.writing.writing_connections import ShopConnections, WriteConfig
from serve_app.domain.settings import Settings
from serve_app.embedded.lease import Lease, StoreUrls, lease
from serve_app.errors import EmbeddedStoresFailed
from serve_app.stores.cache import Cache, RedisConfig
from serve_app.stores.catalogue_follower import CatalogueFollower
from serve_app.stores.urls import checked_database_url, checked_redis_url

_logger = logging.getLogger("ray.serve.recserve.stores")

_PAUSE_S = 1.0
"""Pause before the embedded stores are started again after an attempt that failed."""


class StoresConfig(Settings):
    """Limits with which the serving side uses its stores."""

    redis: RedisConfig = RedisConfig()
    postgres: PostgresConfig = PostgresConfig()
    writes: WriteConfig = WriteConfig()


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """Where the stores of a process are.

    Attributes:
        home: folder of the embedded stores, of bundles, and of the copies that a node keeps.
        database_url, redis_url: ``None`` for the embedded store.
    """

    home: Path
    # Not in the representation, which tracebacks show.
    database_url: str | None = field(repr=False)
    redis_url: str | None = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], home: Path) -> "StoreLocation":
        """Reads ``DATABASE_URL`` and ``REDIS_URL``; an empty variable counts as not set.

        Raises:
            SettingsInvalid: a URL cannot be read.
        """
        database, redis = (environment.get(name) or None for name in ("DATABASE_URL", "REDIS_URL"))
        return cls(
            home,
            database and checked_database_url(database),
            redis and checked_redis_url(redis),
        )

    def urls(self) -> tuple[StoreUrls, Lease | None]:
        """URLs of the stores, and a lease that must be held for as long as they are used.

        Raises:
            EmbeddedStoresFailed: the embedded stores are needed and do not start.
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


class Stores:
    """The cache and the shop of one process; opens nothing before it is used.

    A process that receives it as a pickle opens its own connections.
    """

    def __init__(self, location: StoreLocation, config: StoresConfig) -> None:
        self._location = location
        self._config = config

    def __reduce__(self) -> tuple[type["Stores"], tuple[StoreLocation, StoresConfig]]:
        # Open connections and the lease belong to this process: a copy is made of settings alone.
        return Stores, (self._location, self._config)

    # ``cached_property`` has no lock: the constructors of stages open the stores one after another.
    @cached_property
    def cache(self) -> Cache:
        """Redis; raises as ``StoreLocation.urls``."""
        return Cache(self._urls.redis, self._config.redis)

    @cached_property
    def shop(self) -> ShopReader:
        """PostgreSQL; raises as ``StoreLocation.urls``."""
        return ShopReader(self._urls.database, self._config.postgres)

    @cached_property
    def writes(self) -> ShopConnections:
        """PostgreSQL, over connections that write; raises as ``StoreLocation.urls``."""
        return ShopConnections(self._urls.database, self._config.writes, self._config.postgres)

    @cached_property
    def catalogue(self) -> CatalogueFollower:
        """Follows the items of the shop, for all stages of the process; raises as above."""
        return CatalogueFollower(self.shop)

    async def silent(self, at_least_s: float) -> dict[str, float]:
        """Seconds by store, of those that have not answered this process for ``at_least_s``."""
        silences = {
            "postgres": await self.shop.unreachable_s(),
            "redis": await self.cache.unreachable_s(),
        }
        return {store: seconds for store, seconds in silences.items() if seconds >= at_least_s}

    @cached_property
    def _urls(self) -> StoreUrls:
        urls, held = self._location.urls()
        if held is not None:
            # A thread, because it blocks for the life of the process. A daemon, because it must
            # not keep a process alive that has nothing else to do.
            home = self._location.home
            Thread(target=_keep, args=(home, held), name="lease", daemon=True).start()
        return urls


def _keep(home: Path, held: Lease) -> None:
    """Holds the embedded stores for the life of the process, and restarts them when they are lost.

    They restart on the same sockets, so the clients reconnect by themselves.
    """
    while True:
        held.wait_lost()
        _logger.warning("the embedded stores in %s were lost and are started again", home)
        try:
            held = lease(home)
        except EmbeddedStoresFailed as failure:
            _logger.error("%s", failure)
            # The old lease is still lost, so the loop tries again at once: hence the pause.
            time.sleep(_PAUSE_S)
