from dataclasses import replace

import numpy as np
import pytest

from serve_app.arrays.columns import NumberColumn
from serve_app.arrays.units import DAY_S
from serve_app.fitting.data.items import build_catalogue
from serve_app.fitting.tables.fit_tables import (
    fit_tables,
)
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.recommending.scoring.model_features import TREND_DAYS
from tests.support.hand_made_logs import items_of, log_of


def shop(items, log, popularity=None):
    catalogue = build_catalogue(items, log, 2)
    numbers = np.zeros(len(items)) if popularity is None else np.array(popularity, float)
    return replace(catalogue, columns={**catalogue.columns, "popularity": NumberColumn(numbers)})


def tables_of(items, log, popularity=None, **config):
    return fit_tables(shop(items, log, popularity), log, AT, TablesConfig(**config))


def the_list(values, offsets, i):
    return values[offsets[i] : offsets[i + 1]].tolist()


AT = 100 * DAY_S
NOTHING = log_of(users=())


class TestOrders:
    def test_popular_items_come_first_and_ties_go_to_the_smaller_row(self):
        tables = tables_of(items_of(4), NOTHING, popularity=[1, 3, 3, 2])

        assert tables.popular_rows.tolist() == [1, 2, 3, 0]

    def test_each_category_has_its_own_order(self):
        items = items_of(4, category=["b", "a", "b", "a"])

        tables = tables_of(items, NOTHING, popularity=[1, 2, 3, 4])

        assert the_list(tables.category_rows, tables.category_offsets, 0) == [3, 1]
        assert the_list(tables.category_rows, tables.category_offsets, 1) == [2, 0]

    def test_newest_items_come_first_and_those_of_unknown_age_not_at_all(self):
        items = items_of(3, created_at=[DAY_S, np.nan, 9 * DAY_S])

        assert tables_of(items, NOTHING).newest_rows.tolist() == [2, 0]

    def test_holds_listed_rows_only(self):
        items = items_of(2, item_row=np.array([0, 2], np.int32))
        log = log_of(("ann", 0, "purchase", 1), ("ann", 2, "purchase", 1))
        catalogue = replace(shop(items, log, [0, 0]), listed=np.array([True, False, False]))
        catalogue = replace(
            catalogue, columns={**catalogue.columns, "popularity": NumberColumn(np.zeros(3))}
        )

        tables = fit_tables(catalogue, log, AT, TablesConfig())

        for rows in (tables.popular_rows, tables.newest_rows, tables.basket_rows):
            assert rows.tolist() == [0]
        assert tables.neighbour_rows.tolist() == []


class TestBuyersAndBaskets:
    LOG = log_of(
        ("ann", 0, "purchase", 1),
        ("ann", 1, "purchase", 2),
        ("ann", 0, "purchase", 3),
        ("bob", 0, "purchase", 4),
        ("bob", 1, "view", 5),
    )

    def test_come_once_and_latest_first(self):
        tables = tables_of(items_of(2), self.LOG)

        assert the_list(tables.buyers, tables.buyer_offsets, 0) == [1, 0]
        assert the_list(tables.buyers, tables.buyer_offsets, 1) == [0]
        assert the_list(tables.basket_rows, tables.basket_offsets, 0) == [0, 1]
        assert the_list(tables.basket_rows, tables.basket_offsets, 1) == [0]

    def test_are_cut_at_their_limits(self):
        tables = tables_of(items_of(2), self.LOG, max_buyers_per_item=1, max_items_per_user=1)

        assert the_list(tables.buyers, tables.buyer_offsets, 0) == [1]
        assert the_list(tables.basket_rows, tables.basket_offsets, 0) == [0]


class TestWeights:
    LOG = log_of(
        ("ann", 0, "purchase", 90), ("ann", 1, "purchase", 100), ("bob", 1, "purchase", 80)
    )

    def test_a_purchase_counts_half_after_a_half_life(self):
        tables = tables_of(items_of(2), self.LOG, votes_half_life_days=10)

        assert the_list(tables.basket_weights, tables.basket_offsets, 0) == [1.0, 0.5]
        assert the_list(tables.basket_weights, tables.basket_offsets, 1) == [0.25]

    def test_trend_is_the_share_of_late_buyers(self):
        tables = tables_of(items_of(2), self.LOG, trend_half_life_days=10, trend_exponent=1)

        assert tables.trends == pytest.approx([0.51 / 2, 1.26 / 3])

    def test_recent_trends_are_there_by_half_life(self):
        tables = tables_of(items_of(2), self.LOG)

        late = np.exp2(-10 / np.array(TREND_DAYS))
        assert tables.recent_trends[0] == pytest.approx((late + 0.01) / 2)
