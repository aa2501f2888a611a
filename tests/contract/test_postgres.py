"""Tests the contract of shops, and the one of PostgreSQL while its server fails."""

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from serve_app.arrays.columns import IdIndex
from serve_app.database.records import ItemRow, UserRow
from serve_app.database.schema import Connection, shop_id
from serve_app.database.serving_reads import PostgresConfig, ShopReader
from serve_app.domain.interactions import (
    EVENT,
    MAX_ENDING_EVENTS,
    NO_EVENTS,
    PURCHASE,
    TYPE_CODES,
    Events,
    Histories,
    HistoryArchive,
    make_events,
)
from serve_app.errors import StoreUnavailable
from serve_app.recommending.scoring.model_features import USER_COLUMNS
from serve_app.stores.cache import Cache, RedisConfig
from serve_app.stores.reads_apart import ReadsApart
from serve_app.stores.serving_readers import CacheTtls, HistoryReader
from tests.support.in_memory_stores import InMemoryShop
from tests.support.proxy import Proxy, proxy_before

VIEW = TYPE_CODES["view"]
NAN = float("nan")
BOUGHT = (PURCHASE,)
SOCKET = ".s.PGSQL.5432"
CONFIG = PostgresConfig(timeout_s=1.0, max_events_per_user=3)

ANN: UserRow = np.array([2, 4.5, 1, 2, NAN, 12.5, 0, 3, 1.6e9, 1.7e9, NAN])
PAN = ItemRow(
    title="Pan",
    category="kitchen",
    price=12.5,
    tags=("steel", "new"),
    in_stock=False,
    avg_rating=2.3333333,
    num_ratings=2,
    attributes={"brand": "Acme", "sizes": ["s", "m"], "weight": 3, "organic": True},
)
POT = ItemRow(None, "unknown", None, (), True, None, 0, {})
# Before the latest three events one item is bought twice, another viewed.
DONE = make_events(
    rows=[0, 1, 0, 1, 0, 1],
    types=[PURCHASE, VIEW, PURCHASE, VIEW, VIEW, PURCHASE],
    at=[100, 200, 300, 400.5, 500, 600],
    values=[2, NAN, NAN, 1, NAN, 3],
)
KEPT = DONE[[2, 3, 4, 5]]
# Before the latest three events one item is put into the cart twice, another once.
CART = TYPE_CODES["cart"]
CARTS = make_events(
    rows=[0, 1, 0, 1, 1, 1],
    types=[CART, CART, CART, VIEW, VIEW, VIEW],
    at=[100, 200, 300, 400, 500, 600],
)


def numbers_of(events: Events) -> list[tuple[object, ...]]:
    """Comparable, with ``None`` for NaN."""
    return [
        tuple(None if field != field else field for field in event) for event in events.tolist()
    ]


NO_ARCHIVE = HistoryArchive(IdIndex.of([]), np.zeros(1, np.int64), NO_EVENTS)

Shop = ShopReader | InMemoryShop


class ShopContract:
    """The tests that every shop must pass. A subclass says how to open one that holds the above."""

    def open(self) -> AbstractAsyncContextManager[Shop]:
        raise NotImplementedError

    def ask(self, question: Callable[[Shop], Awaitable[Any]]) -> Any:
        async def answer() -> Any:
            async with self.open() as shop:
                return await question(shop)

        return asyncio.run(answer())

    def test_gives_the_numbers_of_a_user_and_nan_where_unknown(self) -> None:
        found = self.ask(lambda shop: shop.user_features(["ann"]))
        assert found["ann"].dtype == np.float64
        np.testing.assert_array_equal(found["ann"], ANN)

    def test_gives_items_as_they_are_shown(self) -> None:
        found = self.ask(lambda shop: shop.items(["pan", "pot"]))
        assert found == {"pan": PAN, "pot": POT}

    def test_gives_the_latest_events_and_the_last_purchase_of_every_item_oldest_first(self) -> None:
        found = self.ask(lambda shop: shop.histories(["ann"], BOUGHT))
        assert found["ann"].dtype == EVENT
        assert numbers_of(found["ann"]) == numbers_of(KEPT)

    def test_keeps_the_last_event_of_every_item_of_any_type_that_ends_it(self) -> None:
        carts = self.ask(lambda shop: shop.histories(["eve"], (CART, PURCHASE)))
        assert numbers_of(carts["eve"]) == numbers_of(CARTS[1:])
        others = self.ask(lambda shop: shop.histories(["eve"], BOUGHT))
        assert numbers_of(others["eve"]) == numbers_of(CARTS[3:])

    def test_leaves_out_what_it_does_not_know(self) -> None:
        assert self.ask(lambda shop: shop.user_features(["nobody", "bob"])) == {}
        assert list(self.ask(lambda shop: shop.items(["nothing", "pan"]))) == ["pan"]
        assert self.ask(lambda shop: shop.histories(["nobody"], BOUGHT)) == {}

    def test_takes_any_text_for_an_id(self) -> None:
        ids = ["", "ann", "a\0b", "'; DROP TABLE user_features; --", "{x,y}", "ö" * 500]
        assert list(self.ask(lambda shop: shop.user_features(ids))) == ["ann"]
        assert list(self.ask(lambda shop: shop.histories(ids, BOUGHT))) == ["ann"]

    def test_an_id_asked_for_twice_is_answered_once(self) -> None:
        found = self.ask(lambda shop: shop.histories(["ann", "ann"], BOUGHT))
        assert len(found["ann"]) == len(KEPT)

    def test_no_ids_give_nothing(self) -> None:
        assert self.ask(lambda shop: shop.user_features([])) == {}
        assert self.ask(lambda shop: shop.items([])) == {}
        assert self.ask(lambda shop: shop.histories([], BOUGHT)) == {}


class TestInMemoryShop(ShopContract):
    @asynccontextmanager
    async def open(self) -> AsyncIterator[Shop]:
        yield InMemoryShop({"ann": ANN}, {"pan": PAN, "pot": POT}, {"ann": DONE, "eve": CARTS}, 3)

    def test_fails_when_it_is_told_to(self) -> None:
        shop = InMemoryShop(failure=StoreUnavailable("postgres", "timed_out"))
        with pytest.raises(StoreUnavailable, match="timed_out"):
            asyncio.run(shop.items(["pan"]))


@asynccontextmanager
async def opened(url: str, config: PostgresConfig = CONFIG) -> AsyncIterator[ShopReader]:
    shop = ShopReader(url, config)
    try:
        yield shop
    finally:
        await shop.close()


def fill(conn: Connection) -> None:
    columns = ", ".join(USER_COLUMNS)
    times = ("first_at", "last_at", "created_at")
    marks = ", ".join("to_timestamp(%s)" if name in times else "%s" for name in USER_COLUMNS)
    numbers = [None if np.isnan(number) else number for number in ANN.tolist()]
    conn.execute(f"INSERT INTO user_features (user_id, {columns}) VALUES ('ann', {marks})", numbers)
    conn.execute("""
        INSERT INTO item_features (item_row, item_id, title, category, price, tags, in_stock,
          avg_rating, num_ratings, attributes)
        VALUES (0, 'pan', 'Pan', 'kitchen', 12.5, '{steel,new}', false, 7 / 3.0, 2,
          '{"brand": "Acme", "sizes": ["s", "m"], "weight": 3, "organic": true}')
    """)
    conn.execute("INSERT INTO item_features (item_row, item_id) VALUES (1, 'pot')")
    for user_id, events in (("ann", DONE), ("eve", CARTS)):
        fill_events(conn, user_id, events)


def fill_events(conn: Connection, user_id: str, events: Events) -> None:
    fields = (events[name].tolist() for name in ("row", "type", "value", "at"))
    for i, (row, kind, value, at) in enumerate(zip(*fields, strict=True)):
        conn.execute(
            "INSERT INTO interactions VALUES (%s, %s, %s, %s, %s, to_timestamp(%s))",
            (f"{user_id}{i}", user_id, row, kind, None if np.isnan(value) else value, at),
        )


class TestShopReader(ShopContract):
    @pytest.fixture(autouse=True)
    def _filled(self, conn: Connection, database_url: str) -> None:
        fill(conn)
        self.url = database_url

    def open(self) -> AbstractAsyncContextManager[Shop]:
        return opened(self.url)

    def test_answers_for_its_own_shop_only(self, conn: Connection) -> None:
        own = str(shop_id(conn))

        assert "ann" in self.ask(lambda shop: shop.of_shop(own).user_features(["ann"]))
        with pytest.raises(StoreUnavailable, match="another_shop"):
            self.ask(lambda shop: shop.of_shop("1f0e").user_features(["ann"]))

    def test_tables_of_a_build_without_identities_belong_to_any_shop(
        self, conn: Connection
    ) -> None:
        conn.execute("DROP TABLE recserve_shop")

        assert "ann" in self.ask(lambda shop: shop.of_shop("1f0e").user_features(["ann"]))

    @pytest.mark.parametrize(
        ("newer_by", "reason"), [(1, None), (2, "newer_schema"), (-1, "older_schema")]
    )
    def test_answers_from_tables_of_its_own_version_and_of_the_next(
        self, conn: Connection, newer_by: int, reason: str | None
    ) -> None:
        own = str(shop_id(conn))

        async def outcome(shop: ShopReader) -> str | None:
            try:
                await shop.of_shop(own).user_features(["ann"])
            except StoreUnavailable as failure:
                return failure.reason
            return None

        async def with_other_tables_and_with_its_own() -> list[str | None]:
            async with opened(self.url) as shop:
                conn.execute("UPDATE recserve_schema SET version = version + %s", (newer_by,))
                with_others = await outcome(shop)
                conn.execute("UPDATE recserve_schema SET version = version - %s", (newer_by,))
                return [with_others, await outcome(shop)]

        assert asyncio.run(with_other_tables_and_with_its_own()) == [reason, None]

    def test_an_event_is_read_as_soon_as_it_is_committed(self, conn: Connection) -> None:
        async def before_and_after() -> tuple[int, int]:
            async with opened(self.url) as shop:
                before = await shop.histories(["bob"], BOUGHT)
                conn.execute("INSERT INTO interactions VALUES ('b', 'bob', 0, 0, NULL, now())")
                after = await shop.histories(["bob"], BOUGHT)
                return len(before), len(after["bob"])

        assert asyncio.run(before_and_after()) == (0, 1)

    def test_what_another_program_wrote_fails_no_read(self, conn: Connection) -> None:
        conn.execute("""
            INSERT INTO interactions VALUES
              ('x1', 'ann', 0, 9, 1, now()), ('x2', 'ann', 0, -1, 1, now()),
              ('x3', 'ann', 0, 300, 1, now()), ('x4', 'bob', 0, 0, 1, 'infinity'),
              ('x5', 'bob', 0, 0, 1e30, '-infinity'),
              ('x6', 'cid', 1, 3, 'infinity', to_timestamp(5))
        """)
        conn.execute("UPDATE user_features SET first_at = '-infinity', avg_rating = 'infinity'")
        conn.execute("""UPDATE item_features SET attributes = '{"big": 100000000000000000000}'""")

        histories = self.ask(lambda shop: shop.histories(["ann", "bob", "cid"], BOUGHT))
        users = self.ask(lambda shop: shop.user_features(["ann"]))
        items = self.ask(lambda shop: shop.items(["pan"]))

        assert set(histories["ann"]["type"]) <= {VIEW, PURCHASE}
        assert len(histories["bob"]) == 0
        assert histories["cid"]["at"].tolist() == [5]
        assert not np.isinf(users["ann"]).any()
        # JSON libraries refuse to write the whole number, which equals it.
        assert repr(items["pan"].attributes) == "{'big': 1e+20}"

    def test_an_attribute_that_is_too_deep_to_be_read_fails_no_other_item(
        self, conn: Connection
    ) -> None:
        deep = "[" * 2_000 + "]" * 2_000
        conn.execute(
            "UPDATE item_features SET attributes = %s::jsonb WHERE item_id = 'pot'",
            (f'{{"deep": {deep}}}',),
        )

        read = self.ask(lambda shop: ReadsApart(shop.items).read(["pan", "pot"]))

        assert read.unanswered == {"pot"}
        assert read.values["pan"].title == "Pan"

    def test_says_that_the_schema_is_missing(self, bare_database_url: str) -> None:
        assert failure(bare_database_url) == "no_schema"

    def test_names_any_other_failure_by_its_kind(self, conn: Connection) -> None:
        conn.execute("ALTER TABLE user_features ALTER first_at TYPE text")
        assert failure(self.url) == "UndefinedFunction"

    def test_cannot_write(self) -> None:
        async def write() -> None:
            async with opened(self.url) as shop, shop._pool.connection() as conn:
                await conn.execute("DELETE FROM user_features")

        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            asyncio.run(write())

    def test_keeps_the_options_of_the_url(self) -> None:
        url = f"{self.url}&options={quote('-c search_path=elsewhere')}"
        assert failure(url) == "no_schema"

    def test_gives_up_on_a_query_that_waits_for_a_lock_and_recovers(self, conn: Connection) -> None:
        async def locked_then_free() -> tuple[str, float, int]:
            async with opened(self.url, PostgresConfig(timeout_s=0.1)) as shop:
                await answers(shop)
                with conn.transaction():
                    conn.execute("LOCK TABLE user_features IN ACCESS EXCLUSIVE MODE")
                    started_s = time.monotonic()
                    with pytest.raises(StoreUnavailable) as raised:
                        await shop.user_features(["ann"])
                    waited_s = time.monotonic() - started_s
                return raised.value.reason, waited_s, len(await answers(shop))

        reason, waited_s, n_users = asyncio.run(locked_then_free())
        assert reason == "timed_out"
        assert waited_s < 1
        assert n_users == 1


def failure(url: str) -> str:
    """Why asking for a user fails."""

    async def ask() -> None:
        async with opened(url) as shop:
            await shop.user_features(["ann"])

    with pytest.raises(StoreUnavailable) as raised:
        asyncio.run(ask())
    assert raised.value.stage == "postgres"
    return raised.value.reason


async def answers(shop: ShopReader) -> Any:
    """Ask until there is an answer, as callers would go on to do; at most 10 s."""
    async with asyncio.timeout(10):
        while True:
            with suppress(StoreUnavailable):
                return await shop.user_features(["ann"])


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    # Paths of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="pgx", dir="/tmp") as folder:
        yield Path(folder)


Scene = Callable[[ShopReader, Proxy], Coroutine[Any, Any, Any]]


def play(scene: Scene, conn: Connection, url: str, folder: Path) -> Any:
    """Run a scene with a shop that reaches PostgreSQL through a proxy."""
    fill(conn)

    async def run() -> Any:
        config = PostgresConfig(timeout_s=0.1, reconnect_pause_s=0.1)
        async with proxy_before(f"{conninfo_to_dict(url)['host']}/{SOCKET}") as proxy:
            await proxy.listen(folder / SOCKET)
            async with opened(make_conninfo(url, host=str(folder)), config) as shop:
                await answers(shop)
                return await scene(shop, proxy)

    return asyncio.run(run())


async def fails(shop: ShopReader) -> str:
    started_s = time.monotonic()
    with pytest.raises(StoreUnavailable) as raised:
        await shop.user_features(["ann"])
    assert time.monotonic() - started_s < 0.6
    return raised.value.reason


def test_a_frozen_server_costs_no_more_than_the_timeout_and_is_found_again(
    conn: Connection, database_url: str, socket_folder: Path
) -> None:
    async def scene(shop: ShopReader, proxy: Proxy) -> None:
        proxy.freeze()
        # More than there are connections: those that were left behind must not be needed.
        for _ in range(6):
            assert await fails(shop) == "timed_out"
        proxy.thaw()
        assert list(await answers(shop)) == ["ann"]

    play(scene, conn, database_url, socket_folder)


def test_leaves_no_task_of_an_abandoned_query_behind(
    conn: Connection, database_url: str, socket_folder: Path
) -> None:
    async def scene(shop: ShopReader, proxy: Proxy) -> set[str]:
        proxy.freeze()
        await asyncio.gather(*(fails(shop) for _ in range(3)))
        await shop._calls.close()
        proxy.thaw()
        return {
            task.get_coro().__qualname__  # type: ignore[union-attr]
            for task in asyncio.all_tasks()
        }

    assert "ShopReader._run" not in play(scene, conn, database_url, socket_folder)


def test_a_cancelled_caller_leaves_the_pool_whole(
    conn: Connection, database_url: str, socket_folder: Path
) -> None:
    async def scene(shop: ShopReader, proxy: Proxy) -> None:
        proxy.freeze()
        callers = [asyncio.create_task(shop.user_features(["ann"])) for _ in range(8)]
        await asyncio.wait(callers, timeout=0.02)
        for caller in callers:
            caller.cancel()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        proxy.thaw()
        assert list(await answers(shop)) == ["ann"]

    play(scene, conn, database_url, socket_folder)


def test_a_server_that_goes_away_is_found_again_when_it_is_back(
    conn: Connection, database_url: str, socket_folder: Path
) -> None:
    async def scene(shop: ShopReader, proxy: Proxy) -> None:
        await proxy.refuse()
        reasons = {await fails(shop) for _ in range(8)}
        assert reasons <= {"unreachable", "timed_out"}
        await proxy.listen(socket_folder / SOCKET)
        assert list(await answers(shop)) == ["ann"]

    play(scene, conn, database_url, socket_folder)


def test_opens_at_once_when_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def open_and_ask() -> tuple[float, str]:
        started_s = time.monotonic()
        url = f"postgresql://postgres@127.0.0.1:{port}/recserve"
        async with opened(url, PostgresConfig(timeout_s=0.1)) as shop:
            opened_after_s = time.monotonic() - started_s
            return opened_after_s, await fails(shop)

    opened_after_s, reason = asyncio.run(open_and_ask())
    assert opened_after_s < 0.5
    assert reason == "unreachable"


def test_says_when_too_many_queries_wait(
    conn: Connection, database_url: str, socket_folder: Path
) -> None:
    async def ask_many() -> list[str]:
        config = PostgresConfig(pool_size=1, max_waiting=1, timeout_s=0.2)
        async with opened(database_url, config) as shop:
            with conn.transaction():
                conn.execute("LOCK TABLE user_features IN ACCESS EXCLUSIVE MODE")
                return list(await asyncio.gather(*(fails(shop) for _ in range(4))))

    assert "too_many_waiting" in asyncio.run(ask_many())


def test_purchases_have_the_code_that_indexes_of_existing_databases_name() -> None:
    assert PURCHASE == 3


def test_a_user_who_bought_without_end_is_read_as_quickly_as_others(
    conn: Connection, database_url: str
) -> None:
    conn.execute("""
        INSERT INTO item_features (item_row, item_id)
        SELECT n, n::text FROM generate_series(0, 19999) n
    """)
    conn.execute("""
        INSERT INTO interactions
        SELECT n::text, 'guest', n % 20000, 3, 1, to_timestamp(n) FROM generate_series(1, 60000) n
    """)
    conn.execute("ANALYZE interactions")

    async def ask() -> Events:
        async with opened(database_url, PostgresConfig(timeout_s=0.2)) as shop:
            for _ in range(4):  # The first queries are not prepared yet.
                found = await shop.histories(["guest", "ann"], BOUGHT)
            return found["guest"]

    events = asyncio.run(ask())
    assert events["at"].tolist() == list(range(60_001 - MAX_ENDING_EVENTS, 60_001))


def test_a_user_whose_history_cannot_be_read_in_time_degrades_nobody_else(
    conn: Connection, database_url: str, redis_url: str
) -> None:
    """A lock on one row cannot stop a read, so a function that sleeps stands for a slow user."""
    fill(conn)
    conn.execute("ALTER TABLE interactions RENAME TO stored")
    conn.execute("""
        CREATE VIEW interactions AS SELECT * FROM stored
        WHERE user_id <> 'eve' OR pg_sleep(0.05) IS NOT NULL
    """)

    async def ask() -> Histories:
        cache = Cache(redis_url, RedisConfig(timeout_s=2))
        async with opened(database_url, PostgresConfig(timeout_s=0.1)) as shop:
            reader = HistoryReader(cache, shop, CacheTtls())
            try:
                return await reader.read(["eve", "ann", "bob"], NO_ARCHIVE, BOUGHT)
            finally:
                await reader.wait_written()
                await cache.close()

    histories = asyncio.run(ask())
    assert histories.stale.tolist() == [True, False, False]
    assert len(histories.of_user(1)) == len(DONE)
