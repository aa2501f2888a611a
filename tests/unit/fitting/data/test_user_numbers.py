import numpy as np
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.fitting.data.items import build_catalogue
from serve_app.fitting.data.user_numbers import (
    compute_user_columns,
    find_favorite_categories,
    find_recent_views,
)
from serve_app.recommending.scoring.model_features import USER_COLUMNS
from tests.support.hand_made_logs import items_of, log_of


def columns_of(items, log):
    created_at = np.full(len(log.user_ids), np.nan)
    values = compute_user_columns(build_catalogue(items, log, 2), log, created_at)
    return dict(zip(USER_COLUMNS, values.T, strict=True))


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
