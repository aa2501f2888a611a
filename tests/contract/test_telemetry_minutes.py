"""Tests minutes of telemetry: replicas write them to a real Redis, and they merge."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from serve_app.errors import StoreUnavailable
from serve_app.stores.cache import Cache, RedisConfig
from serve_app.telemetry import minutes
from serve_app.telemetry.counting import Telemetry
from serve_app.telemetry.histograms import MINUTE_S, REQUEST, Minute, merge_minutes
from serve_app.telemetry.minutes import PREFIX, TTL_S, MinuteReporter, read_minutes, write_minute
from tests.support.in_process import BrokenCache, logged, until

MINUTE = 1_000
NOW_S = MINUTE * MINUTE_S + 30.0


@pytest.fixture
def use(redis_url: str) -> Callable[..., Any]:
    """Runs a scenario on an empty Redis."""

    def run(scenario: Callable[[Cache], Awaitable[Any]]) -> Any:
        async def with_cache() -> Any:
            cache = Cache(redis_url, RedisConfig(timeout_s=2))
            try:
                return await scenario(cache)
            finally:
                await cache.close()

        return asyncio.run(with_cache())

    return run


def minute_of(number: int, n_requests: int) -> Minute:
    minute = Minute(number)
    for _ in range(n_requests):
        minute.observe(REQUEST, 0.01)
        minute.outcomes["main", "ok"] += 1
    return minute


def test_merges_the_minutes_of_all_replicas(use: Callable[..., Any]) -> None:
    async def scenario(cache: Cache) -> Minute:
        await write_minute(cache, minute_of(MINUTE, 2), "a")
        await write_minute(cache, minute_of(MINUTE, 3), "b")
        return merge_minutes(await read_minutes(cache, NOW_S, 5))

    total = use(scenario)

    assert total.outcomes["main", "ok"] == 5
    assert total.stages[REQUEST].n == 5


def test_a_later_flush_of_the_minute_replaces_the_one_before(use: Callable[..., Any]) -> None:
    async def scenario(cache: Cache) -> list[int]:
        await write_minute(cache, minute_of(MINUTE, 2), "a")
        await write_minute(cache, minute_of(MINUTE, 4), "a")
        return [minute.stages[REQUEST].n for minute in await read_minutes(cache, NOW_S, 5)]

    assert use(scenario) == [4]


def test_gives_the_last_minutes_and_the_one_that_has_begun(use: Callable[..., Any]) -> None:
    async def scenario(cache: Cache) -> list[int]:
        for number in range(MINUTE - 9, MINUTE + 1):
            await write_minute(cache, minute_of(number, 1), "a")
        return sorted(minute.number for minute in await read_minutes(cache, NOW_S, 3))

    assert use(scenario) == [MINUTE - 3, MINUTE - 2, MINUTE - 1, MINUTE]


def test_gives_no_minutes_before_anything_was_measured(use: Callable[..., Any]) -> None:
    assert use(lambda cache: read_minutes(cache, NOW_S, 5)) == []


def test_minutes_expire(use: Callable[..., Any]) -> None:
    async def scenario(cache: Cache) -> int:
        await write_minute(cache, minute_of(MINUTE, 1), "a")
        [key] = await cache.keys(PREFIX)
        return int(await cache._redis.pttl(f"recserve:{key}"))

    assert 0.9 * TTL_S < use(scenario) / 1e3 <= TTL_S


def test_says_that_a_minute_cannot_be_read(use: Callable[..., Any]) -> None:
    async def scenario(cache: Cache) -> None:
        await cache.set_many({f"{PREFIX}{MINUTE}:a": b"?"}, 60)
        with pytest.raises(StoreUnavailable, match="telemetry that cannot be read"):
            await read_minutes(cache, NOW_S, 5)

    use(scenario)


def test_a_replica_reports_by_itself(
    use: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minutes, "PERIOD_S", 0.01)
    now_s = time.time()
    telemetry = Telemetry(None, now_s=now_s)
    telemetry.request("main", "ok", 0.01)

    async def scenario(cache: Cache) -> int:
        reporter = MinuteReporter(telemetry, cache, lambda: "shop")
        reporter.start()
        reporter.start()
        of_shop, left = cache.of_shop("shop"), list[str]()
        async with asyncio.timeout(10):
            while not left:
                await asyncio.sleep(0.005)
                left = await of_shop.keys(PREFIX)
        return merge_minutes(await read_minutes(of_shop, now_s, 5)).outcomes["main", "ok"]

    assert use(scenario) == 1


def test_a_replica_goes_on_reporting_while_the_cache_is_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(minutes, "PERIOD_S", 0.001)
    cache = BrokenCache()

    telemetry = Telemetry(None, now_s=time.time())

    def asked_thrice() -> bool:
        telemetry.stage("ranker", 0.002)
        return cache.asked >= 3

    async def scenario() -> None:
        MinuteReporter(telemetry, cast(Cache, cache)).start()
        await until(asked_thrice)

    with logged("ray.serve.recserve.ingress") as records:
        asyncio.run(scenario())

    assert "measurements of this minute are not written" in records[0].getMessage()
