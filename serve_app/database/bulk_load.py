"""Loads rows into PostgreSQL in bulk: stages them as they come, then merges them in one step.

A staged row carries its line in the file. The last line of an item or user wins, and the first
line of an event. Merging equal rows again changes nothing, not even ``updated_at``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, LiteralString

from psycopg import Cursor, sql
from psycopg.rows import TupleRow

from serve_app.database.schema import Connection
from serve_app.database.writing.storing_statements import (
    DIFFERS_FROM_STORED,
    IDENTITY,
    INSERT_BARE_ITEMS,
    INSERT_EVENTS,
    LOCK_ITEMS,
    MERGED,
    NEXT_ROW,
)
from serve_app.domain.interactions import MAX_ENDING_EVENTS

Kind = Literal["items", "users", "interactions"]


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """Numbers of rows by the outcome of a merge.

    Attributes:
        repeated: lines that lost against another line of the file with their key.
    """

    new: int
    changed: int
    unchanged: int
    repeated: int


_STAGED_COLUMNS: Mapping[Kind, LiteralString] = {
    "items": "item_id text, title text, category text, price double precision, tags text[],"
    " in_stock bool, created_at double precision, attributes jsonb",
    "users": "user_id text, created_at double precision, attributes jsonb",
    "interactions": "event_id text, user_id text, item_id text, type smallint, value real,"
    " at double precision, session_id text, request_id text, position int",
}

_TARGETS = {"items": ("item_features", "item_id"), "users": ("user_features", "user_id")}


def create_staging(conn: Connection, kind: Kind) -> None:
    """Creates the staging table of this transaction; it is dropped when the transaction ends."""
    conn.execute(
        sql.SQL("CREATE TEMP TABLE {} (line bigint, " + _STAGED_COLUMNS[kind] + ") ON COMMIT DROP")
        .format(_staging_table(kind))
    )  # fmt: skip


def stage(
    conn: Connection, kind: Kind, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Appends rows to the staging table. Times are epoch seconds, attributes JSON texts.

    Args:
        columns: names of the values of a row, in their order; the first is ``line``.
    """
    copy_in = sql.SQL("COPY {} ({}) FROM STDIN").format(_staging_table(kind), _names(columns))
    with conn.cursor() as cursor, cursor.copy(copy_in) as copy:
        for row in rows:
            copy.write_row(row)


def drop_conflicting_events(conn: Connection) -> list[tuple[int, str]]:
    """Removes staged interactions whose ``event_id`` belongs to another interaction.

    That other one is an earlier line of the file, or is stored. Equal lines stay.

    Returns:
        Line and event_id of each.
    """
    with conn.cursor() as cursor:
        cursor.execute("ANALYZE staged_interactions")
        of_file = cursor.execute(_DROP_CONFLICTS_IN_FILE).fetchall()
        of_table = cursor.execute(_DROP_CONFLICTS_WITH_TABLE).fetchall()
    return sorted([*of_file, *of_table])


def merge_described(
    conn: Connection, kind: Literal["items", "users"], columns: Sequence[str]
) -> MergeCounts:
    """Merges the staged items or users into their table.

    Args:
        columns: columns of the file beside the id; all others keep their values.
    """
    table, key = _TARGETS[kind]
    merged = [sql.SQL(MERGED[name]).format() for name in columns]
    names = {
        "staged": _staging_table(kind),
        "table": sql.Identifier(table),
        "key": sql.Identifier(key),
        "columns": _names(columns),
        "current": sql.SQL(", ").join(sql.Identifier("t", name) for name in columns),
        "merged": sql.SQL(", ").join(merged),
        "key_and_columns": _names([key, *columns]),
        "key_and_merged": sql.SQL(", ").join([sql.Identifier("s", key), *merged]),
    }
    with conn.cursor() as cursor:
        # A new table has no statistics, and autovacuum does not see temporary ones.
        cursor.execute(sql.SQL("ANALYZE {staged}").format(**names))
        n_repeated = _drop_repeated(cursor, kind, key, keep="max")
        n_staged = _count(cursor, sql.SQL("SELECT count(*) FROM {staged}").format(**names))
        if kind == "items":
            cursor.execute(LOCK_ITEMS)
        n_changed = 0
        if columns:
            cursor.execute(_UPDATE.format(**names))
            n_changed = cursor.rowcount
        cursor.execute(_INSERTS[kind].format(**names))
        n_new = cursor.rowcount
    return MergeCounts(n_new, n_changed, n_staged - n_new - n_changed, n_repeated)


def merge_interactions(conn: Connection) -> tuple[MergeCounts, int]:
    """Appends the staged interactions whose ``event_id`` is not known yet.

    Returns:
        The counts (``unchanged``: events known before), and the number of items that were added
        because no file had described them.
    """
    with conn.cursor() as cursor:
        cursor.execute("ANALYZE staged_interactions")
        n_repeated = _drop_repeated(cursor, "interactions", "event_id", keep="min")
        n_staged = _count(cursor, "SELECT count(*) FROM staged_interactions")
        cursor.execute(LOCK_ITEMS)
        given = {"given": _staging_table("interactions"), "when_and_order": sql.SQL("")}
        cursor.execute(sql.SQL(INSERT_BARE_ITEMS).format(**given))
        n_bare_items = cursor.rowcount
        cursor.execute(sql.SQL(INSERT_EVENTS).format(**given))
        n_new = cursor.rowcount
    return MergeCounts(n_new, 0, n_staged - n_new, n_repeated), n_bare_items


# IS DISTINCT FROM keeps equal rows unwritten: no dead tuples, and ``updated_at`` stays true.
_UPDATE = sql.SQL("""
    UPDATE {table} AS t SET ({columns}) = ROW({merged}), updated_at = now()
    FROM {staged} AS s
    WHERE t.{key} = s.{key} AND ROW({current}) IS DISTINCT FROM ROW({merged})
""")

_INSERT_USERS: LiteralString = """
    INSERT INTO {table} ({key_and_columns})
    SELECT {key_and_merged} FROM {staged} AS s LEFT JOIN {table} AS t USING ({key})
    WHERE t.{key} IS NULL ORDER BY s.line
"""

# In the order of the file: equal files loaded into new databases number items equally.
_INSERT_ITEMS: LiteralString = f"""
    INSERT INTO {{table}} (item_row, {{key_and_columns}})
    SELECT {NEXT_ROW} (ORDER BY s.line), {{key_and_merged}}
    FROM {{staged}} AS s LEFT JOIN {{table}} AS t USING ({{key}})
    WHERE t.{{key}} IS NULL
"""

_INSERTS = {"items": sql.SQL(_INSERT_ITEMS), "users": sql.SQL(_INSERT_USERS)}

_DROP_CONFLICTS_IN_FILE: LiteralString = f"""
    DELETE FROM staged_interactions AS s USING
      (SELECT event_id, min(line) AS line FROM staged_interactions
        GROUP BY event_id HAVING count(*) > 1) AS kept
      JOIN staged_interactions AS f USING (event_id, line)
    WHERE s.event_id = kept.event_id AND s.line <> kept.line
      AND {IDENTITY} IS DISTINCT FROM {IDENTITY.replace("s.", "f.")}
    RETURNING s.line, s.event_id
"""

_DROP_CONFLICTS_WITH_TABLE: LiteralString = f"""
    DELETE FROM staged_interactions AS s
    USING interactions AS i JOIN item_features AS t USING (item_row)
    WHERE s.event_id = i.event_id AND {DIFFERS_FROM_STORED}
    RETURNING s.line, s.event_id
"""


def _drop_repeated(
    cursor: Cursor[TupleRow], kind: Kind, key: str, *, keep: Literal["min", "max"]
) -> int:
    """Deletes all lines of a key but the first or the last one; returns how many were deleted."""
    cursor.execute(
        sql.SQL("""
            DELETE FROM {staged} AS s USING
              (SELECT {key}, {keep}(line) AS line FROM {staged}
                GROUP BY {key} HAVING count(*) > 1) AS kept
            WHERE s.{key} = kept.{key} AND s.line <> kept.line
        """).format(staged=_staging_table(kind), key=sql.Identifier(key), keep=sql.Identifier(keep))
    )
    return cursor.rowcount


def _count(cursor: Cursor[TupleRow], query: LiteralString | sql.Composed) -> int:
    row = cursor.execute(query).fetchone()
    return int(row[0]) if row else 0


def _staging_table(kind: Kind) -> sql.Identifier:
    return sql.Identifier(f"staged_{kind}")


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


_STORED: LiteralString = "SELECT user_id FROM user_features WHERE n_items > %(n)s ORDER BY 1"

# Distinct items are counted for the few users with enough rows only: that sorts.
_STAGED: LiteralString = """
WITH busy AS (
  SELECT user_id FROM staged_interactions GROUP BY user_id HAVING count(*) > %(n)s)
SELECT user_id FROM staged_interactions JOIN busy USING (user_id)
GROUP BY user_id HAVING count(DISTINCT item_id) > %(n)s ORDER BY 1
"""


def stored_crowds(conn: Connection) -> list[str]:
    """Users with more items than serving reads of anybody, as the last fit counted them."""
    return _users(conn, _STORED)


def staged_crowds(conn: Connection) -> list[str]:
    """Such users of the file that is being loaded, and of the last fit."""
    return sorted({*_users(conn, _STAGED), *stored_crowds(conn)})


def _users(conn: Connection, query: LiteralString) -> list[str]:
    return [user_id for (user_id,) in conn.execute(query, {"n": MAX_ENDING_EVENTS})]


_N_SHOWN = 3


def crowds_in_words(user_ids: Sequence[str]) -> Iterator[str]:
    """Names users who look like a guest or walk-in account."""
    if user_ids:
        shown = ", ".join(map(repr, user_ids[:_N_SHOWN]))
        more = f" and {len(user_ids) - _N_SHOWN} more" if len(user_ids) > _N_SHOWN else ""
        yield (
            f"more than {MAX_ENDING_EVENTS} items each: {shown}{more}. If such an id stands for"
            " guests or walk-in customers, load each visit under an id of its own"
        )
