"""Remembers the kind of each attribute, and converts stored values when a kind changes."""

from collections.abc import Mapping
from typing import Literal, LiteralString

from psycopg import sql

from serve_app.database.schema import Connection

OfTable = Literal["items", "users"]

_TABLES = {"items": "item_features", "users": "user_features"}

_JSON_TYPES = {"number": "number", "flag": "boolean", "list": "array", "text": "string"}
"""The type of a stored value of each kind, as PostgreSQL names it."""

_CONVERTED: Mapping[str, LiteralString] = {
    "number": "CASE WHEN as_text ~ '^-?[0-9]{1,15}([.][0-9]{1,15})?$'"
    " THEN to_jsonb(as_text::numeric) ELSE value END",
    "flag": "CASE WHEN lower(as_text) IN ('true', 'false')"
    " THEN to_jsonb(lower(as_text)::bool) ELSE value END",
    "list": "to_jsonb(string_to_array(as_text, '|'))",
    "text": "to_jsonb(as_text)",
}
"""The new value, or the old one where it cannot be converted."""


def read_kinds(conn: Connection, of_table: OfTable) -> dict[str, str]:
    """Kinds of the attributes of items or users, by name."""
    return dict(
        conn.execute(
            "SELECT name, kind FROM recserve_attributes WHERE of_table = %s", (of_table,)
        ).fetchall()
    )


def remember_kinds(conn: Connection, of_table: OfTable, kinds: Mapping[str, str]) -> None:
    """Adds or replaces kinds of attributes."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO recserve_attributes VALUES (%s, %s, %s)"
            " ON CONFLICT (of_table, name) DO UPDATE SET kind = excluded.kind",
            [(of_table, name, kind) for name, kind in kinds.items()],
        )


def convert_stored(conn: Connection, of_table: OfTable, name: str, kind: str) -> int:
    """Converts the stored values of an attribute to a kind.

    Returns:
        The number of values that cannot be converted; they stay as they are.
    """
    table = sql.Identifier(_TABLES[of_table])
    wrong = {"name": name, "type": _JSON_TYPES[kind]}
    conn.execute(
        sql.SQL("""
            UPDATE {table} AS t
            SET attributes = t.attributes || jsonb_build_object(%(name)s::text, new.value),
              updated_at = now()
            FROM (
              SELECT ctid AS place, attributes -> %(name)s AS value, CASE
                  WHEN jsonb_typeof(attributes -> %(name)s) = 'array' THEN array_to_string(
                    ARRAY(SELECT jsonb_array_elements_text(attributes -> %(name)s)), '|')
                  ELSE attributes ->> %(name)s
                END AS as_text
              FROM {table}
              WHERE jsonb_typeof(attributes -> %(name)s) <> %(type)s
            ) AS old
            CROSS JOIN LATERAL (SELECT {converted} AS value) AS new
            WHERE t.ctid = old.place AND new.value <> old.value
        """).format(table=table, converted=sql.SQL(_CONVERTED[kind])),
        wrong,
    )
    row = conn.execute(
        sql.SQL(
            "SELECT count(*) FROM {} WHERE jsonb_typeof(attributes -> %(name)s) <> %(type)s"
        ).format(table),
        wrong,
    ).fetchone()
    return int(row[0]) if row else 0
