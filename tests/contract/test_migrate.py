"""Tests `recserve migrate` on databases of older builds."""

import pytest

from serve_app.database.schema import MIGRATIONS, SCHEMA_VERSION, connect, ensure_schema
from serve_app.errors import SchemaMismatch
from serve_app.operations.migrate_shop import migrate
from serve_app.operations.workplace import Workplace


def test_creates_the_tables_and_then_has_nothing_to_do(workplace: Workplace) -> None:
    assert migrate(workplace) == f"created the tables, version {SCHEMA_VERSION}"
    assert migrate(workplace) == f"the tables have version {SCHEMA_VERSION} already"


def test_keeps_the_data_of_every_earlier_version(workplace: Workplace) -> None:
    with workplace.database() as conn:
        ensure_schema(conn, MIGRATIONS[:1])
        conn.execute("INSERT INTO item_features (item_id, price) VALUES ('pan', 3)")
        conn.execute("INSERT INTO interactions VALUES ('e', 'ann', 0, 3, 2, now(), 's')")
    for version in range(2, SCHEMA_VERSION + 1):
        with workplace.database() as conn:
            ensure_schema(conn, MIGRATIONS[:version])

    assert migrate(workplace) == f"the tables have version {SCHEMA_VERSION} already"
    with workplace.database() as conn:
        items = conn.execute("SELECT item_row, item_id, price FROM item_features").fetchall()
        events = conn.execute(
            "SELECT event_id, user_id, item_row, type, value, session_id FROM interactions"
        ).fetchall()
    assert items == [(0, "pan", 3.0)]
    assert events == [("e", "ann", 0, 3, 2.0, "s")]


def test_says_from_where_to_where_it_migrated(workplace: Workplace) -> None:
    with workplace.database() as conn:
        ensure_schema(conn, MIGRATIONS[:1])

    assert migrate(workplace) == f"migrated the tables from version 1 to {SCHEMA_VERSION}"


def test_refuses_tables_that_are_newer_than_the_build(
    workplace: Workplace, bare_database_url: str
) -> None:
    migrate(workplace)
    with connect(bare_database_url) as conn:
        conn.execute("INSERT INTO recserve_schema VALUES (99)")

    with pytest.raises(SchemaMismatch):
        migrate(workplace)
