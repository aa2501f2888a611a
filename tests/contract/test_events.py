"""Tests that posted events are stored once each, and all of a post or none."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from serve_app.database.connection_pool import AsyncConnection
from serve_app.database.schema import Connection, connect, ensure_schema
from serve_app.database.serving_reads import PostgresConfig
from serve_app.database.writing.event_writes import store_events
from serve_app.database.writing.writing_connections import ShopConnections, WriteConfig
from serve_app.domain.posts import (
    EVENT_FIELDS,
    EventPost,
    EventRow,
    NotWritten,
    PostBatch,
    Receipt,
    Refused,
)
from serve_app.embedded.lease import lease
from serve_app.errors import StoreUnavailable
from serve_app.loading.events import EventRules
from serve_app.loading.load import InputFiles, LoadConfig, load
from serve_app.serving.stages.shop_writer import ShopWriter
from serve_app.stores.connections import StoreLocation, Stores, StoresConfig
from tests.support.proxy import proxy_before

NOW = 1_700_000_000.0
SOCKET = ".s.PGSQL.5432"
QUICK = WriteConfig(timeout_s=1.0, lock_timeout_s=0.2)
READS = PostgresConfig(reconnect_pause_s=0.05)

Write = Callable[[ShopConnections], Awaitable[Any]]


def row(event_id: str, **cells: Any) -> EventRow:
    given = EventRow(event_id, "ann", "pan", 3, 2.0, NOW, None, None, None, is_dated=True)
    return given._replace(**cells)


def with_writer(url: str, write: Write, config: WriteConfig = QUICK) -> Any:
    async def scene() -> Any:
        writer = ShopConnections(url, config, READS)
        try:
            return await write(writer)
        finally:
            await writer.close()

    return asyncio.run(scene())


def store(url: str, *rows: EventRow) -> tuple[list[bool], list[bool]]:
    """The rows that were new, and those that differ from the stored event."""
    stored = with_writer(url, lambda writer: store_events(writer, rows, ""))
    return list(stored.are_new), list(stored.differ)


def stored_ids(conn: Connection) -> list[str]:
    return [id_ for (id_,) in conn.execute("SELECT event_id FROM interactions ORDER BY 1")]


def item_rows(conn: Connection) -> list[tuple[str, int]]:
    return conn.execute("SELECT item_id, item_row FROM item_features ORDER BY 2").fetchall()


@pytest.fixture
def folder() -> Iterator[Path]:
    # Paths of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="ev", dir="/tmp") as name:
        yield Path(name)


def test_stores_everything_that_was_sent(database_url: str, conn: Connection) -> None:
    store(database_url, row("e1", session_id="s", request_id="r", position=4))

    assert conn.execute(
        "SELECT event_id, user_id, item_id, type, value, date_part('epoch', at), session_id,"
        " request_id, position FROM interactions JOIN item_features USING (item_row)"
    ).fetchall() == [("e1", "ann", "pan", 3, 2.0, NOW, "s", "r", 4)]


def test_an_event_counts_once_for_ever(database_url: str, conn: Connection) -> None:
    assert store(database_url, row("e1"), row("e1"), row("e2")) == (
        [True, False, True],
        [False, False, False],
    )
    assert store(database_url, row("e1"), row("e2")) == ([False, False], [False, False])
    assert stored_ids(conn) == ["e1", "e2"]


async def forget_statements(writer: ShopConnections, conn: Connection) -> None:
    """Does as a pooler that gives one session to many: psycopg hears nothing of it."""
    await writer.run(
        lambda session, _: session.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"), ""
    )


async def migrate(writer: ShopConnections, conn: Connection) -> None:
    conn.execute("ALTER TABLE interactions ALTER event_id TYPE varchar")


@pytest.mark.parametrize("outdate", [forget_statements, migrate])
def test_a_write_over_an_outdated_session_is_stored_once_over_another(
    outdate: Callable[..., Awaitable[None]], database_url: str, conn: Connection
) -> None:
    async def session_of(writer: ShopConnections) -> int:
        async def pid(session: AsyncConnection, _: str) -> int:
            return session.info.backend_pid

        return await writer.run(pid, "")

    async def scene(writer: ShopConnections) -> tuple[int, int]:
        for number in range(7):  # The statement is prepared when it is repeated.
            await store_events(writer, [row(f"before-{number}")], "")
        before = await session_of(writer)
        await outdate(writer, conn)
        stored = await store_events(writer, [row("after")], "")
        assert list(stored.are_new) == [True]
        return before, await session_of(writer)

    before, after = with_writer(database_url, scene)

    assert before != after
    assert stored_ids(conn) == ["after", *(f"before-{number}" for number in range(7))]


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "bob"},
        {"item_id": "pot"},
        {"type": 0},
        {"value": None},
        {"value": 2.5},
        {"at": NOW + 1},
        {"session_id": "s"},
    ],
)
def test_names_events_that_differ_from_the_stored_one_which_stays(
    database_url: str, conn: Connection, change: dict[str, Any]
) -> None:
    store(database_url, row("e1"))

    assert store(database_url, row("e2"), row("e1", **change), row("e2", **change)) == (
        [True, False, False],
        [False, True, True],
    )
    assert conn.execute("SELECT DISTINCT user_id, type, value FROM interactions").fetchall() == [
        ("ann", 3, 2.0)
    ]


def test_the_answer_that_led_to_an_event_makes_no_difference(database_url: str) -> None:
    store(database_url, row("e1"))

    assert store(database_url, row("e1", request_id="r", position=1)) == ([False], [False])


def test_a_time_that_nobody_gave_makes_no_difference(database_url: str) -> None:
    store(database_url, row("e1"))

    assert store(database_url, row("e1", at=NOW + 9, is_dated=False)) == ([False], [False])


def test_new_items_follow_the_rows_that_are_there(database_url: str, conn: Connection) -> None:
    store(database_url, row("e1", item_id="b"), row("e2", item_id="a"), row("e3", item_id="b"))
    store(database_url, row("e4", item_id="c"))

    assert item_rows(conn) == [("b", 0), ("a", 1), ("c", 2)]


def test_writers_at_once_add_each_item_and_each_event_once(
    database_url: str, conn: Connection
) -> None:
    async def write_all(writer: ShopConnections) -> int:
        others = [
            ShopConnections(database_url, WriteConfig(lock_timeout_s=5), READS) for _ in range(3)
        ]
        # Every write has half of its events and items in common with its neighbours, reversed.
        batches = [
            [row(f"e{n}", item_id=f"i{n}") for n in range(50 * k, 50 * k + 100)][:: 1 - 2 * (k % 2)]
            for k in range(12)
        ]
        writers = [writer, *others]
        stored = await asyncio.gather(
            *(store_events(writers[k % 4], batch, "") for k, batch in enumerate(batches))
        )
        for other in others:
            await other.close()
        return sum(sum(outcome.are_new) for outcome in stored)

    n_new = with_writer(database_url, write_all, WriteConfig(lock_timeout_s=5))

    assert n_new == 650
    assert len(stored_ids(conn)) == 650
    rows = item_rows(conn)
    assert len(rows) == 650
    assert [number for _, number in rows] == list(range(650))


def test_a_file_and_a_post_agree_on_an_event_without_an_id(
    database_url: str, conn: Connection, tmp_path: Path, run: Any, redis_url: str
) -> None:
    file = tmp_path / "interactions.csv"
    file.write_text("user_id,item_id,timestamp,type,value\nann,pan,2023-11-14T22:13:20Z,cart,1\n")
    load(conn, InputFiles(interactions=file), LoadConfig(), lambda *_: None, now_at=NOW)

    async def post() -> Any:
        stage = writer_stage(database_url, redis_url)
        return await written(stage, [event(type="cart", value=1.0, timestamp=NOW)])

    assert asyncio.run(post()) == [Receipt(0, 1, (), is_visible=True)]


def test_gives_way_to_a_load_that_adds_items(database_url: str, conn: Connection) -> None:
    with connect(database_url) as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(x'72656369'::int)")
        with pytest.raises(StoreUnavailable):
            store(database_url, row("e1"))
    assert stored_ids(conn) == []

    assert store(database_url, row("e1")) == ([True], [False])


def test_events_of_known_items_do_not_wait_for_a_load(database_url: str) -> None:
    store(database_url, row("e1"))
    with connect(database_url) as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(x'72656369'::int)")

        assert store(database_url, row("e2")) == ([True], [False])


def test_writes_nothing_into_the_database_of_another_shop(
    database_url: str, conn: Connection
) -> None:
    other = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(StoreUnavailable, match="another_shop"):
        with_writer(database_url, lambda writer: store_events(writer, [row("e1")], other))

    assert stored_ids(conn) == []


def test_writes_again_when_the_right_data_are_restored(database_url: str, conn: Connection) -> None:
    restored = "00000000-0000-0000-0000-000000000000"

    async def twice(writer: ShopConnections) -> object:
        with pytest.raises(StoreUnavailable, match="another_shop"):
            await store_events(writer, [row("e1")], restored)
        conn.execute("UPDATE recserve_shop SET shop_id = %s", (restored,))
        return await store_events(writer, [row("e1")], restored)

    with_writer(database_url, twice)

    assert stored_ids(conn) == ["e1"]


def test_says_that_the_tables_are_those_of_an_older_build(bare_database_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="no_schema"):
        store(bare_database_url, row("e1"))


@asynccontextmanager
async def writer_behind_a_proxy(database_url: str, folder: Path) -> Any:
    target = f"{conninfo_to_dict(database_url)['host']}/{SOCKET}"
    async with proxy_before(target) as proxy:
        await proxy.listen(folder / SOCKET)
        writer = ShopConnections(make_conninfo(database_url, host=str(folder)), QUICK, READS)
        try:
            yield writer, proxy
        finally:
            await writer.close()


@pytest.mark.parametrize("end", ["frozen", "cut"])
def test_a_server_that_stops_in_the_middle_of_writes_loses_and_repeats_nothing(
    database_url: str, conn: Connection, folder: Path, end: str
) -> None:
    """Every write is sent again until it is acknowledged; meanwhile the server goes and comes."""
    n_failed = 0

    async def scene() -> None:
        nonlocal n_failed
        async with writer_behind_a_proxy(database_url, folder) as (writer, proxy):
            await store_events(writer, [row("first")], "")

            async def write(k: int) -> None:
                nonlocal n_failed
                rows = [row(f"e{k}-{n}", item_id=f"i{k % 7}-{n % 3}") for n in range(20)]
                while True:
                    try:
                        await store_events(writer, rows, "")
                    except StoreUnavailable:
                        n_failed += 1
                        await asyncio.sleep(0.02)
                    else:
                        return

            writes = [asyncio.create_task(write(k)) for k in range(40)]
            await asyncio.wait(writes, return_when=asyncio.FIRST_COMPLETED)
            if end == "frozen":
                proxy.freeze()
                await asyncio.wait(writes, timeout=1.5, return_when=asyncio.ALL_COMPLETED)
                proxy.thaw()
            else:
                await proxy.cut()
                await proxy.refuse()
                await asyncio.wait(writes, timeout=0.3, return_when=asyncio.ALL_COMPLETED)
                await proxy.listen(folder / SOCKET)
            async with asyncio.timeout(30):
                await asyncio.gather(*writes)

    asyncio.run(scene())

    assert n_failed
    assert stored_ids(conn) == sorted(
        ["first", *(f"e{k}-{n}" for k in range(40) for n in range(20))]
    )
    numbers = [number for _, number in item_rows(conn)]
    assert numbers == list(range(len(numbers)))


def test_writes_go_to_the_primary_among_the_hosts_of_a_url(folder: Path) -> None:
    primary_home, standby_home = folder / "a", folder / "b"
    with lease(primary_home) as held, connect(held.urls.database) as conn:
        ensure_schema(conn)
    shutil.copytree(primary_home / "postgres", standby_home / "postgres")
    data = standby_home / "postgres"
    # The server runs under an account of its own, which must own its files.
    owner = (primary_home / "postgres").stat()
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    (data / "standby.signal").touch()
    with lease(standby_home) as standby, lease(primary_home) as primary:
        hosts = [conninfo_to_dict(held.urls.database)["host"] for held in (standby, primary)]
        url = make_conninfo(primary.urls.database, host=",".join(map(str, hosts)), port="5432,5432")

        assert store(url, row("e1")) == ([True], [False])
        with pytest.raises(StoreUnavailable, match="standby"):
            store(standby.urls.database, row("e2"))


def test_a_primary_that_became_a_standby_is_left(database_url: str, conn: Connection) -> None:
    async def demote(connection: AsyncConnection, _: str) -> None:
        await connection.execute("SET default_transaction_read_only = on")

    async def scene(connections: ShopConnections) -> Any:
        await connections.run(demote, "")
        with pytest.raises(StoreUnavailable):
            await store_events(connections, [row("e1")], "")
        return await store_events(connections, [row("e1")], "")

    assert list(with_writer(database_url, scene).are_new) == [True]


def test_says_for_how_long_writes_are_not_answered(database_url: str, folder: Path) -> None:
    async def scene() -> None:
        async with writer_behind_a_proxy(database_url, folder) as (writer, proxy):
            assert await writer.unreachable_s() == 0
            await store_events(writer, [row("e1")], "")
            proxy.freeze()
            with pytest.raises(StoreUnavailable):
                await store_events(writer, [row("e2")], "")
            assert await writer.unreachable_s() > 0
            proxy.thaw()
            async with asyncio.timeout(5):
                while await writer.unreachable_s():
                    await asyncio.sleep(0.02)

    asyncio.run(scene())


def event(**cells: Any) -> tuple[Any, ...]:
    given = {"user_id": "ann", "item_id": "pan", "type": "view"} | cells
    return tuple(given.get(field) for field in EVENT_FIELDS)


def writer_stage(database_url: str, redis_url: str) -> ShopWriter:
    location = StoreLocation(Path("/nowhere"), database_url, redis_url)
    return ShopWriter(Stores(location, StoresConfig()), EventRules(), clock=lambda: NOW)


async def written(stage: ShopWriter, *posts: list[tuple[Any, ...]]) -> list[Any]:
    """Writes the posts together, and closes what the stage has opened."""
    try:
        return await stage.write_events(PostBatch([EventPost(events, NOW) for events in posts]))
    finally:
        await stage.close()


class TestShopWriter:
    def test_each_post_has_its_own_outcome(
        self, database_url: str, redis_url: str, conn: Connection
    ) -> None:
        outcomes = asyncio.run(
            written(
                writer_stage(database_url, redis_url),
                [event(event_id="a"), event(event_id="b")],
                [event(event_id="c"), event(event_id="d", type="wish")],
                [event(event_id="b", item_id="pot"), event(event_id="e"), event(event_id="a")],
            )
        )

        first, second, third = outcomes
        assert first == Receipt(2, 0, (), is_visible=True)
        assert isinstance(second, Refused)
        assert third == Receipt(1, 2, (0,), is_visible=True)
        assert stored_ids(conn) == ["a", "b", "e"]

    def test_content_that_postgresql_refuses_fails_its_own_post_alone(
        self, database_url: str, redis_url: str, conn: Connection
    ) -> None:
        conn.execute("ALTER TABLE interactions ADD CHECK (user_id <> 'eve')")

        outcomes = asyncio.run(
            written(
                writer_stage(database_url, redis_url),
                [event(event_id="a")],
                [event(event_id="b", user_id="eve")],
                [event(event_id="c")],
            )
        )

        assert outcomes[1] == NotWritten("unstorable")
        assert [type(outcome) for outcome in outcomes] == [Receipt, NotWritten, Receipt]
        assert stored_ids(conn) == ["a", "c"]

    def test_without_redis_the_receipt_says_that_caches_may_hide_the_events(
        self, database_url: str, conn: Connection, folder: Path
    ) -> None:
        stage = writer_stage(database_url, f"unix://{folder}/nothing.sock")

        [outcome] = asyncio.run(written(stage, [event(event_id="a")]))

        assert outcome == Receipt(1, 0, (), is_visible=False)
        assert stored_ids(conn) == ["a"]

    def test_names_postgresql_when_it_does_not_answer(self, redis_url: str, folder: Path) -> None:
        async def scene() -> None:
            stage = writer_stage(f"postgresql:///x?host={folder}", redis_url)
            assert await stage.silent_stores(1e-9) == {}
            posts = [EventPost([event()], NOW)]
            assert await stage.write_events(PostBatch(posts)) == [NotWritten("unreachable")]
            assert list(await stage.silent_stores(1e-9)) == ["postgres"]
            assert await stage.silent_stores(60) == {}
            await stage.close()

        asyncio.run(scene())
