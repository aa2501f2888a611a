"""Defines the statements that store interactions and items, from files and over HTTP alike.

``{given}`` stands for the rows: a staging table, or the arrays of a post. A row has ``line``, its
position, and the columns of an interaction. Its ``at`` is epoch seconds, or null for a time that
the sender did not give.
"""

from collections.abc import Mapping
from typing import LiteralString

NEXT_ROW: LiteralString = (
    # After the rows that are there: a failed load leaves no gap.
    "(SELECT coalesce(max(item_row), -1) FROM item_features) + row_number() OVER"
)

LOCK_ITEMS: LiteralString = "SELECT pg_advisory_xact_lock(x'72656369'::int)"
"""Stops others who add items, until the end of the transaction. Without it, two of them would add
one item twice, or give one row number to two items. It is no lock of the table: a fit updates items
for long, and adds none."""

INSERT_BARE_ITEMS: LiteralString = f"""
    INSERT INTO item_features (item_row, item_id)
    SELECT {NEXT_ROW} (ORDER BY min(line)), item_id
    FROM {{given}} AS s
    WHERE NOT EXISTS (SELECT FROM item_features AS i WHERE i.item_id = s.item_id)
    GROUP BY item_id
"""

INSERT_EVENTS: LiteralString = """
    INSERT INTO interactions
      (event_id, user_id, item_row, type, value, at, session_id, request_id, position)
    SELECT event_id, user_id, item_row, type, value, to_timestamp(s.at), session_id, request_id,
      position
    FROM {given} AS s JOIN item_features USING (item_id)
    {when_and_order}
    ON CONFLICT (event_id) DO NOTHING
"""

IDENTITY: LiteralString = (
    "ROW(s.user_id, s.item_id, s.type, s.value, to_timestamp(s.at), s.session_id)"
)
"""The content that an ``event_id`` stands for. ``request_id`` and ``position`` are no part of it:
files lack them, and still name the same interaction."""

DIFFERS_FROM_STORED: LiteralString = """
    ROW(s.user_id, s.item_id, s.type, s.value, coalesce(to_timestamp(s.at), i.at), s.session_id)
      IS DISTINCT FROM ROW(i.user_id, t.item_id, i.type, i.value, i.at, i.session_id)
"""
"""``i`` is the stored interaction, ``t`` its item."""

MERGED: Mapping[str, LiteralString] = {
    "title": "s.title",
    "category": "coalesce(s.category, 'unknown')",
    "price": "s.price",
    "tags": "coalesce(s.tags, '{{}}')",
    "in_stock": "coalesce(s.in_stock, true)",
    "created_at": "to_timestamp(s.created_at)",
    # Attributes that are not given stay. A null deletes its attribute.
    "attributes": "jsonb_strip_nulls(coalesce(t.attributes, '{{}}') || s.attributes)",
}
"""The stored value of a given column, ``s``; nothing given becomes the column's default. ``t`` is
the row that is there."""
