"""Tests that only whole values count whose server, shop and owner are unchanged."""

import asyncio

import pytest

from serve_app.errors import StoreUnavailable
from serve_app.stores.epochs import (
    EPOCH_BYTES,
    CurrentValues,
    begin_epoch,
    item_epoch,
    read_current_values,
    user_epoch,
    with_stamp,
)
from tests.support.in_memory_stores import InMemoryCache

OWNERS = {"a": user_epoch("ann"), "b": user_epoch("bob"), "c": user_epoch("bob")}


def read(cache: InMemoryCache, *keys: str) -> CurrentValues:
    owners = [OWNERS[key] for key in keys]
    return asyncio.run(read_current_values(cache, owners, keys, 60))  # type: ignore[arg-type]


def stamp_of(cache: InMemoryCache, key: str) -> bytes:
    [stamp] = read(cache, key).stamps
    assert stamp is not None
    return stamp


def write(cache: InMemoryCache, values: dict[str, bytes]) -> None:
    asyncio.run(cache.set_many(values, 60))


def write_content(cache: InMemoryCache, contents: dict[str, bytes]) -> None:
    write(
        cache, {key: with_stamp(stamp_of(cache, key), content) for key, content in contents.items()}
    )


@pytest.fixture
def cache() -> InMemoryCache:
    return InMemoryCache(lambda: 0.0)


@pytest.mark.parametrize("epoch", [None, b"", b"e" * 16, b"1", b"e" * 15, b"e" * 17, b"e" * 4_000])
def test_a_value_is_read_as_it_was_written_under_epochs_of_any_length(
    cache: InMemoryCache, epoch: bytes | None
) -> None:
    if epoch is not None:
        asyncio.run(begin_epoch(cache, epoch))  # type: ignore[arg-type]
        write(cache, {OWNERS["a"]: epoch})
    write_content(cache, {"a": b"[1]", "b": b""})

    assert read(cache, "a", "b", "c").values == [b"[1]", b"", None]


def test_epochs_that_begin_alike_are_different(cache: InMemoryCache) -> None:
    asyncio.run(begin_epoch(cache, b"e" * 16))  # type: ignore[arg-type]
    write_content(cache, {"a": b"[1]"})
    for epoch in (b"e", b"e" * 15, b"e" * 17):
        asyncio.run(begin_epoch(cache, epoch))  # type: ignore[arg-type]
        assert read(cache, "a").values == [None]


def test_epochs_of_users_and_items_are_apart() -> None:
    assert user_epoch("x") != item_epoch("x")


def test_the_end_of_an_epoch_ends_the_values_of_its_owner_alone(cache: InMemoryCache) -> None:
    write_content(cache, {"a": b"1", "b": b"2", "c": b"3"})
    asyncio.run(cache.remove([OWNERS["b"]]))

    assert read(cache, "a", "b", "c").values == [b"1", None, None]


@pytest.mark.parametrize("lost", ["epoch", OWNERS["a"]])
def test_a_lost_epoch_never_comes_back(cache: InMemoryCache, lost: str) -> None:
    """Values of the time without an epoch must not count in the next time without one."""
    stamps = []
    for _ in range(3):
        asyncio.run(cache.remove([lost]))
        stamps.append(stamp_of(cache, "a"))

    assert len(set(stamps)) == 3


def test_two_readers_who_find_no_epoch_take_the_same_one(cache: InMemoryCache) -> None:
    class Interleaved(InMemoryCache):
        async def set_absent(self, values, ttl_s):
            await asyncio.sleep(0)
            return await super().set_absent(values, ttl_s)

    cache = Interleaved(lambda: 0.0)

    async def both() -> list[CurrentValues]:
        reads = [read_current_values(cache, [OWNERS["a"]], ["a"], 60) for _ in range(2)]  # type: ignore[arg-type]
        return await asyncio.gather(*reads)

    first, second = asyncio.run(both())

    assert first.stamps == second.stamps


def test_an_epoch_of_an_owner_expires_and_reads_do_not_prolong_it() -> None:
    now_s = 0.0
    cache = InMemoryCache(lambda: now_s)
    stamp = stamp_of(cache, "a")
    now_s = 59
    assert stamp_of(cache, "a") == stamp
    now_s = 61
    later = stamp_of(cache, "a")

    assert later != stamp
    assert later[:-EPOCH_BYTES] == stamp[:-EPOCH_BYTES], "server and shop are the same"


def test_another_server_ends_every_value(cache: InMemoryCache) -> None:
    write_content(cache, {"a": b"1"})
    cache.server = b"another server!!"

    assert read(cache, "a").values == [None]


def test_without_the_identity_of_the_server_nothing_counts_and_nothing_is_drawn(
    cache: InMemoryCache,
) -> None:
    write_content(cache, {"a": b"1"})
    n_keys = len(asyncio.run(cache.keys("")))
    cache.server = None

    current = read(cache, "a", "b")

    assert current.values == current.stamps == [None, None]
    assert len(asyncio.run(cache.keys(""))) == n_keys


def test_a_redis_without_memory_answers_for_those_who_have_an_epoch(cache: InMemoryCache) -> None:
    class Full(InMemoryCache):
        async def set_absent(self, values, ttl_s):
            raise StoreUnavailable("redis", "OutOfMemoryError")

    write_content(cache, {"a": b"1"})
    full = Full(lambda: 0.0)
    full._values = cache._values

    current = read(full, "a", "b")

    assert current.values == [b"1", None]
    assert [stamp is None for stamp in current.stamps] == [False, True]


def test_an_epoch_that_is_lost_while_it_is_read_back_is_none(cache: InMemoryCache) -> None:
    class Evicting(InMemoryCache):
        async def set_absent(self, values, ttl_s):
            return [None] * len(values)

    assert read(Evicting(lambda: 0.0), "a").stamps == [None]


def test_a_damaged_value_counts_as_absent(cache: InMemoryCache) -> None:
    stamp = stamp_of(cache, "a")
    whole = with_stamp(stamp, b"0123456789")
    damages = [whole[:n] for n in range(len(whole))]
    damages += [whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :] for n in range(len(whole))]
    damages += [whole + b"?", whole[: len(stamp)] + whole[len(stamp) + 4 :]]
    for damaged in damages:
        write(cache, {"a": damaged})
        assert read(cache, "a").values == [None], damaged
