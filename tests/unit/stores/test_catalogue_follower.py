import asyncio
from dataclasses import replace

import numpy as np

from serve_app.domain.item_changes import Changes, ItemChange
from serve_app.errors import StoreUnavailable
from serve_app.stores.catalogue_follower import POLL_S, CatalogueFollower, FollowedFit
from tests.support.changing_shop import first_fitted, first_items
from tests.support.in_memory_stores import InMemoryShop

FIT = FollowedFit("v1", "", 3, first_fitted())


def pricier(revision: int, price: float = 7.5) -> ItemChange:
    return replace(first_items()[2], revision=revision, price=price)


class Shop:
    """Counts the reads, and fails or waits when it is told so."""

    def __init__(self) -> None:
        self.shop = InMemoryShop()
        self.changed = self.shop.changed
        self.n_reads, self.is_down = 0, False
        self.gate: asyncio.Event | None = None

    def of_shop(self, shop_id: str) -> "Shop":
        return self

    async def changes(self, since: int) -> Changes:
        self.n_reads += 1
        if self.is_down:
            raise StoreUnavailable("postgres", "unreachable")
        found = await self.shop.changes(since)
        if self.gate is not None:
            await self.gate.wait()
        return found


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


def price_of(live):
    return float(live.fitted.catalogue.number("price")[2])


def test_reads_what_changed_since_the_fit():
    async def scenario():
        shop = InMemoryShop()
        shop.changed.extend([pricier(2, 1.0), pricier(4)])
        follower = CatalogueFollower(shop)
        assert follower.age_s(FIT) is None
        assert await follower.catch_up(FIT)
        return follower.live(FIT)

    live = asyncio.run(scenario())

    assert (live.revision, price_of(live)) == (4, 7.5)


def test_waits_for_a_revision_that_the_sender_knows():
    async def scenario():
        shop = InMemoryShop()
        follower = CatalogueFollower(shop)
        await follower.catch_up(FIT)
        shop.changed.append(pricier(5))
        return await follower.at(FIT, 5)

    live, is_behind = asyncio.run(scenario())

    assert (price_of(live), is_behind) == (7.5, False)


def test_reads_again_if_the_reading_under_way_began_before_the_change():
    async def scenario():
        shop = Shop()
        follower = CatalogueFollower(shop)
        await follower.catch_up(FIT)
        shop.gate = asyncio.Event()
        early = asyncio.create_task(follower.look())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        shop.changed.append(pricier(5))
        late = asyncio.create_task(follower.at(FIT, 5))
        await asyncio.sleep(0)
        shop.gate.set()
        await early
        return await late

    live, is_behind = asyncio.run(scenario())

    assert (price_of(live), is_behind) == (7.5, False)


def test_says_that_it_is_behind_and_keeps_the_last_overlay_while_the_shop_is_away():
    async def scenario():
        shop, clock = Shop(), Clock()
        follower = CatalogueFollower(shop, clock)
        shop.changed.append(pricier(4))
        await follower.catch_up(FIT)
        shop.is_down = True
        clock.now_s += 10 * POLL_S
        answers = [await follower.at(FIT, 9), await follower.at(FIT, 9)]
        answers.append(await follower.at(FIT, 4))
        return answers, shop.n_reads, follower.age_s(FIT)

    answers, n_reads, age_s = asyncio.run(scenario())

    assert [(price_of(live), is_behind) for live, is_behind in answers] == [
        (7.5, True),
        (7.5, True),
        (7.5, False),
    ]
    # One to catch up; two for the first batch at most; none soon after a failure.
    assert n_reads <= 3
    assert age_s == 10 * POLL_S


def test_is_behind_until_the_shop_has_answered_once():
    async def scenario():
        shop = Shop()
        shop.is_down = True
        follower = CatalogueFollower(shop)
        return await follower.catch_up(FIT), (await follower.at(FIT, 0))[1]

    assert asyncio.run(scenario()) == (False, True)


def test_fits_of_one_shop_share_their_reads():
    async def scenario():
        shop = Shop()
        follower = CatalogueFollower(shop)
        later = replace(FIT, version="v2", revision=4)
        shop.changed.append(pricier(6))
        await follower.catch_up(FIT)
        await follower.catch_up(later)
        before = shop.n_reads
        shop.changed.append(pricier(7, 8.5))
        await follower.look()
        return [price_of(follower.live(fit)) for fit in (FIT, later)], shop.n_reads - before

    assert asyncio.run(scenario()) == ([8.5, 8.5], 1)


def test_forgets_fits_that_nobody_uses_any_more():
    async def scenario():
        follower = CatalogueFollower(InMemoryShop())
        fits = [replace(FIT, version=f"v{i}") for i in range(4)]
        for fit in fits:
            await follower.catch_up(fit)
        return [follower.age_s(fit) is None for fit in (fits[3], fits[2], fits[0])]

    assert asyncio.run(scenario()) == [False, False, True]


def test_reads_pages_until_all_changes_are_known():
    class Paged(InMemoryShop):
        async def changes(self, since: int) -> Changes:
            revision = min(since + 1, 6)
            items = [pricier(revision, float(revision))] if revision > since else []
            return Changes(revision, items, is_complete=revision == since)

    async def scenario():
        follower = CatalogueFollower(Paged())
        await follower.catch_up(FIT)
        return follower.live(FIT)

    live = asyncio.run(scenario())

    assert (live.revision, price_of(live)) == (6, 6.0)
    np.testing.assert_array_equal(live.rows, [2])


def test_one_item_that_cannot_be_read_keeps_no_other_out(caplog):
    async def scenario():
        shop = InMemoryShop()
        odd = replace(first_items()[1], revision=5, attributes=None)
        shop.changed.extend(
            [pricier(4, 6.5), odd, replace(first_items()[3], revision=6, price=9.0)]
        )
        follower = CatalogueFollower(shop)
        await follower.catch_up(FIT)
        return follower.live(FIT)

    live = asyncio.run(scenario())

    assert (live.revision, price_of(live)) == (6, 6.5)
    assert live.fitted.catalogue.number("price")[3] == 9.0
    assert "item i1 stays as it was" in caplog.text
