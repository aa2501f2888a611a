import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serve_app.arrays.ragged import offsets_of
from serve_app.domain import interactions
from serve_app.domain.interactions import (
    EVENT,
    GRADE_GAINS,
    INTERACTION_TYPES,
    PURCHASE,
    REASON_PRIORITIES,
    RETURN,
    TYPE_GRADES,
    TYPE_WEIGHTS,
    TYPES,
    Histories,
    are_standing,
    kept_types,
    latest,
    make_events,
)


def by(values):
    """Names of the types in ascending order of a column."""
    return [INTERACTION_TYPES[code] for code in np.argsort(values)]


def test_codes_of_interaction_types_are_stored_and_never_change():
    assert [(kind.code, kind.name) for kind in TYPES] == [
        (0, "view"),
        (1, "click"),
        (2, "cart"),
        (3, "purchase"),
        (4, "rating"),
        (5, "return"),
    ]


def test_each_meaning_orders_the_interaction_types_in_its_own_way():
    assert by(TYPE_WEIGHTS) == ["return", "view", "click", "rating", "cart", "purchase"]
    assert by(TYPE_GRADES) == ["return", "view", "rating", "click", "cart", "purchase"]
    assert by(REASON_PRIORITIES)[-4:] == ["click", "cart", "rating", "purchase"]


def test_only_a_purchase_ends_that_a_user_looks_for_an_item():
    assert [kind.name for kind in TYPES if kind.ends] == ["purchase"]


def test_no_interaction_has_no_gain_and_a_purchase_has_the_largest():
    assert GRADE_GAINS.tolist() == [0, 0, 0, 1, 2, 4]
    assert GRADE_GAINS.dtype == np.float32


HISTORIES = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, PURCHASE])), max_size=12), max_size=4
)


def events_of(*rows_and_types):
    rows, types = zip(*rows_and_types, strict=True)
    return make_events(rows, types, np.arange(len(rows)))


class TestLatest:
    def test_keeps_the_last_events_and_the_last_purchase_of_every_item(self):
        events = events_of((1, 3), (1, 3), (2, 0), (3, 3), (1, 0), (4, 0))

        assert np.flatnonzero(latest(events, np.array([0, 6]), 2, (PURCHASE,))).tolist() == [
            1,
            3,
            4,
            5,
        ]

    def test_keeps_the_last_event_of_each_given_type(self):
        events = events_of((1, 0), (1, 3), (1, 0), (2, 2), (2, 2), (5, 0))

        assert np.flatnonzero(latest(events, np.array([0, 6]), 1, (2, 3))).tolist() == [1, 4, 5]
        assert np.flatnonzero(latest(events, np.array([0, 6]), 1, ())).tolist() == [5]

    def test_bounds_the_events_of_a_type(self, monkeypatch):
        monkeypatch.setattr(interactions, "MAX_ENDING_EVENTS", 2)
        events = events_of((1, 3), (2, 3), (3, 3), (4, 0), (1, 3), (9, 0))
        offsets = np.array([0, 4, 6])

        assert np.flatnonzero(latest(events, offsets, 1, (3,))).tolist() == [1, 2, 3, 4, 5]

    @given(HISTORIES, st.integers(1, 6), st.sampled_from([(), (0,), (PURCHASE,), (0, PURCHASE)]))
    def test_treats_every_user_alone(self, histories, limit, types):
        events = [events_of(*pairs) if pairs else np.empty(0, EVENT) for pairs in histories]
        together = np.concatenate([*events, np.empty(0, EVENT)])

        kept = latest(together, offsets_of([len(one) for one in events]), limit, types)

        alone = [latest(one, np.array([0, len(one)]), limit, types) for one in events]
        assert kept.tolist() == [bool(flag) for mask in alone for flag in mask]


def test_purchases_are_kept_whatever_ends_an_item():
    assert kept_types(np.zeros(6, bool)) == (PURCHASE, RETURN)
    assert kept_types(np.array([False, True, False, True, False])) == (1, PURCHASE, RETURN)


class TestReturns:
    EVENTS = make_events(
        [1, 1, 2, 1, 1], [PURCHASE, RETURN, PURCHASE, PURCHASE, 0], [1.0, 2.0, 1.0, 3.0, 1.0]
    )

    def test_take_back_the_purchases_of_their_item_that_came_before(self):
        events = self.EVENTS

        standing = are_standing(events["row"].astype(np.int64), events["type"], events["at"])

        assert standing.tolist() == [False, False, True, True, True]

    def test_take_back_a_purchase_of_the_same_moment(self):
        both = np.array([PURCHASE, RETURN], np.uint8)

        assert not are_standing(np.zeros(2, np.int64), both, np.ones(2)).any()

    def test_of_one_user_leave_the_purchases_of_another(self):
        bought, returned = self.EVENTS[:1], self.EVENTS[1:2]

        histories = Histories.of([bought, returned, np.concatenate([bought, returned])])

        assert histories.standing(5).offsets.tolist() == [0, 1, 1, 1]

    def test_a_history_without_returns_is_not_copied(self):
        histories = Histories.of([self.EVENTS[2:]])

        assert histories.standing(5) is histories
