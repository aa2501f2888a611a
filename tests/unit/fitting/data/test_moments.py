import numpy as np

from serve_app.arrays.units import DAY_S
from serve_app.domain.interactions import TYPE_CODES
from serve_app.fitting.data import moments
from serve_app.fitting.data.labels import BOUGHT
from serve_app.fitting.data.moments import draw_moments, histories_at, moments_at
from tests.support.hand_made_logs import log_of

LOG = log_of(
    ("ann", 0, "purchase", 1),
    ("ann", 1, "view", 2),
    ("ann", 0, "return", 3),
    ("ben", 2, "purchase", 2),
    ("ben", 3, "purchase", 2),
    ("ben", 2, "view", 4),
)
EVERYBODY = np.arange(2)


def rows_at(log, moments, limit=10):
    histories = histories_at(log, moments, BOUGHT.ending_types, limit)
    return [histories.of_user(i)["row"].tolist() for i in range(len(histories))]


MINUTES = 1 / (24 * 60)
"""Days in a minute."""


def draw(log, start_day, n_users=10, n_further=10, seed=0, counted_types=("purchase",)):
    codes = [TYPE_CODES[name] for name in counted_types]
    counted = np.isin(log.types, codes) & (log.at >= start_day * DAY_S)
    return draw_moments(
        log, counted, start_day * DAY_S, n_users, n_further, np.random.default_rng(seed)
    )


class TestHistories:
    def test_end_before_the_moment(self):
        assert rows_at(LOG, moments_at(LOG, EVERYBODY, 2 * DAY_S)) == [[0], []]
        assert rows_at(LOG, moments_at(LOG, EVERYBODY, 2.5 * DAY_S)) == [[0, 1], [2, 3]]

    def test_hold_returns_as_stores_do(self):
        [of_ann] = [
            histories_at(LOG, moments_at(LOG, EVERYBODY[:1], 9 * DAY_S), BOUGHT.ending_types)
        ]

        assert TYPE_CODES["return"] in of_ann.events["type"]

    def test_keep_the_latest_and_what_ended_an_item(self):
        assert rows_at(LOG, moments_at(LOG, EVERYBODY[1:], 9 * DAY_S), limit=1) == [[2, 3, 2]]


class TestDrawn:
    def test_events_of_one_moment_do_not_know_each_other(self):
        first, further = draw(LOG, 0)

        assert (first.at / DAY_S).tolist() == [1, 2]
        assert rows_at(LOG, first) == [[], []]
        assert len(further) == 0

    def test_every_moment_of_a_new_user_may_be_the_first(self):
        log = log_of(*[("ann", day, "purchase", day) for day in range(1, 6)])

        days = {float(draw(log, 0, seed=seed).first.at[0] / DAY_S) for seed in range(50)}

        assert days == {1, 2, 3, 4, 5}

    def test_no_moment_is_drawn_twice(self):
        log = log_of(*[("ann", day, "purchase", day) for day in range(1, 6)])

        first, further = draw(log, 0, n_further=3)

        assert len({*first.at, *further.at}) == 4

    def test_many_known_users_need_no_further_moments(self, monkeypatch):
        lines = [(f"u{i}", day, "purchase", day) for i in range(6) for day in (1, 5, 6, 7)]
        new = [("v", day, "purchase", day) for day in (5, 6, 7)]
        monkeypatch.setattr(moments, "ENOUGH_KNOWN", 8)

        first, further = draw(log_of(*lines, *new), 3, n_further=2)

        of_known = further.users < 6
        assert len(first) == 7
        assert of_known.sum() == 2, "they fill up the six first moments of known users"
        assert (~of_known).sum() == 2, "a new user has all that were asked for"

    def test_known_users_are_asked_for_within_their_sessions_however_many_they_are(
        self, monkeypatch
    ):
        visit = [(item, "purchase", 5 + 10 * item * MINUTES) for item in range(1, 4)]
        log = log_of(("ann", 0, "purchase", 1), *[("ann", *event) for event in visit])
        monkeypatch.setattr(moments, "ENOUGH_KNOWN", 0)

        first, further = draw(log, 3)

        assert first.at.tolist() == [3 * DAY_S]
        assert rows_at(log, further) == [[0, 1], [0, 1, 2]]

    def test_within_a_session_lists_are_asked_for_before_the_user_goes_on(self):
        """How long a user will look at a page is not known when its list is made."""
        begin, pause = 5.0, 20 * MINUTES
        log = log_of(("ann", 0, "purchase", begin), ("ann", 1, "purchase", begin + pause))

        drawn = [draw(log, 3, seed=seed) for seed in range(40)]

        # The moment before the second purchase may be the first one or the further one.
        both = [np.sort(np.concatenate([first.at, further.at])) / DAY_S for first, further in drawn]
        shares = np.array([(second - begin) / pause for _, second in both])
        assert all(first == begin for first, _ in both)
        assert (shares > 0).all()
        assert (shares < 1).all()
        assert shares.min() < 0.2 < 0.8 < shares.max()

    def test_sessions_that_are_single_invoices_are_not_asked_within(self, monkeypatch):
        known = [(f"u{i}", 0, "purchase", 1) for i in range(2)]
        log = log_of(
            *known,
            ("u0", 1, "purchase", 5),
            ("u0", 2, "purchase", 5 + 10 * MINUTES),
            ("u1", 1, "purchase", 5),
        )
        monkeypatch.setattr(moments, "ENOUGH_KNOWN", 0)

        first, further = draw(log, 3)

        assert len(first) == 2
        assert len(further) == 0, "one moment within a session stands for two users"

    def test_users_are_asked_for_before_they_come_to_an_item_and_not_on_their_way_with_it(self):
        way = [("view", 0), ("click", 1), ("cart", 2), ("purchase", 3)]
        log = log_of(
            *[("ann", 0, kind, 5 + after * MINUTES) for kind, after in way],
            *[("ann", 1, kind, 5 + (10 + after) * MINUTES) for kind, after in way],
        )

        first, further = draw(log, 3, counted_types=("click", "cart", "purchase"))

        drawn = sorted(len(rows) for rows in rows_at(log, first) + rows_at(log, further))
        assert drawn == [0, 4]

    def test_the_way_with_an_item_ends_with_a_pause_and_with_another_item(self):
        log = log_of(
            ("ann", 0, "view", 5),
            ("ann", 1, "view", 5 + 1 * MINUTES),
            ("ann", 0, "cart", 5 + 2 * MINUTES),
            ("ann", 0, "purchase", 5 + 40 * MINUTES),
        )

        first, further = draw(log, 3, counted_types=("cart", "purchase"))

        drawn = sorted(len(rows) for rows in rows_at(log, first) + rows_at(log, further))
        assert drawn == [2, 3]

    def test_a_way_that_began_before_the_window_is_asked_for_within_it(self):
        log = log_of(("ann", 0, "view", 3 - 1 * MINUTES), ("ann", 0, "purchase", 3 + 1 * MINUTES))

        first, further = draw(log, 3)

        assert (first.at >= 3 * DAY_S).all()
        assert (further.at >= 3 * DAY_S).all()

    def test_all_users_together_have_a_bounded_number_of_further_moments(self):
        lines = [(f"u{i}", day, "purchase", day) for i in range(4) for day in range(1, 10)]

        first, further = draw(log_of(*lines), 0, n_users=4, n_further=8)

        assert len(first) == 4
        assert len(further) == 1.5 * 4
        assert (np.diff(further.users) >= 0).all()
        assert len({*zip(further.users, further.at, strict=True)}) == len(further)

    def test_moments_are_in_order_of_the_users(self):
        log = log_of(
            ("a", 0, "purchase", 5),
            ("b", 0, "purchase", 1),
            ("b", 1, "purchase", 5),
            ("c", 0, "purchase", 6),
        )

        assert draw(log, 3).first.users.tolist() == [0, 1, 2]
