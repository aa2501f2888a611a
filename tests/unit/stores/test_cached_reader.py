import asyncio

import pytest

from serve_app.errors import StoreUnavailable
from serve_app.stores.cached_reader import CachedKind, CachedReader
from serve_app.stores.epochs import EPOCH_BYTES, begin_epoch, read_current_values, with_stamp
from tests.support.in_memory_stores import InMemoryCache
from tests.support.in_process import BrokenCache


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Shop:
    """Knows squares of the ids that are numbers; notes what it is asked."""

    def __init__(self):
        self.asked, self.failure = [], None

    async def load(self, ids):
        self.asked.append(list(ids))
        if self.failure:
            raise self.failure
        return {id_: int(id_) ** 2 for id_ in ids if id_.isdigit()}


SQUARE = CachedKind(
    "square:",
    lambda id_: f"epoch:{id_}",
    lambda value: str(value).encode(),
    int,
    ttl_s=100,
    absent_ttl_s=10,
    epoch_s=200,
)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    return InMemoryCache(clock)


@pytest.fixture
def shop():
    return Shop()


def read(cache, shop, *ids):
    async def scenario():
        reader = CachedReader(SQUARE, cache, shop.load)
        found = await reader.read(ids)
        await reader.wait_written()
        return found

    return asyncio.run(scenario())


def test_asks_the_shop_once_for_all_ids_that_are_not_cached(cache, shop):
    found = read(cache, shop, "2", "3", "2", "x")

    assert found.values == {"2": 4, "3": 9}
    assert found.unanswered == frozenset()
    assert shop.asked == [["2", "3", "x"]]


def test_does_not_ask_again_for_cached_ids(cache, shop):
    read(cache, shop, "2", "3")

    found = read(cache, shop, "2", "3", "4")

    assert found.values == {"2": 4, "3": 9, "4": 16}
    assert shop.asked == [["2", "3"], ["4"]]


def test_caches_for_a_short_time_that_an_id_is_unknown(cache, shop, clock):
    read(cache, shop, "x")
    assert read(cache, shop, "x").values == {}
    assert shop.asked == [["x"]]

    clock.now = 11
    read(cache, shop, "x")
    assert shop.asked == [["x"], ["x"]]


def test_asks_again_when_the_value_has_expired(cache, shop, clock):
    read(cache, shop, "2")
    clock.now = 101

    read(cache, shop, "2")

    assert shop.asked == [["2"], ["2"]]


def test_reads_from_the_shop_while_the_cache_is_down(shop):
    found = read(BrokenCache(), shop, "2", "x")

    assert found.values == {"2": 4}
    assert found.unanswered == frozenset()


def test_names_the_ids_that_no_store_answered_for(cache, shop):
    read(cache, shop, "2", "y")
    shop.failure = StoreUnavailable("postgres", "down")

    found = read(cache, shop, "2", "y", "3")

    assert found.values == {"2": 4}
    assert found.unanswered == {"3"}


def test_names_every_id_when_both_stores_are_down(shop):
    shop.failure = StoreUnavailable("postgres", "down")

    found = read(BrokenCache(), shop, "2")

    assert found.values == {}
    assert found.unanswered == {"2"}


def current(cache, id_):
    reading = read_current_values(cache, [f"epoch:{id_}"], [f"square:{id_}"], 200)
    [stamp], [value] = (lambda read: (read.stamps, read.values))(asyncio.run(reading))
    return stamp, value


def test_replaces_values_that_cannot_be_decoded(cache, shop):
    stamp, _ = current(cache, "2")
    asyncio.run(cache.set_many({"square:2": with_stamp(stamp, b"four")}, 100))

    assert read(cache, shop, "2").values == {"2": 4}
    assert current(cache, "2") == (stamp, b"4")


@pytest.mark.parametrize("ended", ["2", "x"])
def test_discards_what_was_read_before_a_change_and_written_after_it(cache, shop, ended):
    async def change_meanwhile(ids):
        found = await shop.load(ids)
        await cache.remove([f"epoch:{ended}"])
        return found

    async def scenario():
        reader = CachedReader(SQUARE, cache, change_meanwhile)
        await reader.read(["2", "x"])
        await reader.wait_written()

    asyncio.run(scenario())
    read(cache, shop, "2", "x")

    assert shop.asked == [["2", "x"], [ended]]


def test_asks_again_for_ids_that_changed_and_for_no_others(cache, shop):
    read(cache, shop, "2", "3")
    asyncio.run(cache.remove(["epoch:3"]))
    read(cache, shop, "2", "3")

    assert shop.asked == [["2", "3"], ["3"]]


@pytest.mark.parametrize("server", [None, b"another server!!"])
def test_asks_again_after_a_restart_of_redis_with_old_data(cache, shop, server):
    read(cache, shop, "2")
    cache.server = server

    assert read(cache, shop, "2").values == {"2": 4}
    assert shop.asked == [["2"], ["2"]]


def test_keeps_nothing_while_the_identity_of_redis_is_unknown(cache, shop):
    cache.server = None
    read(cache, shop, "2")

    assert asyncio.run(cache.keys("")) == []


def test_discards_values_that_were_read_before_a_load_and_written_after_it(cache, shop):
    async def load_meanwhile(ids):
        found = await shop.load(ids)
        await begin_epoch(cache, b"e" * EPOCH_BYTES)
        return found

    async def scenario():
        reader = CachedReader(SQUARE, cache, load_meanwhile)
        await reader.read(["2", "x"])
        await reader.wait_written()

    asyncio.run(scenario())

    assert sorted(asyncio.run(cache.keys("square:"))) == ["square:2", "square:x"]
    assert read(cache, shop, "2", "x").values == {"2": 4}
    assert shop.asked == [["2", "x"], ["2", "x"]]


def test_every_epoch_discards_the_values_of_the_one_before(cache, shop):
    read(cache, shop, "2")

    asyncio.run(begin_epoch(cache, b"1" * EPOCH_BYTES))
    read(cache, shop, "2")
    asyncio.run(begin_epoch(cache, b"2" * EPOCH_BYTES))
    read(cache, shop, "2")
    read(cache, shop, "2")

    assert shop.asked == [["2"]] * 3
