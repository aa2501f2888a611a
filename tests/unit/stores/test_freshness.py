"""Tests that changes become visible, at once or as soon as Redis answers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from serve_app.errors import StoreUnavailable
from serve_app.stores import freshness
from serve_app.stores.epochs import item_epoch, user_epoch
from serve_app.stores.freshness import Freshness, make_items_visible, make_visible
from tests.support.in_memory_stores import InMemoryCache


class FailingCache(InMemoryCache):
    """Fails as often as it is told to."""

    def __init__(self, n_failures: int = 0) -> None:
        super().__init__(lambda: 0.0)
        self.left = [n_failures]  # Shared with the views of shops.

    async def remove(self, keys: Sequence[str]) -> None:
        self._fail()
        await super().remove(keys)

    async def set_many(self, values, ttl_s):
        self._fail()
        await super().set_many(values, ttl_s)

    def _fail(self) -> None:
        if self.left[0]:
            self.left[0] -= 1
            raise StoreUnavailable("redis", "down")


EPOCHS = [user_epoch("ann"), user_epoch("bob"), item_epoch("ann")]


async def fill(cache: InMemoryCache) -> None:
    for space in (cache.of_shop("1f0e"), cache.of_shop("")):
        await InMemoryCache.set_many(space, dict.fromkeys([*EPOCHS, "epoch"], b"e" * 16), 60)


async def present(cache: InMemoryCache, shop: str = "1f0e") -> list[str]:
    keys = [*EPOCHS, "epoch"]
    values = await cache.of_shop(shop).get_many(keys)
    return [key for key, value in zip(keys, values, strict=True) if value == b"e" * 16]


async def settled(served: Freshness) -> None:
    async with asyncio.timeout(5):
        await served.wait_repeated()


@pytest.mark.parametrize("shop", ["1f0e", ""])
def test_ends_the_epochs_of_the_users_and_of_nobody_else(shop: str) -> None:
    async def scenario() -> tuple[bool, list[str]]:
        cache: Any = FailingCache()
        await fill(cache)
        return await make_visible(cache.of_shop("1f0e"), ["ann"]), await present(cache, shop)

    assert asyncio.run(scenario()) == (True, [EPOCHS[1], EPOCHS[2], "epoch"])


def test_ends_the_epochs_of_items_and_of_no_user() -> None:
    async def scenario() -> tuple[bool, list[str]]:
        cache: Any = FailingCache()
        await fill(cache)
        return await make_items_visible(cache.of_shop("1f0e"), ["ann"]), await present(cache)

    assert asyncio.run(scenario()) == (True, [EPOCHS[0], EPOCHS[1], "epoch"])


def test_says_that_redis_did_not_answer() -> None:
    async def scenario() -> list[bool]:
        cache: Any = FailingCache(2)
        return [await make_visible(cache, ["ann"]), await make_visible(cache, ["ann"])]

    assert asyncio.run(scenario()) == [False, True]


def test_repeats_what_redis_did_not_answer_until_it_does() -> None:
    async def scenario() -> tuple[bool, bool, list[str]]:
        cache: Any = FailingCache(6)
        await fill(cache)
        served = Freshness(cache.of_shop("1f0e"), pause_s=0)
        first = await served.make_visible(["ann"])
        second = await served.make_items_visible(["ann"])
        await settled(served)
        return first, second, await present(cache)

    assert asyncio.run(scenario()) == (False, False, [EPOCHS[1], "epoch"])


def test_what_a_late_reader_writes_of_a_forgotten_user_does_not_stay() -> None:
    async def scenario() -> tuple[bool, list[str], list[str]]:
        cache: Any = FailingCache()
        await fill(cache)
        served = Freshness(cache.of_shop("1f0e"), pause_s=0)
        is_done = await served.forget("ann", [EPOCHS[1]])
        at_once = await present(cache)
        await fill(cache)
        await settled(served)
        return is_done, at_once, await present(cache)

    left = [EPOCHS[2], "epoch"]
    assert asyncio.run(scenario()) == (True, left, left)


def test_an_owner_that_changes_during_a_repeat_is_repeated_again() -> None:
    """The repeat may reach Redis before the second change is committed."""
    served: Freshness

    class Late(FailingCache):
        async def remove(self, keys: Sequence[str]) -> None:
            await super().remove(keys)
            # The last of both key spaces.
            if self._space == "" and not self.left[0] and not again:
                # Redis has run the repeat, and does not answer for the change that comes now.
                again.append(True)
                self.left[0] = 2
                assert not await served.make_visible(["ann"])
                await fill(self)

    async def scenario() -> list[str]:
        nonlocal served
        cache: Any = Late(2)
        served = Freshness(cache.of_shop("1f0e"), pause_s=0)
        assert not await served.make_visible(["ann"])
        await settled(served)
        return await present(cache)

    again: list[bool] = []
    assert EPOCHS[0] not in asyncio.run(scenario())


def test_too_many_owners_end_the_epoch_of_the_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "MAX_REMEMBERED", 2)

    async def scenario() -> list[str]:
        cache: Any = FailingCache(6)
        await fill(cache)
        served = Freshness(cache.of_shop("1f0e"), pause_s=0)
        await served.make_visible(["ann", "bob"])
        await served.make_visible(["eve"])
        await settled(served)
        return await present(cache)

    assert asyncio.run(scenario()) == EPOCHS


def test_forgets_what_is_pending_when_it_is_closed() -> None:
    async def scenario() -> int:
        cache: Any = FailingCache(100)
        served = Freshness(cache, pause_s=60)
        await served.make_visible(["ann"])
        await served.close()
        await served.close()
        return len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == 1
