"""Keeps the connections that write to the shop's tables, and bounds the time of every write."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import psycopg
from pydantic import Field

from serve_app.database.connecting import Connector, ShopIdentities
from serve_app.database.connection_pool import AsyncConnection, ConnectionPool
from serve_app.database.detached import DetachedCalls
from serve_app.database.failures import FAILURES, reason_of
from serve_app.database.serving_reads import PostgresConfig
from serve_app.domain.settings import Settings
from serve_app.errors import StoreUnavailable
from serve_app.reachability import Reachability

Result = TypeVar("Result")

UNSTORABLE = "unstorable"
"""Reason of ``StoreUnavailable`` for rows that PostgreSQL refuses, whenever they are sent."""


class WriteConfig(Settings):
    """Limits with which the serving side writes to PostgreSQL."""

    pool_size: int = Field(
        default=2,
        ge=1,
        description="Most connections of a process that writes to PostgreSQL. Reads do not use"
        " them.",
    )
    timeout_s: float = Field(
        default=3.0,
        ge=0.01,
        description="Longest wait in seconds for a write, including the wait for a connection. Also"
        " the server's `statement_timeout`.",
    )
    lock_timeout_s: float = Field(
        default=0.5,
        ge=0.001,
        description="Longest wait in seconds for a lock, such as that of a load. Keep it below the"
        " server's `deadlock_timeout`: a write then gives way to a load, and is sent again.",
    )


class ShopConnections:
    """Connections of a process that write, apart from those that read for answers.

    They open with the first write, because they belong to the event loop that runs then.
    """

    def __init__(self, url: str, config: WriteConfig, reads: PostgresConfig) -> None:
        """``reads`` says how long to wait for a new connection, as for reads."""
        self._config = config
        self._calls = DetachedCalls()
        self._reachability = Reachability()
        self._connector = Connector(
            url,
            attempt_timeout_s=reads.connect_timeout_s,
            statement_timeout_s=config.timeout_s,
            lock_timeout_s=config.lock_timeout_s,
        )
        self._identities = ShopIdentities()
        self._pool = ConnectionPool(
            self._connector.connect,
            size=config.pool_size,
            max_waiting=reads.max_waiting,
            pause_s=reads.reconnect_pause_s,
        )

    async def run(
        self, work: Callable[[AsyncConnection, str], Awaitable[Result]], shop_id: str
    ) -> Result:
        """Runs some statements on one connection.

        Args:
            work: takes the connection, in autocommit mode, and the identity of the database's shop.
                It may be run twice: a repetition must do no harm.
            shop_id: of the shop that the work belongs to; an empty one fits every database.

        Raises:
            StoreUnavailable: there was no answer in time, and the work may be done or not. With
                the reason ``another_shop`` or ``UNSTORABLE`` it is not.
        """

        async def checked(conn: AsyncConnection) -> Result:
            try:
                found = await self._identities.check(conn, *filter(None, [shop_id]))
                return await work(conn, found)
            except psycopg.errors.ReadOnlySqlTransaction:
                # The primary became a standby. A new connection finds the new primary.
                conn.pgconn.finish()
                raise

        return await self._within_limits(checked)

    async def unreachable_s(self) -> float:
        """Seconds for which no write was answered; 0 if the last one was, or the server is now."""
        if self._reachability.unreachable_s:
            with suppress(StoreUnavailable):
                await self._within_limits(lambda conn: conn.execute("SELECT 1"))
        return self._reachability.unreachable_s

    async def close(self) -> None:
        # First the abandoned writes: they hold connections.
        await self._calls.close()
        await self._pool.close()
        await self._connector.close()

    async def _within_limits(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        try:
            result = await self._calls.within(self._config.timeout_s, self._pool.run(work))
        except (psycopg.DataError, psycopg.errors.CheckViolation) as error:
            raise StoreUnavailable("postgres", UNSTORABLE) from error
        except StoreUnavailable:
            self._reachability.failed()
            raise
        except FAILURES as error:
            self._reachability.failed()
            raise StoreUnavailable("postgres", reason_of(error)) from error
        self._reachability.answered()
        return result
