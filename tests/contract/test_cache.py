"""Tests the contract of caches, on a real Redis and in memory."""

import asyncio
import time

import pytest

from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache, RedisConfig
from tests.support.frozen_server import frozen_server
from tests.support.in_memory_stores import InMemoryCache


class CacheContract:
    """Subclass it and say how to make one."""

    def run(self, scenario):
        raise NotImplementedError

    def test_gives_back_what_was_written_in_the_order_asked(self):
        async def scenario(cache):
            await cache.set_many({"a": b"1", "b": b""}, 60)
            return await cache.get_many(["b", "none", "a"])

        assert self.run(scenario) == [b"", None, b"1"]

    def test_replaces_what_was_there(self):
        async def scenario(cache):
            await cache.set_many({"a": b"1"}, 60)
            await cache.set_many({"a": b"2"}, 60)
            return await cache.get_many(["a"])

        assert self.run(scenario) == [b"2"]

    def test_nothing_of_nothing(self):
        async def scenario(cache):
            await cache.set_many({}, 60)
            return await cache.get_many([])

        assert self.run(scenario) == []

    def test_finds_all_keys_under_a_prefix_and_no_others(self):
        async def scenario(cache):
            ours = {f"x[1]:{i}": b"1" for i in range(2_500)}
            await cache.set_many({**ours, "x1:0": b"1", "y": b"1"}, 60)
            return sorted(await cache.keys("x[1]:")) == sorted(ours), len(await cache.keys(""))

        assert self.run(scenario) == (True, 2_502)

    def test_shops_do_not_see_each_others_values(self):
        async def scenario(cache):
            one, other = cache.of_shop("1f0e"), cache.of_shop("2a3b")
            await one.set_many({"a": b"1"}, 60)
            seen = [await shop.get_many(["a"]) for shop in (one, other, cache, cache.of_shop(""))]
            return seen, await one.keys("a"), await other.keys("a")

        assert self.run(scenario) == ([[b"1"], [None], [None], [None]], ["a"], [])

    def test_reads_values_with_the_identity_of_their_server(self):
        async def scenario(cache):
            await cache.set_many({"a": b"1"}, 60)
            first, second = await cache.read(["a", "none"]), await cache.of_shop("1f0e").read(["a"])
            return first.values, second.values, len(first.server), first.server == second.server

        assert self.run(scenario) == ([b"1", None], [None], 16, True)

    def test_writes_absent_keys_alone_and_reads_what_is_there(self):
        async def scenario(cache):
            await cache.set_many({"a": b"1"}, 60)
            present = await cache.set_absent({"a": b"2", "b": b"2"}, 60)
            await cache.set_absent({"c": b"2"}, 0.02)
            deadline_s = time.monotonic() + 5
            while (await cache.get_many(["c"]))[0] is not None:
                assert time.monotonic() < deadline_s
            return present, await cache.get_many(["a", "b"]), await cache.keys("")

        assert self.run(scenario) == ([b"1", b"2"], [b"1", b"2"], ["a", "b"])

    def test_removes_the_keys_that_are_there(self):
        async def scenario(cache):
            await cache.set_many(dict.fromkeys("abc", b"1"), 60)
            await cache.of_shop("1f0e").set_many({"a": b"1"}, 60)
            await cache.remove(["a", "c", "none"])
            await cache.remove([])
            return await cache.get_many("abc"), await cache.of_shop("1f0e").get_many(["a"])

        assert self.run(scenario) == ([None, b"1", None], [b"1"])

    def test_a_value_is_gone_when_its_time_is_over(self):
        async def scenario(cache):
            await cache.set_many({"short": b"1"}, 0.02)
            await cache.set_many({"long": b"1"}, 60)
            deadline_s = time.monotonic() + 5
            while (await cache.get_many(["short"]))[0] is not None:
                assert time.monotonic() < deadline_s
            return await cache.get_many(["short", "long"]), await cache.keys("")

        assert self.run(scenario) == ([None, b"1"], ["long"])


class TestInMemoryCache(CacheContract):
    def run(self, scenario):
        return asyncio.run(scenario(InMemoryCache(time.monotonic)))


class TestCache(CacheContract):
    @pytest.fixture(autouse=True)
    def _url(self, redis_url):
        self.url = redis_url

    def run(self, scenario):
        async def with_cache():
            cache = Cache(self.url, RedisConfig(timeout_s=2))
            try:
                return await scenario(cache)
            finally:
                await cache.close()

        return asyncio.run(with_cache())

    def test_answers_a_ping(self):
        self.run(lambda cache: cache.ping())


CALLS = {
    "get_many": lambda cache: cache.get_many(["a"]),
    "read": lambda cache: cache.read(["a"]),
    "set_absent": lambda cache: cache.set_absent({"a": b"1"}, 60),
    "set_many": lambda cache: cache.set_many({"a": b"1"}, 60),
    "remove": lambda cache: cache.remove(["a"]),
    "keys": lambda cache: cache.keys("a"),
    "ping": lambda cache: cache.ping(),
}


def fail(url, call):
    async def scenario():
        cache = Cache(url, RedisConfig(timeout_s=0.1))
        started_at = time.monotonic()
        with pytest.raises(StoreUnavailable) as failed:
            await call(cache)
        await cache.close()
        return failed.value, time.monotonic() - started_at

    return asyncio.run(scenario())


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_says_at_once_that_no_server_is_there(call, tmp_path):
    failure, duration_s = fail(f"unix://{tmp_path}/none.sock", call)

    assert failure.stage == "redis"
    assert failure.reason == "ConnectionError"
    assert duration_s < 2


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_does_not_wait_for_a_server_that_is_frozen(call, tmp_path):
    with frozen_server(tmp_path / "frozen.sock") as path:
        failure, duration_s = fail(f"unix://{path}", call)

    assert failure.stage == "redis"
    assert duration_s < 2
