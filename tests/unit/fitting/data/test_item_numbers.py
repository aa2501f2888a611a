import numpy as np
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.fitting.data.item_numbers import PopularityConfig, compute_item_numbers
from serve_app.fitting.data.items import build_catalogue
from serve_app.recommending.scoring.model_features import ITEM_FEATURES
from tests.support.hand_made_logs import items_of, log_of

NOTHING = log_of(users=())
CONFIG = PopularityConfig(half_life_days=10.0, trend_days=30.0, trend_prior=1.0)


def features_of(items, log, day=100):
    numbers = compute_item_numbers(build_catalogue(items, log, 2), log, day * DAY_S, CONFIG)
    return dict(zip(ITEM_FEATURES, numbers.features.T, strict=True))


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
