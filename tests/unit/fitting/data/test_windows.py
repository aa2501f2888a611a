import numpy as np

from serve_app.arrays.units import DAY_S
from serve_app.fitting.data.labels import CLICKED, WANTED
from serve_app.fitting.data.windows import choose_windows, find_outcomes, sample, select_before
from tests.support.hand_made_logs import log_of


class TestWindows:
    def test_both_windows_hold_the_same_share_of_the_interactions(self):
        log = log_of(*[("ann", 0, "view", day**2) for day in range(101)])

        split = choose_windows(log, 0.2)

        assert [round(at / DAY_S) for at in (split.train_at, split.evaluate_at, split.end_at)] == [
            60**2,
            80**2,
            100**2,
        ]

    def test_outcomes_leave_out_what_was_bought_before(self):
        log = log_of(
            ("ann", 0, "purchase", 1),
            ("ann", 0, "purchase", 11),
            ("ann", 1, "view", 12),
            ("ann", 1, "purchase", 13),
            ("bob", 0, "purchase", 2),
            ("bob", 0, "purchase", 12),
            ("cid", 1, "cart", 12),
        )

        outcomes = find_outcomes(log, 10 * DAY_S, 20 * DAY_S, np.ones(2, bool))

        assert outcomes.users.tolist() == [0]
        assert outcomes.rows.tolist() == [1]
        assert outcomes.strengths.tolist() == [WANTED]

    def test_outcomes_leave_out_items_that_could_not_be_recommended(self):
        log = log_of(("ann", 0, "purchase", 11), ("bob", 1, "purchase", 11))

        outcomes = find_outcomes(log, 10 * DAY_S, 20 * DAY_S, np.array([True, False]))

        assert outcomes.users.tolist() == [0]

    def test_outcomes_can_ask_for_less_than_a_purchase(self):
        log = log_of(("ann", 0, "click", 11), ("bob", 0, "view", 11))

        outcomes = find_outcomes(log, 10 * DAY_S, 20 * DAY_S, np.ones(1, bool), least=CLICKED)

        assert outcomes.users.tolist() == [0]

    def test_a_sample_keeps_what_the_chosen_users_did(self):
        log = log_of(*[(f"u{i:02}", row, "purchase", 11) for i in range(20) for row in range(i)])
        outcomes = find_outcomes(log, 10 * DAY_S, 20 * DAY_S, np.ones(20, bool))

        some = sample(outcomes, 5, seed=0)

        assert len(some) == 5
        assert np.diff(some.offsets).tolist() == (some.users + 1).tolist()

    def test_before_leaves_out_the_moment_itself(self):
        log = log_of(("ann", 0, "view", 1), ("ann", 0, "view", 2))

        assert select_before(log, 2 * DAY_S).at.tolist() == [DAY_S]


class TestReturns:
    LOG = log_of(
        ("ann", 0, "purchase", 1),
        ("ann", 0, "return", 5),
        ("ann", 1, "purchase", 4),
        ("ben", 1, "purchase", 3),
        ("ben", 1, "return", 9),
    )

    def test_a_purchase_stands_until_it_is_returned(self):
        day = {at: select_before(self.LOG, at * DAY_S) for at in (5, 6)}

        assert day[5].rows.tolist() == [0, 1, 1]
        assert day[6].rows.tolist() == [1, 1]

    def test_a_returned_item_may_be_wanted_again(self):
        log = log_of(("ann", 0, "purchase", 1), ("ann", 0, "return", 2), ("ann", 0, "purchase", 4))

        outcomes = find_outcomes(log, 3 * DAY_S, 9 * DAY_S, np.ones(2, bool))

        assert outcomes.rows.tolist() == [0]

    def test_a_purchase_that_is_returned_is_no_success(self):
        outcomes = find_outcomes(self.LOG, 2 * DAY_S, 9 * DAY_S, np.ones(2, bool))

        assert (outcomes.users.tolist(), outcomes.rows.tolist()) == ([0], [1])
