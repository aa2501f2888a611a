import numpy as np
import pytest

from serve_app.domain.sessions import session_numbers
from serve_app.errors import NotEnoughData
from serve_app.fitting.data.labels import LabelConfig
from serve_app.next_items.next_protocol import (
    NextProtocolConfig,
    split_sessions,
)
from tests.support.hand_made_logs import log_of

MINUTE_DAYS = 1 / (24 * 60)
CONFIG = NextProtocolConfig(min_buyers=1, test_share=0.5)
ONLY_NEW = CONFIG.model_copy(update={"label": LabelConfig(repeats=False)})


def clicks(user, first_day, *rows, minutes=1.0, kind="click"):
    """A session of clicks on these rows."""
    days = [first_day + i * minutes * MINUTE_DAYS for i in range(len(rows))]
    return [(user, row, kind, day) for row, day in zip(rows, days, strict=True)]


def asked(split):
    """Of each question: user, known rows of the session, known rows of the user, wanted rows."""
    questions, log, found = split.questions, split.log, []
    for i, end in enumerate(questions.ends.tolist()):
        rows = log.events["row"]
        wanted = split.wanted.items[slice(*split.wanted.offsets[i : i + 2])]
        found.append(
            (
                split.known.user_ids[questions.users[i]],
                rows[questions.session_starts[i] : end].tolist(),
                rows[questions.user_starts[i] : end].tolist(),
                set(split.item_rows[wanted].tolist()),
            )
        )
    return found


def test_a_longer_pause_ends_a_session():
    log = log_of(
        *clicks("ann", 1, 0, 1, minutes=30),
        *clicks("ann", 2, 0),
        *clicks("bob", 2, 0, 1, minutes=31),
    )

    assert session_numbers(log.users, log.at, 30 * 60).tolist() == [0, 0, 1, 2, 3]


TWO_VISITS_EVENTS = [
    *clicks("ann", 1, 0, 1),
    *clicks("bob", 2, 1, 0),
    *clicks("ann", 3, 1, 0),
    *clicks("cas", 4, 0, 1),
]
TWO_VISITS = log_of(*TWO_VISITS_EVENTS)


class TestSplit:
    def test_asks_at_every_event_of_the_latest_sessions(self):
        split = split_sessions(TWO_VISITS, CONFIG)

        assert split.n_sessions == 2
        assert asked(split) == [
            ("ann", [], [0, 1], {1}),
            ("ann", [1], [0, 1, 1], {0}),
            ("cas", [], [], {0}),
            ("cas", [0], [0], {1}),
        ]
        assert split.questions.n_known.tolist() == [2, 3, 0, 1]
        assert split.questions.n_known_in_session.tolist() == [0, 1, 0, 1]

    def test_trains_on_events_before_the_first_test_session(self):
        split = split_sessions(TWO_VISITS, CONFIG)

        assert len(split.known) == 4
        assert split.known.at.max() < split.cut_at <= split.questions.at.min()

    def test_wants_items_of_one_moment_together(self):
        log = log_of(
            *clicks("ann", 1, 0, 1, 2),
            *clicks("bob", 2, 0, 1, 2),
            *clicks("cas", 3, 0),
            *clicks("cas", 3 + MINUTE_DAYS, 1, 2, minutes=0),
        )
        split = split_sessions(log, CONFIG.model_copy(update={"test_share": 0.3}))

        assert asked(split) == [("cas", [], [], {0}), ("cas", [0], [0], {1, 2})]

    def test_asks_once_per_session_for_all_of_its_items(self):
        at_start = CONFIG.model_copy(update={"at_session_start": True})

        assert asked(split_sessions(TWO_VISITS, at_start)) == [
            ("ann", [], [0, 1], {0, 1}),
            ("cas", [], [], {0, 1}),
        ]

    def test_wants_only_new_items_if_repeats_do_not_count(self):
        split = split_sessions(TWO_VISITS, ONLY_NEW)

        assert asked(split) == [("cas", [], [], {0}), ("cas", [0], [0], {1})]

    def test_predicts_the_counted_type_from_all_types(self):
        views = clicks("cas", 3, 0, 1, kind="view")
        bought = clicks("cas", 3 + 3 * MINUTE_DAYS, 1, kind="purchase")
        log = log_of(
            *clicks("ann", 1, 0, 1, kind="purchase"), *clicks("bob", 2, 1, 0), *views, *bought
        )
        split = split_sessions(log, CONFIG.model_copy(update={"test_share": 0.3}))

        assert asked(split) == [("cas", [0, 1], [0, 1], {1})]

    def test_does_not_want_what_was_taken_back(self):
        log = log_of(
            *clicks("ann", 1, 0, 1, kind="purchase"),
            *clicks("bob", 2, 0, 1, kind="purchase"),
            ("bob", 1, "return", 3),
        )
        split = split_sessions(log, CONFIG)

        assert asked(split) == [("bob", [], [], {0})]

    def test_wants_what_was_taken_back_after_the_test(self):
        events = [
            *clicks("ann", 1, 0, 1, kind="purchase"),
            *clicks("bob", 3, 0, 1, kind="purchase"),
            *clicks("cas", 6, 0, 1, kind="purchase"),
        ]
        moved = CONFIG.model_copy(update={"days_earlier": 1.0})
        asked_before = asked(split_sessions(log_of(*events), moved))
        # The file ends with the return now: the test ends a day before it.
        log = log_of(*events, ("bob", 1, "return", 6 + MINUTE_DAYS))

        assert ("bob", [0], [0], {1}) in asked_before
        assert asked(split_sessions(log, moved)) == asked_before

    def test_returns_alone_do_not_move_the_test(self):
        returns = [("ann", 0, "return", 9 + i) for i in range(9)]
        with_returns = split_sessions(log_of(*TWO_VISITS_EVENTS, *returns), CONFIG)

        assert with_returns.cut_at == split_sessions(TWO_VISITS, CONFIG).cut_at

    def test_leaves_out_sessions_of_one_event(self):
        log = log_of(*TWO_VISITS_EVENTS, *clicks("dan", 5, 0))

        assert {user for user, *_ in asked(split_sessions(log, CONFIG))} == {"ann", "cas"}

    def test_leaves_out_items_with_few_buyers(self):
        log = log_of(*TWO_VISITS_EVENTS, *clicks("cas", 4 + 2 * MINUTE_DAYS, 7))
        split = split_sessions(log, CONFIG.model_copy(update={"min_buyers": 2}))

        assert sorted(split.item_rows.tolist()) == [0, 1]
        assert len(split.questions) == 4

    def test_moves_the_test_back(self):
        later = log_of(*TWO_VISITS_EVENTS, *clicks("dan", 14, 0, 1))
        moved = split_sessions(later, CONFIG.model_copy(update={"days_earlier": 1.5}))

        assert moved.end_at < 13 * 86_400
        assert {user for user, *_ in asked(moved)} == {"bob", "ann", "cas"}

    def test_samples_sessions(self):
        split = split_sessions(TWO_VISITS, CONFIG.model_copy(update={"max_sessions": 1}))

        assert (split.n_sessions, split.n_eligible) == (1, 2)

    @pytest.mark.parametrize(
        ("log", "config", "reason"),
        [
            (log_of(), CONFIG, "there are no interactions"),
            (log_of(("ann", 0, "return", 1)), CONFIG, "there are no interactions"),
            (
                TWO_VISITS,
                CONFIG.model_copy(update={"min_buyers": 9}),
                "no item has interactions with at least 9 users .* lower --min-buyers",
            ),
            (
                TWO_VISITS,
                CONFIG.model_copy(update={"days_earlier": 99.0}),
                "no interaction lies before .* Lower --test-share or --days-earlier",
            ),
            (
                log_of(*clicks("ann", 1, 0), *clicks("bob", 2, 0)),
                CONFIG,
                "no session of two or more events with ranked items begins from .* on: raise",
            ),
            (
                log_of(*clicks("ann", 1, 0, 1, kind="purchase"), *clicks("bob", 3, 0, 1)),
                CONFIG,
                "no session of two events or more that begins .* has a purchase to predict: set",
            ),
            (
                log_of(*clicks("ann", 1, 0, 1), *clicks("bob", 3, 0, 1, kind="purchase")),
                CONFIG,
                "no purchase lies before .*: set `label.type`",
            ),
        ],
    )
    def test_says_what_is_missing(self, log, config, reason):
        with pytest.raises(NotEnoughData, match=reason):
            split_sessions(log, config)

    def test_what_comes_later_changes_no_question(self):
        rng = np.random.default_rng(3)
        events = [each for i in range(12) for each in clicks(f"u{i:02}", i, *rng.integers(0, 5, 4))]
        split = split_sessions(log_of(*events), CONFIG)
        first = asked(split)
        half = split.questions.at[len(first) // 2] / 86_400
        changed = [
            (user, int(rng.integers(0, 5)) if day > half else row, kind, day)
            for user, row, kind, day in events
        ]
        second = asked(split_sessions(log_of(*changed), CONFIG))

        n = int((split.questions.at / 86_400 <= half).sum())
        assert n > 3
        assert first[:n] == second[:n]
        assert first != second
