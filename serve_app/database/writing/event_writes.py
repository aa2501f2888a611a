"""Stores interactions that come while the shop is served: in one transaction, once each."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, LiteralString, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from pydantic import Field

from serve_app.database.connecting import Connector
from serve_app.database.connection_pool import AsyncConnection, ConnectionPool
from serve_app.database.detached import DetachedCalls
from serve_app.database.failures import FAILURES, reason_of
from serve_app.database.writing.event_statements import (
    DIFFERS_FROM_STORED,
    INSERT_BARE_ITEMS,
    INSERT_EVENTS,
    LOCK_ITEMS,
)
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
    connect_timeout_s: float = Field(
        default=1.5,
        gt=0,
        description="Longest wait in seconds for a new connection to one address of the server.",
    )
    reconnect_pause_s: float = Field(
        default=0.25,
        gt=0,
        description="Seconds between attempts to connect while the server is down.",
    )
    max_waiting: int = Field(
        default=64, ge=1, description="Writes that may wait for a connection; more fail at once."
    )


class EventRow(NamedTuple):
    """A checked interaction; times are epoch seconds.

    Attributes:
        is_dated: the sender gave the time. Otherwise the time does not tell interactions apart.
    """

    event_id: str
    user_id: str
    item_id: str
    type: int
    value: float | None
    at: float
    session_id: str | None
    request_id: str | None
    position: int | None
    is_dated: bool


class StoredEvents(NamedTuple):
    """The outcome of a write: two flags for each row.

    Attributes:
        shop_id: identity of the shop that the database holds.
        are_new: the row was added.
        differ: the ``event_id`` was there already, and stands for another interaction.
    """

    shop_id: str
    are_new: Sequence[bool]
    differ: Sequence[bool]


# Types of the arrays are in the text: the server could not infer them from a null.
_GIVEN: LiteralString = """
unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::smallint[], %s::real[],
  %s::double precision[], %s::text[], %s::text[], %s::int[])
AS s (line, event_id, user_id, item_id, type, value, at, session_id, request_id, position)
"""

# Without a new item this is all, and a single statement is one round trip and one transaction. The
# condition keeps the write whole: with a new item, nothing is stored before the item has its row.
_STORE_OF_KNOWN_ITEMS = sql.SQL(
    "WITH given AS MATERIALIZED (SELECT * FROM "
    + _GIVEN
    + "), lacking AS MATERIALIZED (SELECT FROM given AS s WHERE NOT EXISTS"
    " (SELECT FROM item_features AS i WHERE i.item_id = s.item_id) LIMIT 1), stored AS ("
    + INSERT_EVENTS
    + " RETURNING event_id) SELECT EXISTS (SELECT FROM lacking),"
    " (SELECT array_agg(event_id) FROM stored)"
).format(
    given=sql.Identifier("given"),
    # In one order everywhere: two writes with the same events wait for each other, never crosswise.
    when_and_order=sql.SQL("WHERE NOT EXISTS (SELECT FROM lacking) ORDER BY event_id"),
)

_ADD_ITEMS = sql.SQL(INSERT_BARE_ITEMS).format(given=sql.SQL("(SELECT * FROM " + _GIVEN + ")"))

_DIFFERING: LiteralString = f"""
SELECT s.line FROM {_GIVEN} JOIN interactions AS i USING (event_id)
  JOIN item_features AS t USING (item_row)
WHERE {DIFFERS_FROM_STORED}
"""


class EventWriter:
    """Writes interactions over connections of its own.

    Connections open with the first write, because they belong to the event loop that runs then.
    Every write may be repeated: an ``event_id`` that is there already is not added again.
    """

    def __init__(self, url: str, config: WriteConfig) -> None:
        self._config = config
        self._calls = DetachedCalls()
        self._reachability = Reachability()
        self._connector = Connector(
            url,
            attempt_timeout_s=config.connect_timeout_s,
            statement_timeout_s=config.timeout_s,
            lock_timeout_s=config.lock_timeout_s,
        )
        self._shops: WeakKeyDictionary[AsyncConnection, str] = WeakKeyDictionary()
        self._pool = ConnectionPool(
            self._connector.connect,
            size=config.pool_size,
            max_waiting=config.max_waiting,
            pause_s=config.reconnect_pause_s,
        )

    async def store(self, rows: Sequence[EventRow], shop_id: str) -> StoredEvents:
        """Stores all rows or none; returns after the commit.

        The first row of an ``event_id`` counts. Items that are not known get the next row numbers.

        Args:
            shop_id: of the shop that the rows belong to; an empty one fits every database.

        Raises:
            StoreUnavailable: there was no answer in time, and the rows may be stored or not. With
                the reason ``another_shop`` or ``UNSTORABLE`` they are not.
        """

        async def store(conn: AsyncConnection) -> StoredEvents:
            return await _store(conn, rows, await self._checked_shop(conn, shop_id))

        return await self._within_limits(store)

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
            result = await self._calls.within(self._config.timeout_s, self._run(work))
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

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        async with self._pool.connection() as conn:
            try:
                return await work(conn)
            except psycopg.errors.ReadOnlySqlTransaction:
                # The primary became a standby. A new connection finds the new primary.
                conn.pgconn.finish()
                raise
            except psycopg.OperationalError:
                # Lost, as after a restart of the server. The write may be committed or not, and
                # can be repeated in either case.
                if not conn.broken:
                    raise
        async with self._pool.connection() as conn:
            return await work(conn)

    async def _checked_shop(self, conn: AsyncConnection, wanted: str) -> str:
        found = self._shops.get(conn)
        if found is None:
            row = await (await conn.execute("SELECT shop_id::text FROM recserve_shop")).fetchone()
            found = self._shops[conn] = str(row[0]) if row else ""
        if wanted and found != wanted:
            raise StoreUnavailable("postgres", "another_shop")
        return found


async def _store(conn: AsyncConnection, rows: Sequence[EventRow], shop_id: str) -> StoredEvents:
    first = {row.event_id: line for line, row in reversed(list(enumerate(rows)))}
    lines = sorted(first.values())
    given = _arrays(rows, lines)
    lacks_items, stored = await _one(conn, _STORE_OF_KNOWN_ITEMS, given)
    if lacks_items:
        async with conn.transaction():
            await conn.execute(LOCK_ITEMS)
            await conn.execute(_ADD_ITEMS, given)
            _, stored = await _one(conn, _STORE_OF_KNOWN_ITEMS, given)
    new = {first[event_id] for event_id in stored or ()}
    differing = await _differing(conn, rows, [line for line in range(len(rows)) if line not in new])
    numbers = range(len(rows))
    return StoredEvents(
        shop_id, [line in new for line in numbers], [line in differing for line in numbers]
    )


async def _differing(
    conn: AsyncConnection, rows: Sequence[EventRow], lines: Sequence[int]
) -> set[int]:
    """The lines whose ``event_id`` stands for another interaction. Stored rows never change."""
    if not lines:
        return set()
    cursor = await conn.execute(_DIFFERING, _arrays(rows, lines, hide_times=True))
    return {line for (line,) in await cursor.fetchall()}


def _arrays(
    rows: Sequence[EventRow], lines: Sequence[int], *, hide_times: bool = False
) -> list[list[Any]]:
    """One array for each column, of the rows at the lines.

    Args:
        hide_times: leave out the times that the senders did not give.
    """
    *columns, are_dated = map(list, zip(*(rows[line] for line in lines), strict=True))
    if hide_times:
        at = EventRow._fields.index("at")
        pairs = zip(columns[at], are_dated, strict=True)
        columns[at] = [time if is_dated else None for time, is_dated in pairs]
    return [list(lines), *columns]


async def _one(conn: AsyncConnection, query: sql.Composed, parameters: Sequence[object]) -> Any:
    return await (await conn.execute(query, parameters)).fetchone()
