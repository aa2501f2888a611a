import numpy as np
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.domain.interactions import NO_EVENTS, Histories, make_events
from serve_app.recommending.candidates.candidate_features import count_by_period, expectations
from tests.support.small_world import small_world

STARTS_AT = DAY_S * np.array([10.0, 17.0])


def events(*rows_and_days):
    rows, days = zip(*rows_and_days, strict=True)
    return make_events(rows, [3] * len(rows), DAY_S * np.array(days))


class TestCountByPeriod:
    def test_counts_the_distinct_items_of_each_user_in_each_period(self):
        histories = Histories.of(
            [events((1, 11), (1, 12), (2, 12), (1, 20)), NO_EVENTS, events((5, 18))]
        )

        assert count_by_period(histories, STARTS_AT).tolist() == [[2, 1], [0, 0], [0, 1]]

    def test_leaves_out_what_was_before_the_first_period(self):
        assert count_by_period(Histories.of([events((1, 9.9))]), STARTS_AT).tolist() == [[0, 0]]

    def test_counts_what_came_after_the_fit_in_the_last_period(self):
        assert count_by_period(Histories.of([events((1, 400))]), STARTS_AT).tolist() == [[0, 1]]

    def test_of_nobody_is_empty(self):
        assert count_by_period(Histories.of([]), STARTS_AT).shape == (0, 2)


class TestExpectations:
    def test_an_item_sold_while_the_user_was_here_is_expected_more(self):
        world = small_world()
        n = world.fitted.tables.period_counts.shape[1]
        busiest = int(np.argmax(world.fitted.tables.period_totals))
        best = int(np.argmax(world.fitted.tables.period_counts[:, busiest]))
        taken = np.zeros((2, n), np.float32)
        taken[0, busiest] = 3

        found = expectations(
            np.array([best, best], np.int32), np.array([0, 1]), taken, world.fitted.tables
        )

        counts, totals = world.fitted.tables.period_counts, world.fitted.tables.period_totals
        share = counts[best, busiest] / totals[busiest]
        assert found[0, 0] == pytest.approx(np.log(3 * share + 1e-4), rel=1e-5)
        assert found[1, 0] == pytest.approx(np.log(1e-4), rel=1e-5)
        assert found[0, 2] < found[1, 2]
