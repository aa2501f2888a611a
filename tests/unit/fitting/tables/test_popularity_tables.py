import numpy as np

from serve_app.arrays.units import DAY_S
from serve_app.fitting.tables.popularity_tables import count_periods
from tests.support.hand_made_logs import log_of


class TestPeriodsOf:
    LOG = log_of(
        ("ann", 0, "purchase", 1),
        ("ann", 0, "purchase", 8.5),
        ("ann", 0, "view", 9),
        ("ann", 1, "purchase", 9),
        ("bob", 0, "purchase", 14),
    )

    def test_counts_the_users_of_each_item_and_all_users(self):
        periods = count_periods(self.LOG, 3, 15 * DAY_S, period_days=7, max_periods=60)

        np.testing.assert_allclose(periods.period_starts_at / DAY_S, [1, 8])
        assert periods.period_counts.tolist() == [[1, 2], [0, 1], [0, 0]]
        assert periods.period_totals.tolist() == [1, 3]
        assert periods.period_users.tolist() == [1, 2]

    def test_keeps_the_latest_periods(self):
        periods = count_periods(self.LOG, 3, 15 * DAY_S, period_days=7, max_periods=1)

        assert periods.period_counts.tolist() == [[2], [1], [0]]

    def test_of_no_interactions_is_one_empty_period(self):
        periods = count_periods(log_of(users=()), 2, 15 * DAY_S, period_days=7, max_periods=60)

        assert periods.period_counts.tolist() == [[0], [0]]
        assert periods.period_users.tolist() == [0]
