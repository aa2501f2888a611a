"""Tests that stores are whole again within two seconds of any outage, however long it lasted.

What an outage leaves behind grows with the number of reads that fail in it. The tests therefore
let many more reads fail than may wait, in place of an outage of minutes.
"""

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from serve_app.bundles.roots import BundleLocation
from serve_app.database.schema import Connection, shop_id
from serve_app.database.serving_reads import PostgresConfig, ShopReader
from serve_app.domain.batches import MetadataBatch
from serve_app.errors import StoreUnavailable
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.serving.stages.candidate_generator import CandidateGenerator
from serve_app.serving.stages.feature_fetcher import FeatureFetcher
from serve_app.stores.cache import Cache, RedisConfig
from serve_app.stores.connections import StoreLocation, Stores, StoresConfig
from serve_app.stores.serving_readers import CacheTtls
from tests.support.proxy import Proxy, proxy_before

SOCKET = ".s.PGSQL.5432"
NAME = "database.test"
N_READERS = 16
N_FAILURES = 400
"""Reads that fail in an outage: many times more than may wait."""

POSTGRES = PostgresConfig(timeout_s=0.1, reconnect_pause_s=0.1, max_waiting=20)
REDIS = RedisConfig(timeout_s=0.1, max_connections=4)

Read = Callable[[], Awaitable[object]]
Step = Callable[[Proxy, Path], Awaitable[None]]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Paths of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="out", dir="/tmp") as name:
        yield Path(name)


async def freeze(proxy: Proxy, path: Path) -> None:
    proxy.freeze()


async def thaw(proxy: Proxy, path: Path) -> None:
    proxy.thaw()


async def refuse(proxy: Proxy, path: Path) -> None:
    await proxy.refuse()


async def vanish(proxy: Proxy, path: Path) -> None:
    await proxy.refuse()
    path.unlink()


async def listen(proxy: Proxy, path: Path) -> None:
    await proxy.listen(path)


OUTAGES: dict[str, tuple[Step, Step]] = {
    "frozen": (freeze, thaw),
    "refused": (refuse, listen),
    "away": (vanish, listen),
}


async def read_until_failed(read: Read, n_failures: int) -> None:
    """Read with many readers at once until enough reads have failed."""
    left = n_failures

    async def reader() -> None:
        nonlocal left
        while left > 0:
            try:
                await read()
            except StoreUnavailable:
                left -= 1
            # A failure may come at once; the others take their turn.
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(*(reader() for _ in range(N_READERS)))


async def first_whole_s(read: Read) -> float:
    """Seconds until many reads at once succeed; they go on doing so."""
    started_s = time.monotonic()
    async with asyncio.timeout(5):
        while not await all_succeed(read):
            await asyncio.sleep(0.01)
    whole_s = time.monotonic() - started_s
    for _ in range(5):
        assert await all_succeed(read)
    return whole_s


async def all_succeed(read: Read) -> bool:
    outcomes = await asyncio.gather(*(read() for _ in range(N_READERS)), return_exceptions=True)
    for outcome in outcomes:
        assert not isinstance(outcome, BaseException) or isinstance(outcome, StoreUnavailable)
    return not any(isinstance(outcome, StoreUnavailable) for outcome in outcomes)


@asynccontextmanager
async def shop_of(url: str, config: PostgresConfig = POSTGRES) -> AsyncIterator[Read]:
    shop = ShopReader(url, config)
    try:
        yield lambda: shop.user_features(["ann"])
    finally:
        await shop.close()


@asynccontextmanager
async def cache_of(url: str) -> AsyncIterator[Read]:
    cache = Cache(url, REDIS)
    try:
        yield lambda: cache.get_many(["a"])
    finally:
        await cache.close()


@pytest.mark.parametrize("kind", OUTAGES)
def test_postgres_is_whole_again_after_a_long_outage(
    kind: str, database_url: str, folder: Path
) -> None:
    async def scene() -> float:
        async with proxy_before(socket_of(database_url)) as proxy:
            path = folder / SOCKET
            await proxy.listen(path)
            async with shop_of(make_conninfo(database_url, host=str(folder))) as read:
                return await survive(read, proxy, path, *OUTAGES[kind])

    assert asyncio.run(scene()) < 2


@pytest.mark.parametrize("kind", OUTAGES)
def test_redis_is_whole_again_after_a_long_outage(kind: str, redis_url: str, folder: Path) -> None:
    async def scene() -> float:
        async with proxy_before(redis_url.removeprefix("unix://").partition("?")[0]) as proxy:
            path = folder / "redis.sock"
            await proxy.listen(path)
            async with cache_of(f"unix://{path}") as read:
                return await survive(read, proxy, path, *OUTAGES[kind])

    assert asyncio.run(scene()) < 2


async def survive(read: Read, proxy: Proxy, path: Path, begin: Step, end: Step) -> float:
    """Seconds from the end of an outage until all reads succeed."""
    await first_whole_s(read)
    await begin(proxy, path)
    await read_until_failed(read, N_FAILURES)
    await end(proxy, path)
    return await first_whole_s(read)


@pytest.mark.parametrize("end", [freeze, refuse], ids=["frozen", "refused"])
def test_reads_go_on_at_the_next_host_of_the_url(
    end: Step, database_url: str, folder: Path
) -> None:
    async def scene() -> float:
        target = socket_of(database_url)
        async with proxy_before(target) as first, proxy_before(target) as second:
            ports = f"{await first.listen_on_port()},{await second.listen_on_port()}"
            url = make_conninfo(database_url, host="127.0.0.1,127.0.0.1", port=ports)
            config = PostgresConfig(**{**POSTGRES.model_dump(), "connect_timeout_s": 0.3})
            async with shop_of(f"{url} target_session_attrs=read-write", config) as read:
                await first_whole_s(read)
                await end(first, folder)
                return await first_whole_s(read)

    assert asyncio.run(scene()) < 2


def test_connections_to_redis_that_were_closed_fail_no_read(redis_url: str, folder: Path) -> None:
    async def scene() -> None:
        async with proxy_before(redis_url.removeprefix("unix://").partition("?")[0]) as proxy:
            await proxy.listen(folder / "redis.sock")
            async with cache_of(f"unix://{folder}/redis.sock") as read:
                await first_whole_s(read)
                await proxy.cut()
                assert await all_succeed(read)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "reply",
    [b"*1\r\n$-1\r\n", b":7\r\n", b"+OK\r\n", b"$-1\r\n", b"*2\r\n:1\r\n$-1\r\n", b"*-1\r\n"],
)
def test_a_reply_of_another_form_counts_as_none(reply: bytes, redis_url: str, folder: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(reply)
        writer.close()

    async def scene() -> float:
        path = folder / "redis.sock"
        server = await asyncio.start_unix_server(answer, path)
        # Without the greeting of connections, to which nonsense is refused anyway.
        cache = Cache(f"unix://{path}?protocol=2&lib_name=&lib_version=", REDIS)
        try:
            with pytest.raises(StoreUnavailable):
                await cache.get_many(["a", "b"])
            assert await cache.unreachable_s() > 0
            server.close()
            async with proxy_before(redis_url.removeprefix("unix://").partition("?")[0]) as proxy:
                await proxy.listen(path)
                return await first_whole_s(lambda: cache.get_many(["a", "b"]))
        finally:
            await cache.close()

    assert asyncio.run(scene()) < 2


def test_terminated_connections_fail_no_read(conn: Connection, database_url: str) -> None:
    async def scene() -> None:
        async with shop_of(database_url) as read:
            await first_whole_s(read)
            conn.execute(
                # The pool's open connections. One that is still being opened has run no statement:
                # losing that is a failed attempt, of which reads may hear.
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE state = 'idle' AND query <> ''"
                " AND datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert await all_succeed(read)

    asyncio.run(scene())


def test_a_migration_under_open_connections_fails_no_read(
    conn: Connection, database_url: str
) -> None:
    async def scene() -> None:
        async with shop_of(database_url) as read:
            for _ in range(3):  # The statement is prepared when it is repeated.
                await first_whole_s(read)
            conn.execute("ALTER TABLE user_features ALTER avg_rating TYPE double precision")
            assert await all_succeed(read)
            conn.execute("ALTER TABLE user_features ALTER avg_rating TYPE real")
            assert await all_succeed(read)

    asyncio.run(scene())


FAULTS_OF_ONE_TABLE = {
    "locked": ("BEGIN; LOCK interactions IN ACCESS EXCLUSIVE MODE", "ROLLBACK"),
    "missing": (
        "ALTER TABLE interactions RENAME TO away",
        "ALTER TABLE away RENAME TO interactions",
    ),
    "another shop": (
        "UPDATE recserve_shop SET shop_id = gen_random_uuid()",
        "UPDATE recserve_shop SET shop_id = '{shop}'",
    ),
}


@pytest.mark.parametrize("kind", FAULTS_OF_ONE_TABLE)
def test_a_server_that_answers_other_reads_does_not_count_as_answering(
    kind: str, conn: Connection, database_url: str
) -> None:
    shop = str(shop_id(conn))
    begin, end = FAULTS_OF_ONE_TABLE[kind]

    async def scene() -> None:
        base = ShopReader(database_url, POSTGRES)
        reader = base.of_shop(shop)
        conn.execute(begin)
        with pytest.raises(StoreUnavailable):
            await reader.histories(["ann"], ())
        first_s = await base.unreachable_s()
        if kind != "another shop":
            await reader.items(["pan"])
        assert 0 < first_s < await base.unreachable_s()
        conn.execute(end.format(shop=shop))
        assert await base.unreachable_s() == 0
        await base.close()

    asyncio.run(scene())


@pytest.mark.parametrize("hangs", [False, True], ids=["unknown", "hanging"])
def test_a_name_that_is_known_again_is_found(
    hangs: bool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = threading.Event()
    known.set()
    n_hanging = count()
    resolve = socket.getaddrinfo

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == NAME:
            if not known.is_set() and not hangs:
                raise socket.gaierror("unknown")
            if not known.is_set():
                next(n_hanging)
            assert known.wait(30)
            host = "127.0.0.1"
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def scene() -> float:
        async with proxy_before(socket_of(database_url)) as proxy:
            port = await proxy.listen_on_port()
            url = make_conninfo(database_url, host=NAME, port=port)
            config = PostgresConfig(**{**POSTGRES.model_dump(), "connect_timeout_s": 0.1})

            async def forget(proxy: Proxy, path: Path) -> None:
                known.clear()
                await proxy.cut()

            async def remember(proxy: Proxy, path: Path) -> None:
                known.set()

            async with shop_of(url, config) as read:
                return await survive(read, proxy, Path(), forget, remember)

    assert asyncio.run(scene()) < 2
    assert next(n_hanging) <= 1


def test_stages_name_the_stores_that_do_not_answer(tmp_path: Path, redis_url: str) -> None:
    async def scene() -> None:
        location = StoreLocation(tmp_path, f"postgresql:///x?host={tmp_path}", redis_url)
        stores = Stores(location, StoresConfig())
        fetcher = FeatureFetcher(stores, CacheTtls())
        bundles = BundleLocation(str(tmp_path), tmp_path)
        generator = CandidateGenerator(stores, bundles, CacheTtls(), CandidatesConfig())
        assert await fetcher.silent_stores(0.0001) == {}
        assert (await fetcher.items(MetadataBatch(("pan",)))).unanswered == {"pan"}
        assert list(await fetcher.silent_stores(0.0001)) == ["postgres"]
        assert list(await generator.silent_stores(0.0001)) == ["postgres"]
        assert await generator.silent_stores(60) == {}
        await stores.shop.close()
        await stores.cache.close()

    asyncio.run(scene())


def test_says_for_how_long_a_store_does_not_answer(
    database_url: str, redis_url: str, folder: Path
) -> None:
    async def scene() -> None:
        target = redis_url.removeprefix("unix://").partition("?")[0]
        async with (
            proxy_before(socket_of(database_url)) as shop_proxy,
            proxy_before(target) as proxy,
        ):
            await shop_proxy.listen(folder / SOCKET)
            await proxy.listen(folder / "redis.sock")
            shop = ShopReader(make_conninfo(database_url, host=str(folder)), POSTGRES)
            cache = Cache(f"unix://{folder}/redis.sock", REDIS)
            for store, before in ((shop, shop_proxy), (cache, proxy)):
                assert await store.unreachable_s() == 0
                before.freeze()
                with pytest.raises(StoreUnavailable):
                    await (shop.items(["a"]) if store is shop else cache.ping())
                first_s = await store.unreachable_s()
                assert 0 < first_s < await store.unreachable_s()
                before.thaw()
                async with asyncio.timeout(5):
                    while await store.unreachable_s():
                        await asyncio.sleep(0.01)
                await store.close()

    asyncio.run(scene())


def socket_of(database_url: str) -> str:
    return f"{conninfo_to_dict(database_url)['host']}/{SOCKET}"
