import numpy as np
import pytest

from serve_app.domain.interactions import TYPE_WEIGHTS
from serve_app.fitting.data.pairs import find_pairs
from serve_app.fitting.tables.neighbours import find_neighbours
from serve_app.fitting.tables.tables_config import TablesConfig
from tests.support.hand_made_logs import log_of


def the_list(values, offsets, i):
    return values[offsets[i] : offsets[i + 1]].tolist()


def neighbours_of(log, row, n_rows, **config):
    table = find_neighbours(
        find_pairs(log, TYPE_WEIGHTS), n_rows, len(log.user_ids), TablesConfig(**config)
    )
    return dict(
        zip(
            the_list(table.neighbour_rows, table.neighbour_offsets, row),
            the_list(table.neighbour_scores, table.neighbour_offsets, row),
            strict=True,
        )
    )


class TestNeighbours:
    def test_score_is_the_cosine_when_nothing_is_shrunk(self):
        log = log_of(
            ("ann", 0, "purchase", 1),
            ("ann", 1, "purchase", 1),
            ("bob", 0, "purchase", 1),
            ("bob", 1, "purchase", 1),
            ("cid", 1, "purchase", 1),
        )

        # Baskets of two count 1 / sqrt(2): the columns are (.7, .7, 0) and (.7, .7, 1).
        cosine = 1.0 / (1.0 * np.sqrt(2.0))
        assert neighbours_of(log, 0, 2, shrinkage=0.0) == {1: pytest.approx(cosine)}

    def test_shrinks_what_met_by_chance(self):
        often = [(f"u{i}", row, "purchase", 1) for i in range(5) for row in (0, 1)]
        log = log_of(*often, ("ann", 2, "purchase", 1), ("ann", 3, "purchase", 1))

        assert neighbours_of(log, 0, 4)[1] > neighbours_of(log, 2, 4)[3] > 0

    def test_an_item_is_no_neighbour_of_itself(self):
        log = log_of(("ann", 0, "purchase", 1), ("ann", 1, "purchase", 1))

        assert set(neighbours_of(log, 0, 2)) == {1}

    def test_a_purchase_joins_more_than_a_view(self):
        log = log_of(
            ("ann", 0, "purchase", 1),
            ("ann", 1, "purchase", 1),
            ("ann", 2, "view", 1),
        )

        table = neighbours_of(log, 0, 3)

        assert list(table) == [1, 2]

    def test_keeps_the_best_only_and_breaks_ties_by_row(self):
        log = log_of(*[("ann", row, "purchase", 1) for row in range(5)])

        assert list(neighbours_of(log, 0, 5, max_neighbours=2)) == [1, 2]

    def test_uses_the_latest_items_of_a_user_who_bought_everything(self):
        log = log_of(*[("ann", row, "purchase", row) for row in range(5)])

        assert neighbours_of(log, 0, 5, max_items_per_user=2) == {}
        assert list(neighbours_of(log, 4, 5, max_items_per_user=2)) == [3]

    def test_are_the_same_in_blocks_as_in_one_product(self, monkeypatch):
        rng = np.random.default_rng(0)
        log = log_of(
            *[(f"u{rng.integers(9)}", int(rng.integers(30)), "purchase", i) for i in range(200)]
        )
        whole = find_neighbours(find_pairs(log, TYPE_WEIGHTS), 30, 9, TablesConfig())

        monkeypatch.setattr("serve_app.fitting.tables.neighbours._BLOCK_ROWS", 7)
        parts = find_neighbours(find_pairs(log, TYPE_WEIGHTS), 30, 9, TablesConfig())

        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(one, other)
