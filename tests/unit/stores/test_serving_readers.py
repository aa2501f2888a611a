import asyncio

import numpy as np
import pytest

from serve_app.arrays.columns import IdIndex
from serve_app.database.records import ItemRow
from serve_app.domain.interactions import PURCHASE, TYPES, HistoryArchive, make_events
from serve_app.errors import StoreUnavailable
from serve_app.recommending.scoring.model_features import USER_COLUMNS
from serve_app.stores.epochs import item_epoch, read_current_values, user_epoch, with_stamp
from serve_app.stores.freshness import make_items_visible, make_visible
from serve_app.stores.serving_readers import CacheTtls, HistoryReader, item_reader, user_reader
from tests.support.in_memory_stores import InMemoryCache, InMemoryShop

DOWN = StoreUnavailable("postgres", "down")
BOUGHT = make_events([4, 7], [PURCHASE, 0], [10.0, 20.0], [2, np.nan])
ARCHIVED = make_events([1], [PURCHASE], [5.0])
ARCHIVE = HistoryArchive(IdIndex.of(["ann"]), np.array([0, 1]), ARCHIVED)


def new_cache():
    return InMemoryCache(lambda: 0.0)


async def put(cache, owner, key, content):
    """Caches a value as a reader does."""
    [stamp] = (await read_current_values(cache, [owner], [key], 9)).stamps
    await cache.set_many({key: with_stamp(stamp, content)}, 9)


def read_twice(make_reader, shop, ids):
    """Reads once from the shop and once from the cache alone."""

    async def scenario():
        cache = new_cache()
        reader = make_reader(cache, shop, CacheTtls())
        first = await reader.read(ids)
        await reader.wait_written()
        broken = make_reader(cache, InMemoryShop(failure=DOWN), CacheTtls())
        return first, await broken.read(ids)

    return asyncio.run(scenario())


def test_reads_equal_user_rows_from_both_stores():
    row = np.arange(len(USER_COLUMNS), dtype=np.float64)
    row[3] = np.nan

    first, second = read_twice(user_reader, InMemoryShop(users={"ann": row}), ["ann", "bob"])

    np.testing.assert_array_equal(first.values["ann"], row)
    np.testing.assert_array_equal(second.values["ann"], row)
    assert set(first.values) == set(second.values) == {"ann"}
    assert second.unanswered == frozenset()


def test_reads_equal_items_from_both_stores():
    row = ItemRow("Bowl", "kitchen", 9.5, ("blue",), True, None, 0, {"brand": "Ash", "kg": 1.5})

    first, second = read_twice(item_reader, InMemoryShop(shelves={"i1": row}), ["i1"])

    assert first.values == second.values == {"i1": row}


def test_does_not_use_cached_rows_of_another_build():
    async def scenario():
        cache = new_cache()
        await put(cache, user_epoch("ann"), "user:3:ann", b"12345678")
        await put(cache, item_epoch("i"), "item:3:i", b"{}")
        shop = InMemoryShop(failure=DOWN)
        users = await user_reader(cache, shop, CacheTtls()).read(["ann"])
        items = await item_reader(cache, shop, CacheTtls()).read(["i"])
        return users.unanswered, items.unanswered

    assert asyncio.run(scenario()) == ({"ann"}, {"i"})


def histories(shop, cache=None, ids=("ann", "bob")):
    async def scenario():
        reader = HistoryReader(cache or new_cache(), shop, CacheTtls())
        return await reader.read(ids, ARCHIVE, (PURCHASE,))

    return asyncio.run(scenario())


def test_gives_histories_in_the_order_of_the_ids():
    read = histories(InMemoryShop(events={"bob": BOUGHT}), ids=("nobody", "bob", "bob"))

    assert read.of_user(1).tobytes() == BOUGHT.tobytes()
    assert read.of_user(2).tobytes() == BOUGHT.tobytes()
    assert len(read.of_user(0)) == 0
    assert read.stale.tolist() == [False, False, False]


def test_reads_the_archive_and_marks_histories_stale_when_no_store_answers():
    read = histories(InMemoryShop(failure=DOWN))

    assert read.of_user(0).tobytes() == ARCHIVED.tobytes()
    assert len(read.of_user(1)) == 0
    assert read.stale.tolist() == [True, True]


def test_a_cached_history_is_not_stale_while_postgres_is_down():
    cache = new_cache()
    asyncio.run(put(cache, user_epoch("bob"), "history:4:3:bob", BOUGHT.tobytes()))

    read = histories(InMemoryShop(failure=DOWN), cache)

    assert read.of_user(1).tobytes() == BOUGHT.tobytes()
    assert read.stale.tolist() == [True, False]


@pytest.mark.parametrize(
    ("longest", "ttls"),
    [(3_600, {}), (9_000, {"history_s": 9_000}), (60, {"features_s": 1, "history_s": 2})],
)
def test_epochs_last_twice_as_long_as_any_value(longest, ttls):
    assert CacheTtls.model_validate(ttls).epoch_s == 2 * longest


@pytest.mark.parametrize("field", ["features_s", "history_s", "unknown_s"])
def test_refuses_a_time_to_live_of_zero(field):
    with pytest.raises(ValueError, match=field):
        CacheTtls.model_validate({field: 0})


@pytest.mark.parametrize(
    "damaged",
    [
        make_events([-1], [0], [1.0]),
        make_events([1], [len(TYPES)], [1.0]),
        make_events([1], [0], [np.nan]),
    ],
)
def test_a_cached_history_that_nobody_has_counts_as_absent(damaged):
    cache = new_cache()
    asyncio.run(put(cache, user_epoch("bob"), "history:4:3:bob", damaged.tobytes()))

    read = histories(InMemoryShop(events={"bob": BOUGHT}), cache)

    assert read.of_user(1).tobytes() == BOUGHT.tobytes()


@pytest.mark.parametrize(
    ("make_reader", "shop", "make_visible"),
    [
        (user_reader, {"users": {"x": np.ones(len(USER_COLUMNS))}}, make_visible),
        (
            item_reader,
            {"shelves": {"x": ItemRow("A", "b", 1.0, (), True, None, 0, {})}},
            make_items_visible,
        ),
    ],
    ids=["user", "item"],
)
def test_a_change_ends_the_cached_row_of_its_owner(make_reader, shop, make_visible):
    async def scenario():
        cache = new_cache()
        reader = make_reader(cache, InMemoryShop(**shop), CacheTtls())
        await reader.read(["x"])
        await reader.wait_written()
        down = make_reader(cache, InMemoryShop(failure=DOWN), CacheTtls())
        before = await down.read(["x"])
        await make_visible(cache, ["x"])
        return before.unanswered, (await down.read(["x"])).unanswered

    assert asyncio.run(scenario()) == (frozenset(), {"x"})


def test_an_event_ends_the_cached_history_of_its_user():
    async def scenario():
        cache = new_cache()
        await put(cache, user_epoch("bob"), "history:4:3:bob", BOUGHT.tobytes())
        reader = HistoryReader(cache, InMemoryShop(failure=DOWN), CacheTtls())
        before = await reader.read(["bob"], ARCHIVE, (PURCHASE,))
        await make_visible(cache, ["bob"])
        after = await reader.read(["bob"], ARCHIVE, (PURCHASE,))
        return before.stale.tolist(), after.stale.tolist()

    assert asyncio.run(scenario()) == ([False], [True])
