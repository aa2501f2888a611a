"""Checks both stores the way serving uses them, and says what to change where it cannot."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from serve_app.database.connecting import Connector, is_pooled
from serve_app.database.connection_pool import AsyncConnection
from serve_app.database.failures import FAILURES
from serve_app.database.schema import WRONG_ENCODING
from serve_app.database.serving_reads import PostgresConfig, ShopReader
from serve_app.domain.interactions import PURCHASE
from serve_app.errors import SettingsInvalid, StoreUnavailable
from serve_app.stores.cache import Cache, RedisConfig

_DATABASE, _REDIS = "DATABASE_URL", "REDIS_URL"

_KEYS = tuple(f"recserve:doctor:{n}" for n in range(8))
"""So many that a cluster would not keep all of them in one place."""

_REDIS_REASONS: Mapping[str, str] = {
    "ReadOnlyError": "is a replica that cannot be written: name the primary",
    "AuthenticationError": "refuses the user or the password",
    "NoPermissionError": "does not let the user read and write keys: allow PING, INFO, MGET, SET,"
    " UNLINK and SCAN on `recserve:*`",
    **dict.fromkeys(
        ("ClusterCrossSlotError", "ClusterDownError", "MovedError", "AskError"),
        "is a cluster, which cannot read several keys at once: use a single server",
    ),
}

_NO_IDENTITY = (
    "does not name its server, and therefore nothing is cached: allow INFO, and connect to the"
    " server itself where a proxy refuses INFO"
)

_FACTS: LiteralString = """
SELECT current_setting('server_version_num')::int / 10000 AS version,
  pg_is_in_recovery() OR EXISTS (SELECT FROM pg_settings
    WHERE name = 'default_transaction_read_only' AND reset_val = 'on') AS is_read_only,
  current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int AS max_connections,
  to_regclass('recserve_schema') IS NOT NULL AS has_tables,
  current_schema() AS schema, current_user AS role,
  coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create
"""


@dataclass(frozen=True, slots=True)
class ServingDatabase:
    """A database that can be served from.

    Attributes:
        version: major version of PostgreSQL.
        is_read_only: it cannot be loaded or fitted into.
        max_connections: of all programs together.
        is_pooled: a pooler is in between; ``max_connections`` limits the pooler.
    """

    version: int
    is_read_only: bool
    max_connections: int
    is_pooled: bool


def check_serving_database(url: str, config: PostgresConfig) -> ServingDatabase:
    """Connects and reads as the stages do.

    Raises:
        SettingsInvalid: the stages could not; the message says what to change.
    """
    return asyncio.run(_check_database(url, config))


async def _check_database(url: str, config: PostgresConfig) -> ServingDatabase:
    connector = Connector(url, attempt_timeout_s=5.0, statement_timeout_s=5.0)
    try:
        conn = await connector.connect()
        try:
            facts = await _facts(conn)
            pooled = is_pooled(conn)
        finally:
            await conn.close()
    except StoreUnavailable as failure:
        encoding = failure.reason.removeprefix("encoding_")
        raise SettingsInvalid(_DATABASE, WRONG_ENCODING.format(encoding)) from failure
    except FAILURES as error:
        raise SettingsInvalid(_DATABASE, _said(error)) from error
    finally:
        await connector.close()
    if facts["has_tables"]:
        await _read(url, config, facts)
    else:
        _check_may_create(facts)
    return ServingDatabase(
        facts["version"], facts["is_read_only"], facts["max_connections"], pooled
    )


async def _facts(conn: AsyncConnection) -> Mapping[str, Any]:
    cursor = await conn.execute(_FACTS)
    [row] = await cursor.fetchall()
    return dict(zip((column.name for column in cursor.description or ()), row, strict=True))


async def _read(url: str, config: PostgresConfig, facts: Mapping[str, Any]) -> None:
    # A command has time: a slow first read says nothing about serving.
    shop = ShopReader(url, config.model_copy(update={"timeout_s": 5.0, "connect_timeout_s": 5.0}))
    try:
        for _ in range(3):  # The second time, the statements are prepared.
            await shop.user_features([""])
            await shop.items([""])
            await shop.histories([""], (PURCHASE,))
    except StoreUnavailable as failure:
        if failure.reason == "InsufficientPrivilege":
            reason = f"GRANT SELECT ON ALL TABLES IN SCHEMA {facts['schema']} TO {facts['role']}"
        elif failure.reason == "no_schema":
            reason = "its tables are of another build: run `recserve load` or `recserve fit`"
        else:
            reason = f"a read as the stages do it fails: {failure.reason}"
        raise SettingsInvalid(_DATABASE, reason) from failure
    finally:
        await shop.close()


def _check_may_create(facts: Mapping[str, Any]) -> None:
    if facts["schema"] is None:
        raise SettingsInvalid(_DATABASE, "search_path names no schema that exists: create one")
    if facts["is_read_only"]:
        reason = "the server is read-only and holds no tables yet: name the primary"
        raise SettingsInvalid(_DATABASE, reason)
    if not facts["may_create"]:
        reason = (
            f"{facts['role']} cannot create the tables:"
            f" GRANT CREATE ON SCHEMA {facts['schema']} TO {facts['role']}"
        )
        raise SettingsInvalid(_DATABASE, reason)


def _said(error: Exception) -> str:
    # The text of other errors may repeat the URL, and with it the password.
    if not isinstance(error, psycopg.OperationalError):
        return f"no connection: {type(error).__name__}"
    return " ".join(str(error).split()) or type(error).__name__


def check_serving_cache(url: str, config: RedisConfig) -> None:
    """Writes and reads as the stages do.

    Raises:
        SettingsInvalid: the server answers, but the stages could not use it.
        StoreUnavailable: it does not answer.
    """
    asyncio.run(_check_cache(url, config))


async def _check_cache(url: str, config: RedisConfig) -> None:
    cache = Cache(url, config)
    try:
        await cache.ping()
        await cache.set_many(dict.fromkeys(_KEYS, b"1"), 1.0)
        moment = await cache.read(_KEYS)
        await cache.remove(_KEYS)
    except StoreUnavailable as failure:
        if reason := _REDIS_REASONS.get(failure.reason):
            raise SettingsInvalid(_REDIS, reason) from failure
        raise
    finally:
        await cache.close()
    if moment.server is None:
        raise SettingsInvalid(_REDIS, _NO_IDENTITY)
