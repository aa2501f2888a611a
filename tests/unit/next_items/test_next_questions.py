import numpy as np

from serve_app.arrays.columns import MISSING
from serve_app.fitting.data.labels import LabelConfig
from serve_app.next_items.next_protocol import NextProtocolConfig, split_sessions
from serve_app.next_items.next_questions import DEPTH, known_histories, not_new, prefixes
from tests.support.hand_made_logs import log_of

MINUTE_DAYS = 1 / (24 * 60)
EVERYTHING = slice(0, 100)


def split_of(*later):
    """Ann has a session before the split, and one of these (row, type) after it."""
    log = log_of(
        *(("ann", row, "click", 1 + row * MINUTE_DAYS) for row in range(3)),
        *(("bob", row, "click", 1 + row * MINUTE_DAYS) for row in range(3)),
        *(("ann", row, kind, 9 + i * MINUTE_DAYS) for i, (row, kind) in enumerate(later)),
    )
    label = LabelConfig(type="click", repeats=True)
    return split_sessions(log, NextProtocolConfig(min_buyers=1, test_share=0.3, label=label))


def seen(split, unit):
    found = prefixes(split.log, split.questions, EVERYTHING).of(unit)
    return [split.item_rows[row[row != MISSING]].tolist() for row in found]


class TestPrefixes:
    def test_hold_the_latest_items_first(self):
        split = split_of((2, "click"), (0, "click"), (1, "click"))

        assert seen(split, "session") == [[], [2], [0, 2]]
        assert seen(split, "user") == [[2, 1, 0], [2, 2, 1, 0], [0, 2, 2, 1, 0]]

    def test_leave_out_returns(self):
        split = split_of((2, "return"), (0, "click"))

        assert seen(split, "session") == [[]]
        assert seen(split, "user") == [[2, 1, 0]]
        assert split.questions.n_known.tolist() == [4]

    def test_have_no_gap_where_a_return_was(self):
        split = split_of((1, "click"), (2, "return"), (0, "click"))
        found = prefixes(split.log, split.questions, EVERYTHING)

        assert split.item_rows[found.of_session[-1, 0]] == 1
        assert split.item_rows[found.of_user[-1, :4]].tolist() == [1, 2, 1, 0]
        assert (found.of_user[-1, 4:] == MISSING).all()

    def test_end_after_the_latest_events(self):
        split = split_of(*[(i % 3, "click") for i in range(DEPTH + 9)])

        assert [len(items) for items in seen(split, "session")][-2:] == [DEPTH, DEPTH]


def test_histories_hold_all_known_events_of_the_user():
    split = split_of((2, "view"), (0, "click"), (1, "click"))
    histories = known_histories(split.log, split.questions, slice(1, 2))

    assert histories.events["row"].tolist() == [0, 1, 2, 2, 0]
    assert histories.events["type"].tolist() == [1, 1, 1, 0, 1]
    assert (histories.events["at"] < split.questions.at[1]).all()


def test_every_item_is_new_where_repeats_count():
    split = split_of((2, "click"), (0, "click"))
    found = not_new(split.log, split.questions, EVERYTHING)

    assert len(found.items) == 0
    assert found.offsets.tolist() == [0, 0, 0]


def test_items_of_the_counted_type_are_not_new():
    log = log_of(
        *(("ann", row, "click", 1 + row) for row in range(4)),
        ("bob", 1, "click", 9),
        ("bob", 2, "view", 9 + MINUTE_DAYS),
        ("bob", 1, "click", 9 + 2 * MINUTE_DAYS),
        ("bob", 2, "click", 9 + 3 * MINUTE_DAYS),
        ("bob", 3, "click", 9 + 4 * MINUTE_DAYS),
    )
    config = NextProtocolConfig(min_buyers=1, test_share=0.2, label=LabelConfig(type="click"))
    split = split_sessions(log, config)
    found = not_new(split.log, split.questions, EVERYTHING)
    rows = split.item_rows[found.items]

    assert split.item_rows[split.wanted.items].tolist() == [1, 2, 3]
    assert [sorted(part) for part in np.split(rows, found.offsets[1:-1])] == [[], [1], [1, 2]]
