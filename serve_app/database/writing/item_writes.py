"""Writes items that are described over HTTP; only the fields that are given change."""

from collections.abc import Mapping, Sequence
from typing import LiteralString, NamedTuple

from psycopg import sql
from psycopg.types.json import Jsonb

from serve_app.database.connection_pool import AsyncConnection
from serve_app.database.writing.storing_statements import LOCK_ITEMS, MERGED, NEXT_ROW
from serve_app.database.writing.writing_connections import ShopConnections
from serve_app.domain.shop_requests import DescribedItem


class ItemCounts(NamedTuple):
    """Numbers of items by what a write did with them.

    Attributes:
        shop_id: identity of the shop that the database holds.
    """

    shop_id: str
    n_new: int
    n_changed: int
    n_unchanged: int


_GIVEN: LiteralString = """
jsonb_to_recordset(%(items)s::jsonb) AS s (line int, item_id text, fields text[], title text,
  category text, price double precision, tags text[], in_stock bool,
  created_at double precision, attributes jsonb)
"""

_COLUMNS = tuple(name for name in MERGED if name != "attributes")


def _merged(name: str) -> sql.Composed:
    """The new value of a column of a row that is there."""
    return sql.SQL("CASE WHEN {name} = ANY(s.fields) THEN {merged} ELSE {kept} END").format(
        name=name, merged=sql.SQL(MERGED[name]).format(), kept=sql.Identifier("t", name)
    )


def _of_new_item(name: str) -> sql.Composed:
    """The value of a column of a row that comes now: an item is new from then on."""
    value = sql.SQL(MERGED[name]).format()
    return sql.SQL("coalesce({}, now())").format(value) if name == "created_at" else value


_NAMES: Mapping[str, sql.Composable] = {
    "columns": sql.SQL(", ").join(map(sql.Identifier, MERGED)),
    "current": sql.SQL(", ").join(sql.Identifier("t", name) for name in MERGED),
    "merged": sql.SQL(", ").join([*map(_merged, _COLUMNS), sql.SQL(MERGED["attributes"]).format()]),
    "defaults": sql.SQL(", ").join(map(_of_new_item, MERGED)),
    "given": sql.SQL(_GIVEN),
}

# IS DISTINCT FROM keeps equal rows unwritten: they get no new revision.
_UPDATE = sql.SQL("""
    UPDATE item_features AS t SET ({columns}) = ROW({merged}), updated_at = now(),
      withdrawn_at = CASE WHEN %(lists_again)s THEN NULL ELSE t.withdrawn_at END
    FROM {given}
    WHERE t.item_id = s.item_id AND (ROW({current}) IS DISTINCT FROM ROW({merged})
      OR %(lists_again)s AND t.withdrawn_at IS NOT NULL)
""").format(**_NAMES)

_INSERT_NEW: LiteralString = f"""
    INSERT INTO item_features (item_row, item_id, {{columns}})
    SELECT {NEXT_ROW} (ORDER BY s.line), s.item_id, {{defaults}}
    FROM {{given}} LEFT JOIN item_features AS t USING (item_id)
    WHERE t.item_id IS NULL
"""
_INSERT = sql.SQL(_INSERT_NEW).format(**_NAMES)

_WITHDRAW: LiteralString = """
    UPDATE item_features SET withdrawn_at = coalesce(withdrawn_at, now()) WHERE item_id = %s
"""

_ADD_KINDS: LiteralString = """
    INSERT INTO recserve_attributes SELECT 'items', name, kind
    FROM unnest(%s::text[], %s::text[]) AS new (name, kind) ORDER BY name
    ON CONFLICT (of_table, name) DO NOTHING
"""

_KINDS: LiteralString = "SELECT name, kind FROM recserve_attributes WHERE of_table = 'items'"


async def read_item_kinds(connections: ShopConnections) -> dict[str, str]:
    """Kinds of the attributes of items, by name; raises as ``ShopConnections.run``."""

    async def read(conn: AsyncConnection, _: str) -> dict[str, str]:
        return await _kinds(conn)

    return await connections.run(read, "")


async def put_items(
    connections: ShopConnections,
    items: Sequence[DescribedItem],
    kinds: Mapping[str, str],
    shop_id: str,
) -> ItemCounts | None:
    """Adds or changes items; lists them again if they were withdrawn.

    Args:
        items: with distinct ids.
        kinds: of all attributes; those that are not known are remembered.

    Returns:
        ``None`` if an attribute has another kind by now: nothing was written.
    """

    async def put(conn: AsyncConnection, found_shop: str) -> ItemCounts | None:
        async with conn.transaction():
            await conn.execute(LOCK_ITEMS)
            if not await _agree(conn, kinds):
                return None
            given = {"items": _given(items), "lists_again": True}
            changed = await conn.execute(_UPDATE, given)
            added = await conn.execute(_INSERT, given)
        n_unchanged = len(items) - added.rowcount - changed.rowcount
        return ItemCounts(found_shop, added.rowcount, changed.rowcount, n_unchanged)

    return await connections.run(put, shop_id)


async def patch_item(
    connections: ShopConnections, item: DescribedItem, kinds: Mapping[str, str], shop_id: str
) -> ItemCounts | None:
    """Changes an item that is there; one that is not gives three zeros. Else as ``put_items``."""

    async def patch(conn: AsyncConnection, found_shop: str) -> ItemCounts | None:
        async with conn.transaction():
            if not await _agree(conn, kinds):
                return None
            is_known = await conn.execute(
                "SELECT FROM item_features WHERE item_id = %s", (item.item_id,)
            )
            given = {"items": _given([item]), "lists_again": False}
            changed = await conn.execute(_UPDATE, given)
        n_unchanged = is_known.rowcount - changed.rowcount
        return ItemCounts(found_shop, 0, changed.rowcount, n_unchanged)

    return await connections.run(patch, shop_id)


async def withdraw_item(connections: ShopConnections, item_id: str, shop_id: str) -> str | None:
    """Takes an item out of all lists; what users did with it stays.

    Returns:
        The identity of the database's shop; ``None`` if there is no such item.
    """

    async def withdraw(conn: AsyncConnection, found_shop: str) -> str | None:
        return found_shop if (await conn.execute(_WITHDRAW, (item_id,))).rowcount else None

    return await connections.run(withdraw, shop_id)


async def _agree(conn: AsyncConnection, kinds: Mapping[str, str]) -> bool:
    """Remembers kinds that are not known; tells whether all others are as given."""
    await conn.execute(_ADD_KINDS, (list(kinds), list(kinds.values())))
    known = await _kinds(conn)
    return all(known[name] == kind for name, kind in kinds.items())


async def _kinds(conn: AsyncConnection) -> dict[str, str]:
    return dict(await (await conn.execute(_KINDS)).fetchall())


def _given(items: Sequence[DescribedItem]) -> Jsonb:
    rows = [
        {"line": line, "item_id": item.item_id, "fields": list(item.columns), **item.columns}
        | {"attributes": dict(item.attributes)}
        for line, item in enumerate(items)
    ]
    return Jsonb(rows)
