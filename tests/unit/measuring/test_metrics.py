from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import offsets_of
from serve_app.measuring.metrics import (
    coverage,
    diversity,
    gini,
    hit_rate,
    ndcg_at,
    novelty,
    ranked_hits,
    recall_at,
    reciprocal_rank,
)

HITS = np.array([[False, True, False, True], [False] * 4])
N_WANTED = np.array([3, 1])


def hits_at(*ranks, width=20):
    hits = np.zeros((1, width), bool)
    hits[0, [rank - 1 for rank in ranks]] = True
    return hits


def one(value):
    return pytest.approx([value])


class TestNdcgAt:
    def test_is_one_for_the_ideal_list(self):
        assert ndcg_at(hits_at(1, 2, 3), np.array([3]), 10) == one(1.0)

    def test_is_one_when_more_is_wanted_than_fits(self):
        assert ndcg_at(hits_at(1, 2), np.array([50]), 2) == one(1.0)

    def test_discounts_by_the_logarithm_of_the_rank(self):
        assert ndcg_at(hits_at(3), np.array([1]), 10) == one(1 / np.log2(4))

    def test_counts_wanted_items_outside_the_list(self):
        ideal = 1 + 1 / np.log2(3)
        assert ndcg_at(hits_at(1), np.array([2]), 10) == one(1 / ideal)

    def test_ignores_positions_after_k(self):
        assert ndcg_at(hits_at(11), np.array([1]), 10) == one(0.0)

    @given(ranks=st.sets(st.integers(1, 20)), n_more=st.integers(1, 5), k=st.integers(1, 20))
    @settings(max_examples=100, deadline=None)
    def test_equals_a_sum_in_plain_python(self, ranks, n_more, k):
        n_wanted = len(ranks) + n_more
        gain = sum(1 / np.log2(rank + 1) for rank in ranks if rank <= k)
        ideal = sum(1 / np.log2(rank + 1) for rank in range(1, min(n_wanted, k) + 1))

        assert ndcg_at(hits_at(*ranks), np.array([n_wanted]), k) == one(gain / ideal)


class TestRecallAt:
    def test_is_the_share_of_the_wanted_items_in_the_first_places(self):
        hits = np.concatenate([hits_at(1, 10, 11), hits_at()])

        assert recall_at(hits, np.array([4, 3]), 10) == pytest.approx([0.5, 0.0])


class TestByHand:
    def test_recall_divides_by_the_hits_that_fit(self):
        assert recall_at(HITS, N_WANTED, 2).tolist() == [0.5, 0.0]
        assert recall_at(HITS, N_WANTED, 4).tolist() == pytest.approx([2 / 3, 0.0])

    def test_ndcg_discounts_and_normalises(self):
        gain, ideal = 1 / log2(3) + 1 / log2(5), 1 + 1 / log2(3) + 1 / log2(4)

        assert ndcg_at(HITS, N_WANTED, 4).tolist() == pytest.approx([gain / ideal, 0.0])

    def test_ndcg_of_a_list_shorter_than_k_misses_the_rest(self):
        assert ndcg_at(HITS, N_WANTED, 10) == pytest.approx(ndcg_at(HITS, N_WANTED, 4))

    def test_reciprocal_rank_is_that_of_the_first_hit(self):
        assert reciprocal_rank(HITS, N_WANTED, 4).tolist() == [0.5, 0.0]
        assert reciprocal_rank(HITS, N_WANTED, 1).tolist() == [0.0, 0.0]

    def test_hit_rate_is_one_for_any_hit(self):
        assert hit_rate(HITS, N_WANTED, 4).tolist() == [1.0, 0.0]

    def test_novelty_is_the_surprise_of_an_item_in_bits(self):
        n_buyers = np.array([4, 1])

        assert novelty(np.array([[0, MISSING], [0, 1]]), n_buyers, 4).tolist() == [0.0, 1.0]

    def test_diversity_is_zero_for_items_with_the_same_buyers_and_one_for_others(self):
        weights = csr_array(np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32))
        lists = np.array([[0, 1], [0, 2], [2, MISSING]])

        assert diversity(lists, weights) == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)

    def test_coverage_is_the_share_of_items_in_any_list(self):
        assert coverage(np.array([0, 3, 1, 0])) == 0.5

    def test_gini_is_zero_for_equal_counts_and_large_for_one_item(self):
        assert gini(np.array([5, 5, 5, 5])) == 0.0
        assert gini(np.array([0, 0, 0, 9])) == 0.75
        assert gini(np.array([[1, 3], [2, 2]])).tolist() == [0.25, 0.0]


def test_gini_equals_the_mean_difference_of_all_pairs():
    counts = np.random.default_rng(5).poisson(2.0, 50).astype(float)
    differences = np.abs(counts[:, None] - counts).mean()

    assert gini(counts) == pytest.approx(differences / (2 * counts.mean()))


class TestRankedHits:
    def test_orders_each_list_by_score(self):
        scores = np.array([0.1, 0.9, 0.5, 0.2, 0.3])
        hits = np.array([True, False, False, True, False])

        ranked = ranked_hits(scores, hits, offsets_of([3, 2]), 3)

        np.testing.assert_array_equal(ranked, [[False, False, True], [False, True, False]])

    def test_keeps_the_order_of_ties(self):
        hits = np.array([False, True, False])

        ranked = ranked_hits(np.ones(3), hits, offsets_of([3]), 3)

        np.testing.assert_array_equal(ranked, [[False, True, False]])

    def test_leaves_out_items_without_a_score(self):
        scores = np.array([np.nan, -5.0])

        ranked = ranked_hits(scores, np.array([True, True]), offsets_of([2]), 2)

        np.testing.assert_array_equal(ranked, [[True, False]])

    def test_gives_an_empty_list_no_hits(self):
        ranked = ranked_hits(np.array([1.0]), np.array([True]), offsets_of([0, 1]), 2)

        np.testing.assert_array_equal(ranked, [[False, False], [True, False]])
