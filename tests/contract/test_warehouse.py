"""Tests the queries of loading and fitting on a real PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from serve_app.database import fit_input as warehouse
from serve_app.database.fit_input import (
    data_state,
    read_interactions,
    read_items,
    read_users,
)
from serve_app.database.fit_output import write_item_features, write_user_features
from serve_app.database.preparing import FIT_RIGHTS, LOAD_RIGHTS, prepare_to_write
from serve_app.database.schema import (
    MIGRATIONS,
    SCHEMA_VERSION,
    Connection,
    check_schema,
    connect,
    ensure_schema,
    schema_version,
    shop_id,
)
from serve_app.errors import DatabaseFailed, SchemaMismatch, SettingsInvalid
from tests.contract.conftest import set_read_only

NAN = float("nan")


def one(conn: Connection, query: str) -> tuple[Any, ...]:
    (row,) = conn.execute(query).fetchall()
    return row


def test_says_that_the_schema_is_missing(bare_database_url: str) -> None:
    with connect(bare_database_url) as conn, pytest.raises(SchemaMismatch) as raised:
        check_schema(conn)
    assert (raised.value.expected, raised.value.actual) == (SCHEMA_VERSION, None)


@pytest.mark.parametrize("check", [check_schema, ensure_schema, shop_id])
def test_refuses_a_newer_schema_than_this_build_knows(
    conn: Connection, check: Callable[[Connection], Any]
) -> None:
    conn.execute("INSERT INTO recserve_schema VALUES (99)")
    with pytest.raises(SchemaMismatch) as raised:
        check(conn)
    assert (raised.value.expected, raised.value.actual) == (SCHEMA_VERSION, 99)


def test_checking_a_schema_never_changes_it(bare_database_url: str) -> None:
    with connect(bare_database_url) as conn:
        ensure_schema(conn, MIGRATIONS[:1])
        with pytest.raises(SchemaMismatch, match="migrates them"):
            check_schema(conn)
        assert schema_version(conn) == 1


def test_migrates_the_tables_of_the_first_version_with_their_data(bare_database_url: str) -> None:
    with connect(bare_database_url) as conn:
        ensure_schema(conn, MIGRATIONS[:1])
        conn.execute("""
            INSERT INTO item_features (item_id, price, attributes) VALUES
              ('pan', 3, '{"size": 5, "new": true, "colours": ["red"], "code": 7, "gone": null}'),
              ('pot', 4, '{"size": 6.5, "new": false, "colours": [], "code": "007"}')
        """)
        conn.execute(
            "INSERT INTO user_features (user_id, attributes) VALUES ('u', '{\"size\": \"L\"}')"
        )
        interact(conn, ("e", "u", 1, 3, None, 5))

        ensure_schema(conn)

        check_schema(conn)
        assert read_interactions(conn).rows.tolist() == [1]
        assert read_items(conn)["item_id"].to_list() == ["pan", "pot"]
        kinds = conn.execute("SELECT * FROM recserve_attributes ORDER BY 1, 2").fetchall()
        assert kinds == [
            ("items", "code", "text"),
            ("items", "colours", "list"),
            ("items", "new", "flag"),
            ("items", "size", "number"),
            ("users", "size", "text"),
        ]


def test_migrating_again_changes_nothing(conn: Connection) -> None:
    before = shop_id(conn)
    ensure_schema(conn)
    assert shop_id(conn) == before


def test_a_failed_migration_leaves_the_database_as_it_was(conn: Connection) -> None:
    broken = (*MIGRATIONS, b"CREATE TABLE half (n int); SELECT 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        ensure_schema(conn, broken)
    assert schema_version(conn) == SCHEMA_VERSION
    assert one(conn, "SELECT to_regclass('half')") == (None,)


def test_every_database_has_an_identity_of_its_own(
    conn: Connection, bare_database_url: str
) -> None:
    with connect(bare_database_url) as other:
        ensure_schema(other)
        assert shop_id(other) != shop_id(conn)


def test_a_database_holds_one_shop(conn: Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("INSERT INTO recserve_shop VALUES (gen_random_uuid())")


def test_migrations_are_numbered_without_a_gap() -> None:
    folder = files("serve_app.database").joinpath("migrations")
    numbers = sorted(int(file.name[:4]) for file in folder.iterdir())
    assert numbers == list(range(1, SCHEMA_VERSION + 1))


def test_several_callers_at_once_create_the_schema_once(bare_database_url: str) -> None:
    def create(_: int) -> None:
        with connect(bare_database_url) as conn:
            ensure_schema(conn)
            check_schema(conn)

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(create, range(8)))
    with connect(bare_database_url) as conn:
        assert one(conn, "SELECT count(*) FROM recserve_schema") == (SCHEMA_VERSION,)


def test_does_not_touch_tables_of_another_application(bare_database_url: str) -> None:
    with connect(bare_database_url) as conn:
        conn.execute("CREATE TABLE user_features (id int)")
        with pytest.raises(SettingsInvalid, match=r"DATABASE_URL: .*\"user_features\""):
            ensure_schema(conn)
        with pytest.raises(SchemaMismatch):
            check_schema(conn)


def test_says_that_a_url_cannot_be_read_without_repeating_its_password() -> None:
    with (
        pytest.raises(SettingsInvalid, match="DATABASE_URL: must be a URL of the form") as raised,
        connect("localhost:secret"),
    ):
        pytest.fail("it cannot be read")
    assert "secret" not in str(raised.value)


def test_says_why_there_is_no_connection(database_url: str) -> None:
    nowhere = urlsplit(database_url)._replace(path="/nowhere").geturl()
    with (
        pytest.raises(SettingsInvalid, match=r"DATABASE_URL: .*\"nowhere\" does not exist"),
        connect(nowhere),
    ):
        pytest.fail("there is no such database")


def test_refuses_a_database_that_cannot_hold_every_text(encoded_database_url: str) -> None:
    with (
        pytest.raises(SettingsInvalid, match=r"DATABASE_URL: the encoding of the database is"),
        connect(encoded_database_url),
    ):
        pytest.fail("it would lose letters")


def test_any_text_can_be_read_and_written_whatever_the_environment_says(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with connect(database_url) as conn:
        assert one(conn, "SELECT '鍋' || chr(37707)") == ("鍋鍋",)


def test_a_server_that_ends_the_work_is_named_and_no_traceback(database_url: str) -> None:
    with (
        pytest.raises(DatabaseFailed, match=r"the start stopped.*terminating connection"),
        connect(database_url, "the start") as conn,
    ):
        conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_statement_that_is_wrong_keeps_its_traceback(database_url: str) -> None:
    with pytest.raises(psycopg.errors.SyntaxError), connect(database_url) as conn:
        conn.execute("SELEKT")


class TestPreparingToWrite:
    def test_makes_the_tables(self, bare_database_url: str) -> None:
        with connect(bare_database_url) as conn:
            prepare_to_write(conn, LOAD_RIGHTS)
            assert schema_version(conn) == SCHEMA_VERSION

    def test_refuses_a_server_that_is_read_only(self, conn: Connection, database_url: str) -> None:
        set_read_only(conn)
        with connect(database_url) as read_only, pytest.raises(SettingsInvalid, match="primary"):
            prepare_to_write(read_only, FIT_RIGHTS)

    def test_names_the_rights_that_a_role_lacks(
        self, conn: Connection, database_url: str, guest: str
    ) -> None:
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest")
        conn.execute("GRANT UPDATE ON item_features TO guest")
        with (
            connect(make_conninfo(database_url, user=guest)) as reader,
            pytest.raises(SettingsInvalid) as raised,
        ):
            prepare_to_write(reader, FIT_RIGHTS)
        assert raised.value.reason == (
            "the role lacks rights: GRANT INSERT ON user_features TO guest;"
            " GRANT UPDATE ON user_features TO guest"
        )

    def test_a_search_path_that_names_nothing_is_no_traceback(self, bare_database_url: str) -> None:
        url = make_conninfo(bare_database_url, options="-c search_path=elsewhere")
        with pytest.raises(DatabaseFailed, match="no schema"), connect(url) as conn:
            prepare_to_write(conn, LOAD_RIGHTS)


def test_reads_items_by_row_with_times_as_epoch_seconds(conn: Connection) -> None:
    conn.execute("""
        INSERT INTO item_features (item_row, item_id, title, category, price, tags, in_stock,
          attributes, created_at)
        VALUES (1, 'pan', 'Pan', 'kitchen', 12.5, '{steel}', false, '{"brand": "x"}',
            '2023-11-14T22:13:20Z'),
          (0, 'pot', NULL, DEFAULT, NULL, DEFAULT, DEFAULT, DEFAULT, NULL)
    """)
    items = read_items(conn)

    assert items.dtypes[["item_row", "price", "in_stock", "created_at"]].map(str).to_list() == [
        "int32",
        "float64",
        "bool",
        "float64",
    ]
    assert items["item_row"].to_list() == [0, 1]
    assert items["title"].to_list() == ["pot", "Pan"]
    assert items["tags"].to_list() == [[], ["steel"]]
    assert items["attributes"].to_list() == [{}, {"brand": "x"}]
    np.testing.assert_array_equal(items["price"], [NAN, 12.5])
    np.testing.assert_array_equal(items["created_at"], [NAN, 1.7e9])


def test_reads_users_by_id(conn: Connection) -> None:
    conn.execute("INSERT INTO user_features (user_id) VALUES ('b'), ('B'), ('a')")
    conn.execute("UPDATE user_features SET created_at = to_timestamp(5) WHERE user_id = 'a'")
    users = read_users(conn)

    assert users["user_id"].to_list() == ["B", "a", "b"]
    np.testing.assert_array_equal(users["created_at"], [NAN, 5.0, NAN])


@pytest.mark.parametrize("read", [read_items, read_users])
def test_empty_tables_keep_their_columns(
    conn: Connection, read: Callable[[Connection], Any]
) -> None:
    found = read(conn)
    assert len(found) == 0
    assert found["created_at"].dtype == np.float64


def interact(conn: Connection, *rows: tuple[Any, ...]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO interactions VALUES (%s, %s, %s, %s, %s, to_timestamp(%s))", rows
        )


def test_reads_interactions_by_user_then_time(conn: Connection) -> None:
    conn.execute("INSERT INTO item_features (item_row, item_id) VALUES (0, 'pan'), (1, 'pot')")
    interact(
        conn,
        ("e1", "bob", 1, 3, 2.5, 300.25),
        ("e2", "Ann", 0, 0, None, 200),
        ("e3", "bob", 0, 4, 5, 100),
        ("e4", "Ann", 1, 1, None, 100),
        ("e5", "ann", 1, 2, None, 50),
    )
    log = read_interactions(conn)

    assert log.user_ids == ("Ann", "ann", "bob")
    assert log.users.tolist() == [0, 0, 1, 2, 2]
    assert log.rows.tolist() == [1, 0, 1, 0, 1]
    assert log.types.tolist() == [1, 0, 2, 4, 3]
    assert log.at.tolist() == [100, 200, 50, 100, 300.25]
    np.testing.assert_array_equal(log.values, np.array([NAN, NAN, NAN, 5, 2.5], np.float32))
    assert [column.dtype for column in (log.users, log.rows, log.types, log.values, log.at)] == [
        np.int32,
        np.int32,
        np.uint8,
        np.float32,
        np.float64,
    ]


def test_what_was_loaded_tells_other_data_apart(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO item_features (item_row, item_id, price) VALUES (0, 'pan', 3), (1, 'pot', 4)"
    )
    states = [data_state(conn)]
    interact(conn, ("e1", "bob", 1, 3, 2.5, 300.25))
    states.append(data_state(conn))
    conn.execute("UPDATE item_features SET price = 5 WHERE item_id = 'pot'")
    states.append(data_state(conn))
    conn.execute("DELETE FROM interactions")
    interact(conn, ("e2", "bob", 1, 3, 2.5, 300.25))
    states.append(data_state(conn))

    assert len({tuple(state) for state in states}) == len(states)


def test_what_a_fit_writes_back_is_no_other_data(conn: Connection) -> None:
    conn.execute("INSERT INTO item_features (item_row, item_id) VALUES (0, 'pan')")
    before = data_state(conn)
    write_item_features(conn, np.array([0], np.int32), [0.5], [4.0], [3])
    write_user_features(conn, ["ann"], {"n_items": [3]})

    assert data_state(conn) == before


def test_reads_no_interactions_from_an_empty_table(conn: Connection) -> None:
    log = read_interactions(conn)
    assert len(log) == 0
    assert log.user_ids == ()


@pytest.mark.parametrize("chunk_bytes", [1, 100, 5_000])
def test_reads_interactions_in_chunks_of_any_size(
    conn: Connection, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(warehouse, "_CHUNK_BYTES", chunk_bytes)
    conn.execute(
        "INSERT INTO item_features (item_row, item_id)"
        " SELECT n, n::text FROM generate_series(0, 9) n"
    )
    conn.execute("""
        INSERT INTO interactions
        SELECT n::text, (n % 7)::text, n % 10, n % 5, n, to_timestamp(n)
        FROM generate_series(0, 999) AS n
    """)
    log = read_interactions(conn)

    numbers = log.at.astype(int)
    assert sorted(numbers.tolist()) == list(range(1_000))
    np.testing.assert_array_equal(log.users, numbers % 7)
    np.testing.assert_array_equal(log.rows, numbers % 10)
    np.testing.assert_array_equal(log.types, numbers % 5)
    np.testing.assert_array_equal(log.values, numbers)
    assert (np.lexsort((log.at, log.users)) == np.arange(1_000)).all()


def test_writes_item_features_and_touches_only_what_changed(conn: Connection) -> None:
    conn.execute("INSERT INTO item_features (item_row, item_id) VALUES (0, 'pan'), (1, 'pot')")
    rows = np.array([0, 1], np.int32)
    popularity = np.array([0.1, 0.0], np.float32)
    first = write_item_features(conn, rows, popularity, np.array([4.5, NAN]), np.array([2, 0]))
    before = one(conn, "SELECT * FROM item_features WHERE item_id = 'pan'")
    second = write_item_features(conn, rows, popularity, np.array([4.5, 3.0]), np.array([2, 1]))

    assert (first, second) == (1, 1)
    assert one(conn, "SELECT * FROM item_features WHERE item_id = 'pan'") == before
    assert conn.execute(
        "SELECT popularity_score, avg_rating, num_ratings FROM item_features ORDER BY item_row"
    ).fetchall() == [(pytest.approx(0.1), 4.5, 2), (0.0, 3.0, 1)]


def test_writes_user_features_and_adds_users_that_no_file_named(conn: Connection) -> None:
    conn.execute("INSERT INTO user_features (user_id, n_items) VALUES ('ann', 7)")
    columns: dict[str, Any] = {
        "total_purchases": np.array([2.0, NAN]),
        "avg_rating": np.array([4.1, NAN], np.float32),
        "favorite_categories": [["kitchen", "a,b"], []],
        "first_at": np.array([1.7e9, NAN]),
    }
    changed = write_user_features(conn, ["ann", "bob"], columns)
    before = conn.execute("SELECT * FROM user_features ORDER BY 1").fetchall()
    again = write_user_features(conn, ["ann", "bob"], columns)

    assert (changed, again) == (2, 0)
    assert conn.execute("SELECT * FROM user_features ORDER BY 1").fetchall() == before
    assert conn.execute("""
        SELECT user_id, total_purchases, avg_rating, favorite_categories, n_items,
          date_part('epoch', first_at)
        FROM user_features ORDER BY user_id
    """).fetchall() == [
        ("ann", 2, pytest.approx(4.1), ["kitchen", "a,b"], 7, 1.7e9),
        ("bob", 0, None, [], None, None),
    ]


def test_writes_all_features_or_none(conn: Connection) -> None:
    conn.execute("INSERT INTO user_features (user_id) VALUES ('ann')")
    conn.execute("ALTER TABLE user_features ADD CHECK (user_id <> 'bob')")
    with pytest.raises(psycopg.errors.CheckViolation):
        write_user_features(conn, ["ann", "bob"], {"n_items": [1, 2]})
    assert one(conn, "SELECT n_items FROM user_features") == (None,)


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        (1.577e-101, 0.0),
        (1e-45, pytest.approx(1e-45, rel=1.0)),
        (1e300, pytest.approx(3.4028235e38)),
        (-1e300, pytest.approx(-3.4028235e38)),
        (float("inf"), pytest.approx(3.4028235e38)),
    ],
)
def test_writes_every_number_that_a_fit_can_compute(
    conn: Connection, number: float, stored: Any
) -> None:
    conn.execute("INSERT INTO item_features (item_row, item_id) VALUES (0, 'pan')")
    write_item_features(conn, np.array([0], np.int32), [number], [number], [number])
    write_user_features(
        conn,
        ["ann"],
        {"avg_price": [number], "n_items": [number], "first_at": [number], "total_purchases": [3]},
    )

    assert one(conn, "SELECT popularity_score, avg_rating FROM item_features") == (stored, stored)
    (n_ratings,) = one(conn, "SELECT num_ratings FROM item_features")
    n_items, price = one(conn, "SELECT n_items, avg_price FROM user_features")
    assert n_ratings == n_items == int(np.clip(number, 1 - 2**31, 2**31 - 1))
    assert price == stored
    assert one(conn, "SELECT isfinite(first_at) FROM user_features") == (True,)


def test_says_that_the_server_has_no_space_and_changes_nothing(conn: Connection) -> None:
    conn.execute("INSERT INTO user_features (user_id, n_items) VALUES ('ann', 7)")
    conn.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
          $$BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END$$
    """)
    conn.execute(
        "CREATE TRIGGER full_disk BEFORE INSERT ON user_features EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(DatabaseFailed, match=r"update of the users stopped.*could not extend file"):
        write_user_features(conn, ["ann", "bob"], {"n_items": [1, 2]})
    assert one(conn, "SELECT n_items FROM user_features") == (7,)
