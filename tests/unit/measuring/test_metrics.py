import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.arrays.ragged import offsets_of
from serve_app.domain.scoring.model_features import FEATURES, SOURCES
from serve_app.fitting.data.labels import CLICKED, WANTED
from serve_app.fitting.judging.window_results import source_ndcgs
from serve_app.fitting.moments.examples import Examples
from serve_app.measuring.metrics import ndcg_at, ranked_hits, recall_at


def hits_at(*places, width=20):
    hits = np.zeros((1, width), bool)
    hits[0, [place - 1 for place in places]] = True
    return hits


def one(value):
    return pytest.approx([value])


class TestNdcgAt:
    def test_is_one_for_the_ideal_list(self):
        assert ndcg_at(hits_at(1, 2, 3), np.array([3]), 10) == one(1.0)

    def test_is_one_when_more_is_wanted_than_there_are_places(self):
        assert ndcg_at(hits_at(1, 2), np.array([50]), 2) == one(1.0)

    def test_discounts_by_the_logarithm_of_the_place(self):
        assert ndcg_at(hits_at(3), np.array([1]), 10) == one(1 / np.log2(4))

    def test_counts_what_was_wanted_but_is_not_in_the_list(self):
        ideal = 1 + 1 / np.log2(3)
        assert ndcg_at(hits_at(1), np.array([2]), 10) == one(1 / ideal)

    def test_ignores_places_past_k(self):
        assert ndcg_at(hits_at(11), np.array([1]), 10) == one(0.0)

    @given(places=st.sets(st.integers(1, 20)), n_more=st.integers(1, 5), k=st.integers(1, 20))
    @settings(max_examples=100, deadline=None)
    def test_equals_the_sum_written_out(self, places, n_more, k):
        n_wanted = len(places) + n_more
        gain = sum(1 / np.log2(place + 1) for place in places if place <= k)
        ideal = sum(1 / np.log2(place + 1) for place in range(1, min(n_wanted, k) + 1))

        assert ndcg_at(hits_at(*places), np.array([n_wanted]), k) == one(gain / ideal)


class TestRecallAt:
    def test_is_the_share_of_the_wanted_items_in_the_first_places(self):
        hits = np.concatenate([hits_at(1, 10, 11), hits_at()])

        assert recall_at(hits, np.array([4, 3]), 10) == pytest.approx([0.5, 0.0])


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


def examples_of(strengths, lengths, **columns):
    matrix = np.full((len(strengths), len(FEATURES)), np.nan, np.float32)
    for name, values in columns.items():
        matrix[:, FEATURES.index(f"candidate.{name}")] = values
    return Examples(matrix, np.array(strengths, np.uint8), offsets_of(lengths))


class TestSources:
    def test_each_is_measured_by_its_own_ranks_on_what_counts(self):
        examples = examples_of(
            [0, WANTED, CLICKED, WANTED],
            [3, 1],
            popular_rank=[1, 2, 3, np.nan],
            similar_users_rank=[np.nan, np.nan, np.nan, 1],
        )

        ndcgs = source_ndcgs(examples, np.array([1, 2]))

        of_two = 1 + 1 / np.log2(3)
        assert ndcgs[:, SOURCES.index("popular")] == pytest.approx([1 / np.log2(3), 0])
        assert ndcgs[:, SOURCES.index("similar_users")] == pytest.approx([0, 1 / of_two])
