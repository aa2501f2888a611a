"""Tests the feed of changes: what gets a revision, and that none is ever skipped."""

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from psycopg.types.json import Jsonb

from serve_app.arrays.columns import hash_ids
from serve_app.database.fit_output import write_item_features
from serve_app.database.item_feed import PAGE, last_revision
from serve_app.database.schema import Connection, connect
from serve_app.database.serving_reads import PostgresConfig, ShopReader
from serve_app.domain.item_changes import Changes, ItemChange
from tests.contract.conftest import forget

Run = Callable[[Awaitable[Any]], Any]


@pytest.fixture
def changes(database_url: str, run: Run) -> Callable[[int], Changes]:
    def read(since: int) -> Changes:
        found: Changes = run(ShopReader(database_url, PostgresConfig(timeout_s=5)).changes(since))
        return found

    return read


def add(conn: Connection, row: int, item_id: str) -> None:
    conn.execute("INSERT INTO item_features (item_row, item_id) VALUES (%s, %s)", (row, item_id))


def rows_of(changes: Changes) -> list[int]:
    return [change.row for change in changes.items]


def test_reads_an_item_as_it_is_described(
    conn: Connection, changes: Callable[[int], Changes]
) -> None:
    conn.execute(
        "INSERT INTO item_features (item_row, item_id, title, category, price, tags, in_stock,"
        " attributes, created_at, withdrawn_at) VALUES (0, 'a', 'Pan', 'kitchen', 9.5,"
        " '{new,steel}', false, %s, to_timestamp(1000), now())",
        (Jsonb({"brand": "Ash", "n": 3}),),
    )
    conn.execute("INSERT INTO recserve_attributes VALUES ('items', 'n', 'number')")
    add(conn, 1, "b")

    read = changes(0)

    described = ItemChange(
        1, 0, "a", "Pan", "kitchen", 9.5, ("new", "steel"), False, 1000.0, False,
        {"brand": "Ash", "n": 3},
    )  # fmt: skip
    assert read.items == [described, ItemChange(2, 1, "b", "b", "unknown")]
    assert (read.revision, read.is_complete, read.kinds) == (2, True, {"n": "number"})
    assert changes(2) == Changes(2, [], [], {})
    assert last_revision(conn) == 2


@pytest.mark.parametrize(
    "change",
    [
        "title = 'New'",
        "category = 'new'",
        "price = 1",
        "tags = '{new}'",
        "in_stock = false",
        """attributes = '{"a": 1}'""",
        "created_at = now()",
        "withdrawn_at = now()",
    ],
)
def test_a_change_of_any_described_column_is_a_revision(
    conn: Connection, changes: Callable[[int], Changes], change: str
) -> None:
    add(conn, 0, "a")
    add(conn, 1, "b")

    conn.execute(f"UPDATE item_features SET {change} WHERE item_id = 'a'".encode())
    assert rows_of(changes(2)) == [0]
    conn.execute("UPDATE item_features SET price = price, title = title")
    assert rows_of(changes(3)) == []


def test_numbers_that_a_fit_writes_are_no_change(
    conn: Connection, changes: Callable[[int], Changes]
) -> None:
    add(conn, 0, "a")

    write_item_features(conn, np.array([0], np.int32), [1.0], [4.0], [3])

    assert rows_of(changes(1)) == []
    assert conn.execute("SELECT num_ratings, revision FROM item_features").fetchone() == (3, 1)


def test_names_forgotten_users_by_a_hash(
    conn: Connection, changes: Callable[[int], Changes]
) -> None:
    add(conn, 0, "a")
    forget(conn, ["ann", "bob", "ann"])
    forget(conn, ["ann"])

    assert sorted(changes(0).forgotten) == sorted(hash_ids(["ann", "bob"]).tolist())
    last = last_revision(conn)
    assert changes(last - 1).forgotten == hash_ids(["ann"]).tolist()
    assert changes(last).forgotten == []


def test_reads_many_changes_in_pages(conn: Connection, changes: Callable[[int], Changes]) -> None:
    conn.execute(
        "INSERT INTO item_features (item_row, item_id)"
        " SELECT i, i::text FROM generate_series(0, %s) AS i",
        (PAGE + 1,),
    )

    first = changes(0)
    rest = changes(first.revision)

    assert (len(first.items), first.is_complete) == (PAGE, False)
    assert (rows_of(rest), rest.is_complete) == ([PAGE, PAGE + 1], True)


def test_a_later_revision_never_becomes_visible_before_an_earlier_one(
    conn: Connection, database_url: str, changes: Callable[[int], Changes]
) -> None:
    add(conn, 0, "a")
    add(conn, 1, "b")
    with connect(database_url) as other, conn.transaction():
        conn.execute("UPDATE item_features SET price = 1 WHERE item_row = 0")
        later = threading.Thread(
            target=other.execute,
            args=("UPDATE item_features SET price = 2 WHERE item_row = 1",),
        )
        later.start()
        with connect(database_url) as watcher:
            # The second writer waits for the first, so it is not there before the first commits.
            while not watcher.execute(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            ).fetchone():
                pass
        assert rows_of(changes(2)) == []
        conn.execute("UPDATE item_features SET title = 'A' WHERE item_row = 0")
    later.join()

    assert [(change.row, change.revision) for change in changes(2).items] == [(0, 4), (1, 5)]
