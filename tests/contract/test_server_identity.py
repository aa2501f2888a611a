"""Tests that values which a real Redis brings back from the past do not count."""

import asyncio
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest

from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache, RedisConfig
from serve_app.stores.cached_reader import CachedKind, CachedReader
from serve_app.stores.epochs import user_epoch
from serve_app.stores.freshness import make_visible
from tests.support.own_redis import command, redis_of

Result = TypeVar("Result")

KIND = CachedKind("n:", user_epoch, str.encode, bytes.decode, 60, 60, 120)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Paths of sockets must be short.
    with tempfile.TemporaryDirectory(prefix="idn", dir="/tmp") as name:
        yield Path(name)


def run(url: str, use: Callable[[Cache], Awaitable[Result]]) -> Result:
    async def scenario() -> Result:
        cache = Cache(url, RedisConfig(timeout_s=2))
        try:
            return await use(cache)
        finally:
            await cache.close()

    return asyncio.run(scenario())


def read(url: str, stored: str) -> str:
    """The answer of a reader while PostgreSQL holds ``stored``."""

    async def load(_: object) -> dict[str, str]:
        return {"ann": stored}

    async def use(cache: Cache) -> str:
        reader = CachedReader(KIND, cache, load)
        values = (await reader.read(["ann"])).values
        await reader.wait_written()
        return values["ann"]

    return run(url, use)


def end_epoch(url: str) -> None:
    assert run(url, lambda cache: make_visible(cache, ["ann"]))


def identity(url: str) -> bytes | None:
    return run(url, lambda cache: cache.read(["a"])).server


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return str(listening.getsockname()[1])


def wait_for(url: str, section: str, text: str) -> None:
    for _ in range(10_000):
        if text in str(command(url, "INFO", section)):
            return
    raise AssertionError(f"no {text} in INFO {section}")


def test_a_value_counts_until_its_owner_changes(folder: Path) -> None:
    with redis_of(folder) as url:
        assert [read(url, "old"), read(url, "new")] == ["old", "old"]
        end_epoch(url)
        assert read(url, "new") == "new"


def test_every_connection_to_a_server_sees_the_same_identity(folder: Path) -> None:
    with redis_of(folder) as url:
        assert identity(url) == identity(url) is not None


def test_a_restart_with_old_data_brings_no_value_back(folder: Path) -> None:
    with redis_of(folder) as url:
        read(url, "old")
        command(url, "SAVE")
        end_epoch(url)
    with redis_of(folder) as url:
        assert command(url, "DBSIZE") == 3, "the value and both epochs are there again"
        assert [read(url, "new"), read(url, "newer")] == ["new", "new"]


def test_a_connection_that_outlives_the_server_sees_the_next_identity(folder: Path) -> None:
    async def scenario() -> tuple[bytes | None, bytes | None]:
        cache = Cache(f"unix://{folder}/own.sock", RedisConfig(timeout_s=2))
        with redis_of(folder):
            first = (await cache.read(["a"])).server
        with redis_of(folder):
            with suppress(StoreUnavailable):  # The loop did not run, and saw no end of the first.
                await cache.read(["a"])
            second = (await cache.read(["a"])).server
        await cache.close()
        return first, second

    first, second = asyncio.run(scenario())

    assert None is not first != second is not None


def test_a_replica_that_lacks_the_last_writes_brings_no_value_back(folder: Path) -> None:
    port = free_port()
    with (
        redis_of(folder, "--port", port, "--bind", "127.0.0.1") as primary,
        redis_of(folder, "--replicaof", "127.0.0.1", port, name="replica") as replica,
    ):
        read(primary, "old")
        wait_for(replica, "replication", "'master_link_status': 'up'")
        command(primary, "WAIT", "1", "5000")
        command(replica, "REPLICAOF", "NO", "ONE")
        end_epoch(primary)

        assert command(replica, "DBSIZE") == 3, "the value and both epochs are there"
        assert read(replica, "new") == "new"


def test_a_primary_that_was_replaced_and_comes_back_brings_no_value_back(folder: Path) -> None:
    """It never restarted: its ``run_id`` is still the same."""
    with redis_of(folder) as url:
        read(url, "old")
        command(url, "REPLICAOF", "127.0.0.1", "1")
        command(url, "REPLICAOF", "NO", "ONE")

        assert read(url, "new") == "new"


def test_a_replica_is_not_read(folder: Path) -> None:
    with (
        redis_of(folder, "--replicaof", "127.0.0.1", "1") as url,
        pytest.raises(StoreUnavailable, match="ReadOnlyError"),
    ):
        identity(url)


def test_a_server_that_becomes_a_replica_is_left_and_found_again(folder: Path) -> None:
    async def scenario(url: str) -> tuple[bytes | None, bytes | None]:
        cache = Cache(url, RedisConfig(timeout_s=2))
        first = (await cache.read(["a"])).server
        command(url, "REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreUnavailable, match="ReadOnlyError"):
            await cache.set_many({"a": b"1"}, 60)
        with pytest.raises(StoreUnavailable, match="ReadOnlyError"):
            await cache.read(["a"])
        command(url, "REPLICAOF", "NO", "ONE")
        second = (await cache.read(["a"])).server
        await cache.close()
        return first, second

    with redis_of(folder) as url:
        first, second = asyncio.run(scenario(url))

    assert first != second


def test_nothing_is_cached_where_info_is_refused(folder: Path) -> None:
    with redis_of(folder, set_up=("ACL", "SETUSER", "default", "-info")) as url:
        assert identity(url) is None
        assert [read(url, "old"), read(url, "new")] == ["old", "new"]
        assert command(url, "DBSIZE") == 0


def test_a_redis_without_memory_still_ends_epochs(folder: Path) -> None:
    with redis_of(folder) as url:
        read(url, "old")
        command(url, "CONFIG", "SET", "maxmemory", "1")
        end_epoch(url)

        assert read(url, "new") == "new"
        with pytest.raises(StoreUnavailable, match="OutOfMemoryError"):
            run(url, lambda cache: cache.set_many({"a": b"1"}, 60))


@pytest.mark.parametrize("lost", [("FLUSHALL",), ("UNLINK", "recserve:epoch:user:ann")])
def test_epochs_that_redis_lost_do_not_come_back(folder: Path, lost: tuple[str, ...]) -> None:
    with redis_of(folder) as url:
        read(url, "old")
        command(url, *lost)

        assert read(url, "new") == "new"
