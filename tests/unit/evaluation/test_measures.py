from itertools import combinations
from math import log2

import numpy as np
import pytest
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import offsets_of, owners
from serve_app.evaluation.lists import best_items
from serve_app.evaluation.measures import diversity, measured, novelty
from serve_app.evaluation.protocol import ProtocolConfig, split_at_share
from serve_app.evaluation.training_matrix import TrainingMatrix
from serve_app.measuring.lists import Wanted, hits_of
from serve_app.measuring.metrics import (
    coverage,
    gini,
    hit_rate,
    ndcg_at,
    recall_at,
    reciprocal_rank,
)
from tests.support.hand_made_logs import demo_shop

HITS = np.array([[False, True, False, True], [False] * 4])
N_WANTED = np.array([3, 1])


def past_of(dense):
    matrix = csr_array(np.array(dense, np.float32))
    return TrainingMatrix(matrix, matrix.copy())


def wanted_of(*per_user):
    items = np.array([item for items in per_user for item in sorted(items)], np.int32)
    return Wanted(offsets_of([len(items) for items in per_user]), items)


class TestByHand:
    def test_hits_are_wanted_items_of_the_same_user(self):
        lists = np.array([[4, 2, MISSING], [2, 4, 0]], np.int32)

        hits = hits_of(lists, wanted_of({2}, {0, 4}), 5)

        np.testing.assert_array_equal(hits, [[False, True, False], [False, True, True]])

    def test_an_empty_place_is_no_hit(self):
        # A key of an empty place must not meet the last item of the user before.
        hits = hits_of(np.array([[0], [MISSING]], np.int32), wanted_of({4}, {1}), 5)

        assert not hits.any()

    def test_recall_divides_by_what_could_be_found(self):
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

    def test_hit_rate_asks_for_any_hit(self):
        assert hit_rate(HITS, N_WANTED, 4).tolist() == [1.0, 0.0]

    def test_novelty_is_the_surprise_of_an_item_in_bits(self):
        past = past_of([[1, 1], [1, 0], [1, 0], [1, 0]])

        assert novelty(np.array([[0, MISSING], [0, 1]]), past).tolist() == [0.0, 1.0]

    def test_diversity_is_zero_for_items_with_the_same_buyers_and_one_for_others(self):
        past = past_of([[1, 1, 0], [1, 1, 0], [0, 0, 1]])
        lists = np.array([[0, 1], [0, 2], [2, MISSING]])

        assert diversity(lists, past) == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)

    def test_coverage_is_the_share_of_items_in_any_list(self):
        assert coverage(np.array([0, 3, 1, 0])) == 0.5

    def test_gini_tells_equality_from_its_opposite(self):
        assert gini(np.array([5, 5, 5, 5])) == 0.0
        assert gini(np.array([0, 0, 0, 9])) == 0.75
        assert gini(np.array([[1, 3], [2, 2]])).tolist() == [0.25, 0.0]


def second_implementation(ranked, wanted, past, k):
    """The measures of one user's list, written out."""
    top = [item for item in ranked[:k] if item != MISSING]
    places = [place for place, item in enumerate(top, 1) if item in wanted]
    ideal = sum(1 / log2(place + 1) for place in range(1, min(k, len(wanted)) + 1))
    dense = past.matrix.toarray()
    owners = (dense > 0).sum(axis=0)
    columns = dense / np.linalg.norm(dense, axis=0)
    pairs = [1 - columns[:, a] @ columns[:, b] for a, b in combinations(top, 2)]
    return {
        "ndcg": sum(1 / log2(place + 1) for place in places) / ideal,
        "recall": len(places) / min(k, len(wanted)),
        "mrr": 1 / places[0] if places else 0.0,
        "hit_rate": float(bool(places)),
        "novelty": np.mean([-log2(owners[item] / len(dense)) for item in top]),
        "diversity": np.mean(pairs),
    }


@pytest.mark.parametrize("k", [2, 10, 20])
def test_a_second_implementation_finds_the_same_measures(k):
    split = split_at_share(demo_shop()[2], ProtocolConfig(max_users=40))
    rng = np.random.default_rng(3)
    scores = rng.random((split.past.n_users, split.past.n_items))
    scores[split.users[owners(split.wanted.offsets)], split.wanted.items] += 0.2
    lists = best_items(lambda users: scores[users], split, 20)
    found = measured(lists, split, (k,))

    for i, ranked in enumerate(lists.tolist()):
        start, stop = split.wanted.offsets[i : i + 2]
        wanted = set(split.wanted.items[start:stop].tolist())
        for name, value in second_implementation(ranked, wanted, split.past, k).items():
            assert found[f"{name}@{k}"][i] == pytest.approx(value, abs=1e-5), name
    assert found[f"hit_rate@{k}"].any()


def test_gini_equals_the_mean_difference_of_all_pairs():
    counts = np.random.default_rng(5).poisson(2.0, 50).astype(float)
    differences = np.abs(counts[:, None] - counts).mean()

    assert gini(counts) == pytest.approx(differences / (2 * counts.mean()))
