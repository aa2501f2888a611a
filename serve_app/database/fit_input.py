"""Reads all items, users and interactions from PostgreSQL, for the fit."""

from collections.abc import Iterator
from typing import LiteralString

import numpy as np
import pandas as pd
import psycopg
from numpy.typing import NDArray

from serve_app.database.schema import Connection, one_snapshot
from serve_app.domain.interactions import InteractionLog

_READ_ITEMS: LiteralString = """
SELECT item_row, item_id, coalesce(title, item_id) AS title, category, price, tags, in_stock,
  attributes, date_part('epoch', created_at) AS created_at,
  date_part('epoch', withdrawn_at) AS withdrawn_at
FROM item_features ORDER BY item_row
"""

_READ_USERS: LiteralString = """
SELECT user_id, date_part('epoch', created_at) AS created_at, attributes
FROM user_features ORDER BY user_id COLLATE "C"
"""


def read_items(conn: Connection) -> pd.DataFrame:
    """All items in order of ``item_row`` (int32).

    Further columns: item_id, title (the id for items without one), category, price (float64), tags
    (lists), in_stock (bool), attributes (dicts), created_at and withdrawn_at (epoch seconds,
    float64). Unknown numbers are NaN.
    """
    times = {"created_at": "float64", "withdrawn_at": "float64"}
    types = {"item_row": "int32", "price": "float64", "in_stock": "bool", **times}
    return _read_frame(conn, _READ_ITEMS).astype(types)


def read_users(conn: Connection) -> pd.DataFrame:
    """All users by id: user_id, created_at (epoch seconds, float64, NaN), attributes (dicts)."""
    return _read_frame(conn, _READ_USERS).astype({"created_at": "float64"})


def _read_frame(conn: Connection, query: LiteralString) -> pd.DataFrame:
    cursor = conn.execute(query)
    names = [column.name for column in cursor.description or ()]
    return pd.DataFrame(cursor.fetchall(), columns=names)


# Binary, because a text would have to be parsed: numpy reads the rows in place. Users are numbered
# by code points (COLLATE "C"), which is the order of ``sorted`` in Python on any server.
_COPY_INTERACTIONS: LiteralString = """
COPY (
  SELECT (dense_rank() OVER (ORDER BY user_id COLLATE "C") - 1)::int4, item_row, type,
    coalesce(value, 'NaN')::float4, date_part('epoch', at)
  FROM interactions ORDER BY user_id COLLATE "C", at, event_id COLLATE "C"
) TO STDOUT (FORMAT BINARY)
"""

_COPIED = np.dtype(
    [
        ("n_fields", ">i2"),
        *(("user_bytes", ">i4"), ("user", ">i4")),
        *(("row_bytes", ">i4"), ("row", ">i4")),
        *(("type_bytes", ">i4"), ("type", ">i2")),
        *(("value_bytes", ">i4"), ("value", ">f4")),
        *(("at_bytes", ">i4"), ("at", ">f8")),
    ]
)
"""A row of COPY's binary format. No column is null, so all rows have one length.

Source: PostgreSQL documentation, COPY, "Binary Format".
"""

_COPY_HEADER_BYTES = 19
_CHUNK_BYTES = 4 << 20


def read_interactions(conn: Connection) -> InteractionLog:
    """All interactions, in about 21 bytes of memory for each, plus one chunk."""
    # One snapshot for the three queries: the arrays are allocated by the count of the first.
    with one_snapshot(conn):
        counted = conn.execute("SELECT count(*) FROM interactions").fetchone()
        n = counted[0] if counted else 0
        ids = conn.execute(
            'SELECT user_id FROM interactions GROUP BY user_id ORDER BY user_id COLLATE "C"'
        )
        log = InteractionLog(
            tuple(user_id for (user_id,) in ids),
            users=np.empty(n, np.int32),
            rows=np.empty(n, np.int32),
            types=np.empty(n, np.uint8),
            values=np.empty(n, np.float32),
            at=np.empty(n, np.float64),
        )
        start = 0
        with conn.cursor() as cursor, cursor.copy(_COPY_INTERACTIONS) as copy:
            for copied in _chunks(copy):
                part = slice(start, start + len(copied))
                log.users[part], log.rows[part] = copied["user"], copied["row"]
                log.types[part], log.values[part] = copied["type"], copied["value"]
                log.at[part] = copied["at"]
                start = part.stop
    return log


def _chunks(copy: psycopg.Copy) -> Iterator[NDArray[np.void]]:
    """Rows of a binary COPY, shape (any,), dtype ``_COPIED``, without header and trailer."""
    # Blocks end anywhere within a row; what is left of a row waits for the next block.
    pending = bytearray()
    skip = _COPY_HEADER_BYTES
    for block in copy:
        pending += block
        if len(pending) >= _CHUNK_BYTES:
            n_rows = (len(pending) - skip) // _COPIED.itemsize
            # A copy, because a bytearray that numpy still maps cannot be shortened.
            yield np.frombuffer(bytes(pending), _COPIED, n_rows, offset=skip)
            del pending[: skip + n_rows * _COPIED.itemsize]
            skip = 0
    n_rows = (len(pending) - skip) // _COPIED.itemsize
    yield np.frombuffer(bytes(pending), _COPIED, n_rows, offset=skip)


_DATA_STATE: LiteralString = """
SELECT
  (SELECT ARRAY[count(*), sum(hashtextextended(event_id, 0))] FROM interactions),
  (SELECT ARRAY[count(*), sum(hashtextextended(ROW(item_row, item_id, title, category, price, tags,
    in_stock, attributes, created_at, withdrawn_at)::text, 0))] FROM item_features)
"""


def data_state(conn: Connection) -> list[str]:
    """Identifies the interactions and items in the database, whenever and however they came."""
    # Sums of hashes do not depend on the order of the rows, so nothing has to be sorted.
    row = conn.execute(_DATA_STATE).fetchone()
    return [str(figure) for part in row or () for figure in part]


def count_later(conn: Connection, at: float) -> int:
    """Number of interactions that are dated after a moment, epoch seconds."""
    row = conn.execute(
        "SELECT count(*) FROM interactions WHERE date_part('epoch', at) > %s", (at,)
    ).fetchone()
    return int(row[0]) if row else 0


def holds_items(conn: Connection) -> bool:
    """True once an item has been loaded."""
    row = conn.execute("SELECT EXISTS (SELECT FROM item_features)").fetchone()
    return row is not None and bool(row[0])


def busiest_user(conn: Connection) -> str | None:
    """The user who bought most; ``None`` before the first fit."""
    row = conn.execute(
        "SELECT user_id FROM user_features ORDER BY total_purchases DESC, user_id LIMIT 1"
    ).fetchone()
    return None if row is None else str(row[0])
