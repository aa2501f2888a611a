from serve_app.arrays.units import DAY_S
from serve_app.fitting.data.windows import choose_windows, select_before
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
