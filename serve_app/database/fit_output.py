"""Writes the fitted numbers of items and users back to PostgreSQL."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor, sql
from psycopg.rows import TupleRow

from serve_app.arrays.columns import Rows
from serve_app.database.schema import Connection, saying_failures

Values = Sequence[Any] | NDArray[np.generic]


def _within(convert: Callable[[Any], Any], low: float, high: float) -> Callable[[Any], Any]:
    """A conversion of numbers to a type of PostgreSQL, which refuses numbers that it cannot hold.

    A refusal would come at the end of a fit, and again at the end of each later one.
    """
    return lambda number: convert(min(max(number, low), high))


def _as_float32(number: float) -> float:
    # Rounded here: PostgreSQL refuses a number that it would have to round to zero.
    return float(np.float32(number))


_LARGEST_INT, _LARGEST_REAL = 2**31 - 1, float(np.finfo(np.float32).max)
_FIRST_TIME_AT, _LAST_TIME_AT = -210_866_803_200.0, 9_224_318_015_999.0
"""Bounds of ``timestamptz`` in epoch seconds: 4714 BC and AD 294276."""

_to_int = _within(int, -_LARGEST_INT, _LARGEST_INT)
_to_real = _within(_as_float32, -_LARGEST_REAL, _LARGEST_REAL)
_to_time = _within(float, _FIRST_TIME_AT, _LAST_TIME_AT)

_KINDS: Mapping[str, tuple[LiteralString, Callable[[Any], Any], LiteralString]] = {
    "count": ("int", _to_int, "coalesce(f.{}, 0)"),
    "int": ("int", _to_int, "f.{}"),
    "real": ("real", _to_real, "f.{}"),
    "time": ("double precision", _to_time, "to_timestamp(f.{})"),
    "texts": ("text[]", list, "coalesce(f.{}, '{{}}')"),
}
"""Per kind of column: its type while staged, its conversion to Python, and the stored value."""

# "real", because the models read these numbers as float32 as well.
_ITEM_COLUMNS = {"popularity_score": "real", "avg_rating": "real", "num_ratings": "count"}

_USER_COLUMNS = {
    "total_purchases": "count",
    "avg_rating": "real",
    "num_ratings": "count",
    "favorite_categories": "texts",
    "recent_views": "texts",
    "n_items": "int",
    "n_categories": "int",
    "avg_price": "real",
    "std_price": "real",
    "n_active_days": "int",
    "first_at": "time",
    "last_at": "time",
    "created_at": "time",
}


def write_item_features(
    conn: Connection, rows: Rows, popularity: Values, avg_rating: Values, num_ratings: Values
) -> int:
    """Replaces the fitted numbers of the items in ``rows`` (``item_row``); NaN where unknown.

    Returns:
        The number of items that changed; ``updated_at`` of the others stays.
    """
    values = dict(zip(_ITEM_COLUMNS, (popularity, avg_rating, num_ratings), strict=True))
    with saying_failures("the update of the items"), conn.transaction(), conn.cursor() as cursor:
        _stage(cursor, "item_row int", (int(row) for row in rows), _ITEM_COLUMNS, values)
        return _update(cursor, "item_features", "item_row", _ITEM_COLUMNS)


def write_user_features(
    conn: Connection, user_ids: Iterable[str], columns: Mapping[str, Values]
) -> int:
    """Replaces columns of users, and adds users that the table does not hold yet.

    Args:
        user_ids: distinct.
        columns: by name, any of ``user_features``, each as long as ``user_ids``. NaN or ``None``
            where unknown, times in epoch seconds. All other columns stay.

    Returns:
        The number of users that changed or were added; ``updated_at`` of the others stays.
    """
    kinds = {name: _USER_COLUMNS[name] for name in columns}
    with saying_failures("the update of the users"), conn.transaction(), conn.cursor() as cursor:
        _stage(cursor, "user_id text", user_ids, kinds, columns)
        # Users are added under the lock: a load could otherwise add one of them in between.
        cursor.execute("LOCK TABLE user_features IN SHARE ROW EXCLUSIVE MODE")
        changed = _update(cursor, "user_features", "user_id", kinds)
        cursor.execute(
            sql.SQL("""
                INSERT INTO user_features (user_id, {names})
                SELECT user_id, {values} FROM fitted AS f WHERE NOT EXISTS
                  (SELECT FROM user_features AS u WHERE u.user_id = f.user_id)
            """).format(names=_names(kinds), values=_values(kinds))
        )
        return changed + cursor.rowcount


def _stage(
    cursor: Cursor[TupleRow],
    key: LiteralString,
    keys: Any,
    kinds: Mapping[str, str],
    columns: Mapping[str, Values],
) -> None:
    declared = [sql.SQL(key).format()]
    for name, kind in kinds.items():
        declared.append(sql.SQL("{} " + _KINDS[kind][0]).format(sql.Identifier(name)))
    cursor.execute(
        sql.SQL("CREATE TEMP TABLE fitted ({}) ON COMMIT DROP").format(sql.SQL(", ").join(declared))
    )
    plain = [_plain(columns[name], _KINDS[kind][1]) for name, kind in kinds.items()]
    # One COPY and one UPDATE: a statement per row would take a round trip for each.
    with cursor.copy("COPY fitted FROM STDIN") as copy:
        for row in zip(keys, *plain, strict=True):
            copy.write_row(row)
    cursor.execute("ANALYZE fitted")


def _plain(values: Values, convert: Callable[[Any], Any]) -> list[Any]:
    """Python values, with ``None`` for unknown ones."""
    # PostgreSQL would store NaN as a number. NaN alone differs from itself.
    return [None if value is None or value != value else convert(value) for value in values]


def _update(cursor: Cursor[TupleRow], table: str, key: str, kinds: Mapping[str, str]) -> int:
    cursor.execute(
        sql.SQL("""
            UPDATE {table} AS t SET ({names}) = ROW({values}), updated_at = now()
            FROM fitted AS f
            WHERE t.{key} = f.{key} AND ROW({current}) IS DISTINCT FROM ROW({values})
        """).format(
            table=sql.Identifier(table),
            key=sql.Identifier(key),
            names=_names(kinds),
            values=_values(kinds),
            current=sql.SQL(", ").join(sql.Identifier("t", name) for name in kinds),
        )
    )
    return cursor.rowcount


def _names(kinds: Mapping[str, str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, kinds))


def _values(kinds: Mapping[str, str]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL(_KINDS[kind][2]).format(sql.Identifier(name)) for name, kind in kinds.items()
    )
