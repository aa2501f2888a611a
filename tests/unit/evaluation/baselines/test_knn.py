import numpy as np
import pytest

from serve_app.evaluation.baselines.knn import (
    ITEM_KNN_BM25,
    ITEM_KNN_COSINE,
    USER_KNN,
    USER_KNN_TIME,
    bm25_weights,
    keep_largest,
)
from tests.support.training_matrices import (
    AGES,
    DENSE,
    N_ITEMS,
    USERS,
    WEIGHTED,
    nearest,
    scores_of,
    training_of,
)


def test_item_cosine_equals_its_formula():
    norms = np.linalg.norm(WEIGHTED, axis=0)
    similar = WEIGHTED.T @ WEIGHTED / (np.outer(norms, norms) + 5)
    expected = WEIGHTED[USERS] @ nearest(similar, 4).T

    scores = scores_of(ITEM_KNN_COSINE, training_of(WEIGHTED), shrinkage=5, n_neighbours=4)
    assert scores == pytest.approx(expected, abs=1e-6)


def test_bm25_equals_its_formula():
    lengths = DENSE.sum(axis=0)
    idf = np.log(N_ITEMS / (1 + DENSE.sum(axis=1)))
    scale = 1.2 * (1 - 0.4 + 0.4 * lengths / lengths.mean())
    weights = (DENSE * 2.2 / (DENSE + scale) * idf[:, None]).T

    assert bm25_weights(training_of().matrix, 1.2, 0.4).toarray() == pytest.approx(weights)
    expected = DENSE[USERS] @ nearest(weights @ weights.T, 4).T
    scores = scores_of(ITEM_KNN_BM25, k1=1.2, b=0.4, n_neighbours=4)
    assert scores == pytest.approx(expected, abs=1e-5)


class TestUserKnn:
    unit = WEIGHTED / np.linalg.norm(WEIGHTED, axis=1, keepdims=True)
    near = nearest(unit @ unit.T, 5)[USERS]

    def test_sums_the_similarities_of_the_nearest_users(self):
        scores = scores_of(USER_KNN, training_of(WEIGHTED), n_neighbours=5)

        assert scores == pytest.approx(self.near @ WEIGHTED, abs=1e-5)

    def test_time_aware_form_halves_votes_with_every_half_life(self):
        point = {"n_neighbours": 5, "half_life_days": 10.0}
        scores = scores_of(USER_KNN_TIME, training_of(WEIGHTED), **point)

        votes = WEIGHTED * 2 ** (-AGES / 10.0)
        assert scores == pytest.approx(self.near @ votes, abs=1e-5)


def test_keeps_the_largest_numbers_of_each_row():
    block = np.array([[3.0, 1, 2], [0, 5, 0]])

    assert keep_largest(block, 1).tolist() == [[3, 0, 0], [0, 5, 0]]
    assert keep_largest(block, 9).tolist() == block.tolist()
