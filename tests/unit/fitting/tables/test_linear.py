import numpy as np
import pytest
from scipy.sparse import csr_array

from serve_app.arrays.ragged import owners
from serve_app.domain.interactions import TYPE_WEIGHTS
from serve_app.fitting.data.pairs import find_pairs
from serve_app.fitting.tables.linear import fit_linear_weights
from serve_app.fitting.tables.tables_config import TablesConfig
from tests.support.hand_made_logs import log_of


class TestLinear:
    DEEDS = tuple((f"u{i}", row, "purchase", 1) for i in range(9) for row in {i % 2, 2, i % 3})
    LOG = log_of(*DEEDS)

    def weights(self, words=None, **config):
        content = csr_array((4, 1)) if words is None else csr_array(np.array(words, float))
        table = fit_linear_weights(
            find_pairs(self.LOG, TYPE_WEIGHTS), 4, 9, content, TablesConfig(**config)
        )
        dense = np.zeros((4, 4))
        dense[owners(table.linear_offsets), table.linear_rows] = table.linear_weights
        return dense

    def test_is_the_best_linear_map_of_baskets_to_themselves_without_a_diagonal(self):
        pairs = find_pairs(self.LOG, TYPE_WEIGHTS)
        baskets = np.zeros((9, 4))
        baskets[pairs.users, pairs.rows] = 1
        expected = np.zeros((4, 4))
        for row in range(3):
            others = [other for other in range(3) if other != row]
            known = baskets[:, others]
            expected[others, row] = np.linalg.solve(
                known.T @ known + 5.0 * np.eye(2), known.T @ baskets[:, row]
            )

        np.testing.assert_allclose(self.weights(regularization=5.0), expected, atol=1e-6)

    def test_keeps_the_strongest_weights_and_the_most_bought_items(self):
        assert (self.weights(max_linear_weights=1) != 0).sum(axis=1).tolist() == [1, 1, 1, 0]
        assert (self.weights(max_linear_items=2) != 0).sum() == 2

    def test_is_empty_where_no_two_items_have_two_users(self):
        log = log_of(("ann", 0, "purchase", 1), ("bob", 1, "purchase", 1))

        content = csr_array((2, 1))
        table = fit_linear_weights(find_pairs(log, TYPE_WEIGHTS), 2, 2, content, TablesConfig())

        assert table.linear_offsets.tolist() == [0, 0, 0]

    def test_a_word_counts_as_users_who_took_all_its_items(self):
        words = [[1, 0], [0, 1], [0, 1], [0, 0]]
        users = [(f"w{i}", row, "purchase", 1) for i in range(3) for row in (1, 2)]
        users += [(f"v{i}", 0, "purchase", 1) for i in range(3)]
        log = log_of(*self.DEEDS, *users)
        pairs = find_pairs(log, TYPE_WEIGHTS)
        more_users = fit_linear_weights(
            pairs, 4, len(log.user_ids), csr_array((4, 1)), TablesConfig(regularization=2)
        )

        by_words = self.weights(words, regularization=2, content_weight=3)

        assert by_words[by_words != 0] == pytest.approx(more_users.linear_weights, abs=1e-6)

    def test_words_that_count_nothing_change_nothing(self):
        words = [[1], [0], [1], [0]]

        without = self.weights(None, regularization=2, content_weight=3)

        assert self.weights(words, regularization=2, content_weight=0) == pytest.approx(without)
        assert self.weights(words, regularization=2, content_weight=3)[0, 2] > without[0, 2]
