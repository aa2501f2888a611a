"""Reads what is stored of an item or a user, and deletes users."""

from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg.rows import dict_row

from serve_app.arrays.columns import hash_ids
from serve_app.database.connection_pool import AsyncConnection
from serve_app.database.writing.writing_connections import ShopConnections

Record = Mapping[str, Any]

N_EVENTS = 100
"""Latest events of a user that are read."""

_ITEM: LiteralString = """
SELECT item_id, title, category, price, tags, in_stock, withdrawn_at IS NULL AS listed,
  avg_rating, num_ratings, created_at, updated_at, attributes
FROM item_features WHERE item_id = %s
"""

_USER: LiteralString = """
SELECT created_at, updated_at, total_purchases, avg_rating, num_ratings, favorite_categories,
  recent_views, attributes
FROM user_features WHERE user_id = %s
"""

_EVENTS: LiteralString = """
SELECT event_id, item_id, type, value, at, session_id, request_id, position
FROM (SELECT * FROM interactions WHERE user_id = %s ORDER BY at DESC, event_id DESC LIMIT %s)
  AS latest JOIN item_features USING (item_row)
ORDER BY at DESC, event_id DESC
"""

# The hash, never the id: the row outlives everything else that is stored of the user.
_FORGET: LiteralString = """
INSERT INTO forgotten_users (user_hash, revision) VALUES (%s, 0)
ON CONFLICT (user_hash) DO UPDATE SET forgotten_at = now()
"""


async def read_item(connections: ShopConnections, item_id: str) -> Record | None:
    """Reads everything that is stored of an item; raises as ``ShopConnections.run``."""

    async def read(conn: AsyncConnection, _: str) -> Record | None:
        found = await _records(conn, _ITEM, item_id)
        return found[0] if found else None

    return await connections.run(read, "")


async def read_user(connections: ShopConnections, user_id: str) -> Record | None:
    """Reads a user, with ``events``, the latest first; ``None`` if nothing is stored."""

    async def read(conn: AsyncConnection, _: str) -> Record | None:
        events = await _records(conn, _EVENTS, user_id, N_EVENTS)
        described = await _records(conn, _USER, user_id)
        if not events and not described:
            return None
        return {"user_id": user_id, **(described[0] if described else {}), "events": events}

    return await connections.run(read, "")


async def forget_user(connections: ShopConnections, user_id: str, shop_id: str) -> tuple[str, int]:
    """Deletes a user, and notes that archives of earlier fits must not answer for them.

    Returns:
        The identity of the database's shop, and the number of events that were deleted.
    """
    # As the feed of changes reads it: PostgreSQL has no unsigned numbers.
    user_hash = int(hash_ids([user_id]).view("int64")[0])

    async def forget(conn: AsyncConnection, found_shop: str) -> tuple[str, int]:
        async with conn.transaction():
            await conn.execute(_FORGET, (user_hash,))
            await conn.execute("DELETE FROM user_features WHERE user_id = %s", (user_id,))
            events = await conn.execute("DELETE FROM interactions WHERE user_id = %s", (user_id,))
        return found_shop, events.rowcount

    return await connections.run(forget, shop_id)


async def _records(conn: AsyncConnection, query: LiteralString, *parameters: object) -> list[Any]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, parameters)
        return await cursor.fetchall()
