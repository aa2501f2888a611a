import numpy as np
import pytest

from serve_app.arrays.columns import MISSING, FlagColumn, NumberColumn, TagsColumn, TextColumn
from serve_app.domain.scoring.model_features import DAY_S, ITEM_FEATURES, USER_COLUMNS
from serve_app.errors import NotEnoughData
from serve_app.fitting.data.items import attribute_columns, build_catalogue
from serve_app.fitting.data.numbers import (
    PopularityConfig,
    compute_item_numbers,
    compute_user_columns,
    find_favorite_categories,
    find_recent_views,
)
from tests.support.hand_made_logs import items_of, log_of

NOTHING = log_of(users=())
CONFIG = PopularityConfig(half_life_days=10.0, trend_days=30.0, trend_prior=1.0)


def features_of(items, log, day=100):
    numbers = compute_item_numbers(build_catalogue(items, log, 2), log, day * DAY_S, CONFIG)
    return dict(zip(ITEM_FEATURES, numbers.features.T, strict=True))


def columns_of(items, log):
    created_at = np.full(len(log.user_ids), np.nan)
    found = compute_user_columns(build_catalogue(items, log, 2), log, created_at)
    return dict(zip(USER_COLUMNS, found.T, strict=True))


class TestItemNumbers:
    def test_popularity_halves_with_every_half_life(self):
        log = log_of(("ann", 0, "purchase", 100), ("ann", 1, "purchase", 90))

        popularity = features_of(items_of(3), log)["item.popularity"]

        np.testing.assert_allclose(np.expm1(popularity), [1.0, 0.5, 0.0], rtol=1e-6)

    def test_popularity_counts_what_says_more_for_more(self):
        log = log_of(("ann", 0, "view", 100), ("ann", 1, "click", 100), ("ann", 2, "cart", 100))

        popularity = features_of(items_of(3), log)["item.popularity"]

        assert 0 < popularity[0] < popularity[1] < popularity[2]

    def test_counts_views_and_distinct_buyers(self):
        log = log_of(
            ("ann", 0, "view", 1),
            ("ann", 0, "view", 2),
            ("ann", 0, "purchase", 3),
            ("ann", 0, "purchase", 4),
            ("bob", 0, "purchase", 5),
        )

        features = features_of(items_of(1), log)

        assert np.expm1(features["item.log_views"]) == pytest.approx([2])
        assert np.expm1(features["item.log_buyers"]) == pytest.approx([2])

    def test_trend_compares_the_last_window_with_the_one_before(self):
        log = log_of(
            ("ann", 0, "view", 95),
            ("ann", 0, "view", 99),
            ("ann", 1, "view", 50),
            ("ann", 2, "view", 5),
        )

        trend = features_of(items_of(3), log)["item.trend"]

        np.testing.assert_allclose(trend, [np.log(3), -np.log(2), 0.0], rtol=1e-6)

    def test_rating_is_unknown_without_ratings(self):
        log = log_of(("ann", 0, "rating", 1, 5.0), ("bob", 0, "rating", 1, 2.0))

        numbers = compute_item_numbers(
            build_catalogue(items_of(2), log, 2), log, 100 * DAY_S, CONFIG
        )

        np.testing.assert_array_equal(numbers.avg_rating, [3.5, np.nan])
        np.testing.assert_array_equal(numbers.num_ratings, [2, 0])

    def test_price_level_ranks_within_the_category(self):
        items = items_of(5, category=["a", "a", "a", "b", "b"], price=[9.0, 1.0, 5.0, 7.0, np.nan])

        level = features_of(items, NOTHING)["item.price_level"]

        np.testing.assert_array_equal(level, [1.0, 0.0, 0.5, 0.0, np.nan])

    def test_category_popularity_is_the_mean_of_its_items(self):
        log = log_of(("ann", 0, "purchase", 100))
        items = items_of(3, category=["a", "a", "b"])

        means = features_of(items, log)["item.category_popularity"]

        np.testing.assert_allclose(means, [np.log(2) / 2, np.log(2) / 2, 0.0], rtol=1e-6)


class TestUserColumns:
    ITEMS = items_of(3, category=["a", "b", "a"], price=[2.0, 4.0, np.nan])
    LOG = log_of(
        ("ann", 0, "purchase", 1.0),
        ("ann", 0, "purchase", 1.2),
        ("ann", 1, "purchase", 3.0),
        ("ann", 2, "purchase", 3.0),
        ("ann", 1, "rating", 9.0, 4.0),
        ("bob", 2, "view", 5.0),
    )

    def test_counts_and_averages_what_was_bought(self):
        ann = {name: values[0] for name, values in columns_of(self.ITEMS, self.LOG).items()}

        assert ann["total_purchases"] == 4
        assert ann["n_items"] == 3
        assert ann["n_categories"] == 2
        assert ann["avg_price"] == pytest.approx(8 / 3)
        assert ann["std_price"] == pytest.approx(np.std([2, 2, 4]))
        assert (ann["avg_rating"], ann["num_ratings"]) == (4.0, 1)
        assert (ann["first_at"], ann["last_at"]) == (1.0 * DAY_S, 9.0 * DAY_S)
        assert ann["n_active_days"] == 3

    def test_knows_no_price_of_a_user_who_only_looked(self):
        bob = {name: values[1] for name, values in columns_of(self.ITEMS, self.LOG).items()}

        assert (bob["total_purchases"], bob["n_items"], bob["n_active_days"]) == (0, 0, 1)
        assert np.isnan([bob["avg_price"], bob["std_price"], bob["avg_rating"]]).all()

    def test_gives_users_without_interactions_no_times(self):
        log = log_of(("ann", 0, "view", 1.0), users=("ann", "bob"))

        last_at = columns_of(self.ITEMS, log)["last_at"]

        np.testing.assert_array_equal(last_at, [DAY_S, np.nan])


class TestUserTexts:
    def test_favorite_categories_are_those_with_most_to_do(self):
        items = items_of(4, category=["a", "b", "c", "d"])
        log = log_of(
            ("ann", 3, "purchase", 1),
            ("ann", 1, "cart", 1),
            ("ann", 2, "view", 1),
            ("ann", 0, "click", 1),
            users=("ann", "bob"),
        )

        assert find_favorite_categories(build_catalogue(items, log, 2), log) == [
            ["d", "b", "a"],
            [],
        ]

    def test_recent_views_come_latest_first_and_once(self):
        views = [("ann", row, "view", row) for row in range(12)]
        log = log_of(*views, ("ann", 3, "view", 20), ("ann", 0, "purchase", 21))

        (recent,) = find_recent_views(build_catalogue(items_of(12), log, 2), log)

        assert recent == ["i3", "i11", "i10", "i9", "i8", "i7", "i6", "i5", "i4", "i2"]


class TestCatalogue:
    def test_leaves_rows_empty_that_hold_no_item(self):
        items = items_of(2, item_row=np.array([0, 2], np.int32))

        catalogue = build_catalogue(items, NOTHING, 2)

        np.testing.assert_array_equal(catalogue.listed, [True, False, True])
        assert catalogue.item_ids.take(range(3)) == ["i0", "", "i1"]
        np.testing.assert_array_equal(catalogue.index.find(["i1", ""]), [2, -1])
        assert catalogue.categories.word(1) is None

    def test_an_item_is_there_since_it_was_created_or_first_touched(self):
        items = items_of(4, created_at=[5 * DAY_S, 5 * DAY_S, np.nan, np.nan])
        log = log_of(("ann", 0, "view", 3), ("ann", 2, "view", 4))

        created_at = build_catalogue(items, log, 2).number("created_at")

        np.testing.assert_array_equal(created_at / DAY_S, [3, 5, 4, np.nan])

    def test_needs_items(self):
        with pytest.raises(NotEnoughData, match="no items"):
            build_catalogue(items_of(0), NOTHING, 2)


class TestAttributeColumns:
    def test_takes_the_kind_of_the_values(self):
        columns = attribute_columns(
            [{"width": 3, "eco": True, "brand": "Oak", "uses": ["bath", "home"]}, {"width": 2.5}]
        )

        assert {name: type(column) for name, column in columns.items()} == {
            "width": NumberColumn,
            "eco": FlagColumn,
            "brand": TextColumn,
            "uses": TagsColumn,
        }
        np.testing.assert_array_equal(columns["width"].values, [3.0, 2.5])
        np.testing.assert_array_equal(columns["eco"].values, [1, MISSING])
        assert [columns["brand"].word(row) for row in (0, 1)] == ["Oak", None]
        assert [columns["uses"].words(row) for row in (0, 1)] == [["bath", "home"], []]

    def test_makes_texts_of_mixed_kinds(self):
        column = attribute_columns([{"size": 38}, {"size": "XL"}, {"size": None}])["size"]

        assert [column.word(row) for row in range(3)] == ["38", "XL", None]

    def test_leaves_names_of_standard_columns_to_them(self):
        assert attribute_columns([{"price": "cheap"}]) == {}
