import numpy as np

from serve_app.arrays.units import DAY_S
from serve_app.fitting.data.labels import BOUGHT, CLICKED, WANTED
from serve_app.fitting.data.moments import moments_at
from serve_app.fitting.data.outcomes import draw_outcomes, find_outcomes, sample
from tests.support.hand_made_logs import log_of


def outcomes_of(log, start_day, end_day, listed, **settings):
    """Of all users, between two days."""
    moments = moments_at(log, np.arange(len(log.user_ids)), start_day * DAY_S)
    return find_outcomes(log, moments, end_day * DAY_S, listed, **settings)


class TestOutcomes:
    def test_leave_out_what_was_bought_before(self):
        log = log_of(
            ("ann", 0, "purchase", 1),
            ("ann", 0, "purchase", 11),
            ("ann", 1, "view", 12),
            ("ann", 1, "purchase", 13),
            ("bob", 0, "purchase", 2),
            ("bob", 0, "purchase", 12),
            ("cid", 1, "cart", 12),
        )

        outcomes = outcomes_of(log, 10, 20, np.ones(2, bool))

        assert outcomes.users.tolist() == [0]
        assert outcomes.rows.tolist() == [1]
        assert outcomes.strengths.tolist() == [WANTED]

    def test_leave_out_items_that_could_not_be_recommended(self):
        log = log_of(("ann", 0, "purchase", 11), ("bob", 1, "purchase", 11))

        outcomes = outcomes_of(log, 10, 20, np.array([True, False]))

        assert outcomes.users.tolist() == [0]

    def test_can_ask_for_less_than_a_purchase(self):
        log = log_of(("ann", 0, "click", 11), ("bob", 0, "view", 11))

        outcomes = outcomes_of(log, 10, 20, np.ones(1, bool), least=CLICKED)

        assert outcomes.users.tolist() == [0]

    def test_a_sample_keeps_what_the_chosen_users_did(self):
        log = log_of(*[(f"u{i:02}", row, "purchase", 11) for i in range(20) for row in range(i)])
        outcomes = outcomes_of(log, 10, 20, np.ones(20, bool))

        some = sample(outcomes, 5, seed=0)

        assert len(some) == 5
        assert np.diff(some.offsets).tolist() == (some.users + 1).tolist()


class TestReturns:
    LOG = log_of(
        ("ann", 0, "purchase", 1),
        ("ann", 0, "return", 5),
        ("ann", 1, "purchase", 4),
        ("ben", 1, "purchase", 3),
        ("ben", 1, "return", 9),
    )

    def test_a_returned_item_may_be_wanted_again(self):
        log = log_of(("ann", 0, "purchase", 1), ("ann", 0, "return", 2), ("ann", 0, "purchase", 4))

        outcomes = outcomes_of(log, 3, 9, np.ones(2, bool))

        assert outcomes.rows.tolist() == [0]

    def test_a_purchase_that_is_returned_is_no_success(self):
        outcomes = outcomes_of(self.LOG, 2, 9, np.ones(2, bool))

        assert (outcomes.users.tolist(), outcomes.rows.tolist()) == ([0], [1])

    def test_a_purchase_that_is_returned_after_the_window_counts(self):
        outcomes = outcomes_of(self.LOG, 2, 8, np.ones(2, bool))

        assert outcomes.users.tolist() == [0, 1]

    def test_know_how_many_steps_after_the_moment_they_came(self):
        log = log_of(
            ("ann", 3, "purchase", 11),
            ("ann", 2, "purchase", 11),
            ("ann", 1, "purchase", 12),
            ("ann", 3, "purchase", 13),
            ("ann", 0, "purchase", 14),
            ("ben", 0, "purchase", 12),
        )

        outcomes = outcomes_of(log, 10, 20, np.ones(4, bool))

        assert outcomes.rows.tolist() == [0, 1, 2, 3, 0]
        assert outcomes.steps.tolist() == [3, 1, 0, 0, 0]


class TestDrawnOutcomes:
    LOG = log_of(
        ("ann", 0, "purchase", 1),
        ("ann", 1, "purchase", 12),
        ("ann", 2, "purchase", 12),
        ("ann", 3, "purchase", 14),
        ("new", 1, "view", 13),
        ("new", 2, "purchase", 15),
    )

    def drawn(self, **settings):
        numbers = {"n_users": 10, "n_further": 10, "seed": 0, **settings}
        return draw_outcomes(
            self.LOG, 10 * DAY_S, 20 * DAY_S, np.ones(4, bool), BOUGHT, WANTED, **numbers
        )

    def test_who_was_known_is_asked_when_the_window_begins_and_others_before_they_buy(self):
        first = self.drawn().first

        days = dict(zip(first.users.tolist(), (first.moments.at / DAY_S).tolist(), strict=True))
        assert days == {0: 10, 1: 15}

    def test_further_moments_lie_before_what_counts(self):
        further = self.drawn().further

        assert (further.moments.at / DAY_S).tolist() == [12, 14]
        assert np.split(further.rows, further.offsets[1:-1])[0].tolist() == [1, 2, 3]
        assert np.split(further.rows, further.offsets[1:-1])[1].tolist() == [3]

    def test_there_are_no_more_further_moments_than_asked_for(self):
        assert len(self.drawn(n_further=1).further) == 1
        assert len(self.drawn(n_further=0).further) == 0

    def test_there_are_no_more_users_than_asked_for(self):
        first, further = self.drawn(n_users=1)

        assert len(first) == 1
        assert set(further.users) <= set(first.users)
