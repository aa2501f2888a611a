"""Stores interactions that come while the shop is served: in one transaction, once each."""

from collections.abc import Sequence
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from serve_app.database.connection_pool import AsyncConnection
from serve_app.database.writing.storing_statements import (
    DIFFERS_FROM_STORED,
    INSERT_BARE_ITEMS,
    INSERT_EVENTS,
    LOCK_ITEMS,
)
from serve_app.database.writing.writing_connections import ShopConnections
from serve_app.domain.posts import EventRow


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


async def store_events(
    connections: ShopConnections, rows: Sequence[EventRow], shop_id: str
) -> StoredEvents:
    """Stores all rows or none; returns after the commit.

    The first row of an ``event_id`` counts. Items that are not known get the next row numbers.
    May be repeated: an ``event_id`` that is there already is not added again. Raises as
    ``ShopConnections.run``.
    """

    async def store(conn: AsyncConnection, found_shop: str) -> StoredEvents:
        return await _store(conn, rows, found_shop)

    return await connections.run(store, shop_id)


async def _store(conn: AsyncConnection, rows: Sequence[EventRow], shop_id: str) -> StoredEvents:
    first = {row.event_id: line for line, row in reversed(list(enumerate(rows)))}
    lines = sorted(first.values())
    given = _arrays(rows, lines)
    lacks_items, stored = await _insert(conn, given)
    if lacks_items:
        async with conn.transaction():
            await conn.execute(LOCK_ITEMS)
            await conn.execute(_ADD_ITEMS, given)
            _, stored = await _insert(conn, given)
    new = {first[event_id] for event_id in stored}
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


async def _insert(conn: AsyncConnection, given: Sequence[object]) -> tuple[bool, Sequence[str]]:
    """Adds events; tells of an unknown item, which stops it, and gives the ids that were added."""
    row = await (await conn.execute(_STORE_OF_KNOWN_ITEMS, given)).fetchone()
    assert row is not None, "the statement gives one row"
    return row[0], row[1] or ()
