import numpy as np

from serve_app.arrays.units import DAY_S
from serve_app.demo.demo_shop import make_demo
from serve_app.simulation.popular_lists import PopularLists, listed_of, purchases_of
from tests.unit.simulation.conftest import SMALL


def lists_of(*bought):
    popular = PopularLists(4)
    items, days = zip(*bought, strict=True)
    popular.add(np.array(items, np.int32), np.array(days) * DAY_S)
    popular.order_at(100 * DAY_S)
    return popular


def test_the_most_bought_item_comes_first():
    assert lists_of((2, 99), (1, 99), (2, 98)).top(2, set()) == [2, 1]


def test_an_old_purchase_counts_less():
    assert lists_of((0, 10), (0, 11), (3, 99)).top(1, set()) == [3]


def test_owned_items_make_place_for_the_next_ones():
    assert lists_of((2, 99), (1, 99), (2, 98)).top(2, {2}) == [1, 0]


def test_purchases_count_from_the_next_midnight_on():
    popular = lists_of((0, 99))
    popular.add(np.array([3, 3], np.int32), np.full(2, 100 * DAY_S))

    assert popular.top(1, set()) == [0]
    popular.order_at(101 * DAY_S)
    assert popular.top(1, set()) == [3]


def test_the_purchases_of_the_history_are_those_of_the_files(crowd):
    table = make_demo(SMALL).interactions

    shoppers, items, at = purchases_of(table, crowd)

    rows = table.to_pandas().query("type == 'purchase'")
    assert [crowd.user_id(shopper) for shopper in shoppers] == rows["user_id"].to_list()
    assert [crowd.item_id(item) for item in items] == rows["item_id"].to_list()
    assert at[0] == rows["timestamp"].iloc[0].timestamp()


def test_a_popular_list_looks_like_an_answer(crowd):
    assert listed_of(crowd, [3]).item_ids == (crowd.item_id(3),)
