import numpy as np
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.fitting.tables.pair_tables import find_pair_steps
from serve_app.fitting.tables.session_tables import collect_sessions
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.fitting.tables.transition_tables import find_transitions
from tests.support.hand_made_logs import log_of

MINUTE = 1 / (24 * 60)
CONFIG = TablesConfig(transitions_half_life_days=1.0, transitions_shrinkage=1e-9)


def visit(user, day, *rows):
    return [(user, row, "view", day + i * MINUTE) for i, row in enumerate(rows)]


def lists(offsets, rows):
    return [each.tolist() for each in np.split(rows, offsets[1:-1])]


class TestTransitions:
    def test_a_longer_step_counts_less(self):
        log = log_of(*visit("ann", 1, 0, 1, 2))

        found = find_transitions(log, 3, 1.0 * DAY_S, CONFIG)

        assert lists(found.transition_offsets, found.transition_rows) == [[1, 2], [0, 2], [0, 1]]
        after, later, beside = found.transition_weights[:2].T
        assert after == pytest.approx([1, 0])
        assert later == pytest.approx([2 / 3, 1 / 3], rel=1e-2)
        assert beside == pytest.approx([2 / 3, 1 / 3], rel=1e-2)

    def test_what_came_before_is_beside_and_does_not_follow(self):
        found = find_transitions(log_of(*visit("ann", 1, 0, 1)), 2, DAY_S, CONFIG)

        assert found.transition_weights.tolist() == [[1, 1, 1], [0, 0, 1]]

    def test_an_older_step_counts_less(self):
        log = log_of(*visit("ann", 1, 0, 1), *visit("ben", 2, 0, 2))

        found = find_transitions(log, 3, 2 * DAY_S, CONFIG)

        assert found.transition_weights[:2, 0] == pytest.approx([1 / 3, 2 / 3], rel=1e-2)

    def test_users_and_sessions_part_events(self):
        log = log_of(*visit("ann", 1, 0), *visit("ann", 2, 1), *visit("ben", 2, 2))

        assert len(find_transitions(log, 3, 2 * DAY_S, CONFIG).transition_rows) == 0

    def test_the_rows_of_a_list_are_the_heaviest_and_ascend(self):
        log = log_of(*visit("ann", 1, 0, 3), *visit("ben", 1, 0, 3), *visit("cid", 1, 0, 1))
        config = CONFIG.model_copy(update={"max_transitions": 1})

        found = find_transitions(log, 4, 2 * DAY_S, config)

        assert lists(found.transition_offsets, found.transition_rows) == [[3], [0], [], [0]]

    def test_a_shop_without_events_has_none(self):
        found = find_transitions(log_of(), 2, DAY_S, CONFIG)

        assert found.transition_offsets.tolist() == [0, 0, 0]
        assert found.transition_weights.shape == (0, 3)


class TestStepVectors:
    def test_smooth_the_transitions(self):
        rng = np.random.default_rng(0)
        # Everybody of a group steps from its even rows to its odd ones.
        visits = [
            visit(f"u{i}", 1, 4 * group + 2 * int(rng.integers(2)), 4 * group + 1 + 2 * (i % 2))
            for i in range(60)
            for group in [i % 3]
        ]
        log = log_of(*[line for lines in visits for line in lines])
        config = CONFIG.model_copy(update={"step_dim": 3})

        found = find_transitions(log, 12, DAY_S, config)

        products = found.step_in @ found.step_out.T
        for row in range(0, 12, 2):
            group = row // 4
            assert set(np.argsort(-products[row])[:2]) == {4 * group + 1, 4 * group + 3}


class TestPairs:
    LOG = log_of(
        *visit("ann", 1, 0, 1, 2),
        *visit("ben", 1, 0, 1, 2),
        *visit("cid", 1, 0, 1, 3),
        *visit("dan", 1, 3, 1, 0),
    )

    def test_know_what_followed_them(self):
        config = CONFIG.model_copy(update={"transitions_shrinkage": 1.0})

        found = find_pair_steps(self.LOG, 4, DAY_S, config)

        assert found.pair_keys.tolist() == [0 * 4 + 1]
        assert lists(found.pair_offsets, found.pair_rows) == [[2, 3]]
        assert found.pair_weights == pytest.approx([2 / 4, 1 / 4], rel=1e-2)
        assert found.pair_rests == pytest.approx([1 / 4], rel=1e-2)

    def test_the_most_frequent_are_kept(self):
        log = log_of(
            *visit("a", 1, 0, 1, 2),
            *visit("b", 1, 0, 1, 2),
            *visit("c", 1, 0, 1, 2),
            *visit("d", 1, 2, 1, 0),
            *visit("e", 1, 2, 1, 0),
        )

        kept = find_pair_steps(log, 3, DAY_S, CONFIG.model_copy(update={"max_pairs": 1}))

        assert kept.pair_keys.tolist() == [1]

    def test_sessions_part_them(self):
        log = log_of(
            *visit("a", 1, 0, 1), *visit("a", 2, 2), *visit("b", 1, 0, 1), *visit("b", 2, 2)
        )

        assert len(find_pair_steps(log, 3, 2 * DAY_S, CONFIG).pair_keys) == 0

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_a_shop_with_few_events_has_none(self, n):
        log = log_of(*visit("ann", 1, *range(n)))

        found = find_pair_steps(log, 3, DAY_S, CONFIG)

        assert (len(found.pair_keys), found.pair_offsets.tolist()) == (0, [0])


class TestSessions:
    def test_are_in_order_of_time_and_items_name_the_latest_first(self):
        log = log_of(*visit("ann", 2, 0, 1), *visit("ben", 1, 1, 2))

        found = collect_sessions(log, 3, TablesConfig())

        assert lists(found.session_offsets, found.session_rows) == [[1, 2], [0, 1]]
        assert lists(found.visit_offsets, found.visits) == [[1], [1, 0], [0]]

    def test_a_single_item_makes_no_session(self):
        log = log_of(*visit("ann", 1, 0, 0), *visit("ben", 1, 1))

        assert len(collect_sessions(log, 2, TablesConfig()).session_rows) == 0

    def test_keeps_the_latest_of_everything(self):
        log = log_of(*visit("ann", 1, 0, 1), *visit("ben", 2, 0, 1), *visit("cid", 3, 2, 0, 1))
        config = TablesConfig(max_sessions=2, max_sessions_per_item=1, max_session_events=2)

        found = collect_sessions(log, 3, config)

        assert lists(found.session_offsets, found.session_rows) == [[0, 1], [0, 1]]
        assert lists(found.visit_offsets, found.visits) == [[1], [1], []]

    def test_a_shop_without_events_has_none(self):
        found = collect_sessions(log_of(), 2, TablesConfig())

        assert found.session_offsets.tolist() == [0]
        assert found.visit_offsets.tolist() == [0, 0, 0]
