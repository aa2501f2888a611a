import json

import numpy as np
import pytest
from scipy.sparse import csr_array

from serve_app.evaluation.baselines.als import ALS
from serve_app.evaluation.baselines.ease import EASE, EASE_TIME, item_weights, trend
from serve_app.evaluation.baselines.item_knn import BM25, COSINE, bm25_weights
from serve_app.evaluation.baselines.neighbours import strongest
from serve_app.evaluation.baselines.popularity import DECAYED_POPULARITY, POPULARITY
from serve_app.evaluation.baselines.rp3beta import RP3BETA, RP3BETA_TIME
from serve_app.evaluation.baselines.user_knn import USER_KNN, USER_KNN_TIME
from serve_app.evaluation.models import FUSED_SOURCES, MODELS
from serve_app.evaluation.training_matrix import TrainingMatrix, combinations, grouped

RNG = np.random.default_rng(2)
N_USERS, N_ITEMS = 30, 12
DENSE = (RNG.random((N_USERS, N_ITEMS)) < 0.3).astype(float)
DENSE[np.arange(N_USERS), np.arange(N_USERS) % N_ITEMS] = 1  # nobody has nothing
AGES = np.where(DENSE > 0, RNG.integers(0, 60, DENSE.shape), 0).astype(float)
USERS = np.array([0, 1, 7, 29], np.int32)


def past_of(dense=DENSE, ages=AGES):
    matrix = csr_array(dense.astype(np.float32))
    places = matrix.nonzero()
    values = ages[places].astype(np.float32)
    return TrainingMatrix(matrix, csr_array((values, places), shape=dense.shape))


def scores_of(model, past=None, **point):
    [scorer] = model.fits(past or past_of(), [point])
    return np.asarray(scorer(USERS))


def decayed(half_life_days):
    return DENSE * 2 ** (-AGES / half_life_days)


def nearest(similarities, k):
    """Per row the k largest kept, written out; no item or user is near to itself."""
    kept = np.zeros_like(similarities)
    for i, row in enumerate(similarities):
        others = [j for j in range(len(row)) if j != i]
        for j in sorted(others, key=lambda j: -row[j])[:k]:
            kept[i, j] = row[j]
    return kept


class TestAgainstFormulas:
    def test_popularity_counts_users(self):
        assert scores_of(POPULARITY) == pytest.approx(np.tile(DENSE.sum(axis=0), (4, 1)))

    def test_decayed_popularity_halves_with_every_half_life(self):
        scores = scores_of(DECAYED_POPULARITY, half_life_days=7.0)

        assert scores[2] == pytest.approx(decayed(7.0).sum(axis=0), rel=1e-5)

    def test_item_cosine(self):
        # Weights of their own, so that no two similarities are equal.
        weighted = DENSE * np.random.default_rng(8).random(DENSE.shape)
        norms = np.linalg.norm(weighted, axis=0)
        similar = weighted.T @ weighted / (np.outer(norms, norms) + 5)
        expected = weighted[USERS] @ nearest(similar, 4).T

        found = scores_of(COSINE, past_of(weighted), shrinkage=5, n_neighbours=4)
        assert found == pytest.approx(expected, abs=1e-6)

    def test_bm25(self):
        lengths = DENSE.sum(axis=0)
        idf = np.log(N_ITEMS / (1 + DENSE.sum(axis=1)))
        scale = 1.2 * (1 - 0.4 + 0.4 * lengths / lengths.mean())
        weights = (DENSE * 2.2 / (DENSE + scale) * idf[:, None]).T

        assert bm25_weights(past_of().matrix, 1.2, 0.4).toarray() == pytest.approx(weights)
        expected = DENSE[USERS] @ nearest(weights @ weights.T, 4).T
        found = scores_of(BM25, k1=1.2, b=0.4, n_neighbours=4)
        assert found == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("half_life_days", [None, 10.0])
    def test_user_knn(self, half_life_days):
        weighted = DENSE * np.random.default_rng(8).random(DENSE.shape)
        unit = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
        near = nearest(unit @ unit.T, 5)[USERS]
        if half_life_days is None:
            found = scores_of(USER_KNN, past_of(weighted), n_neighbours=5)
            assert found == pytest.approx(near @ weighted, abs=1e-5)
        else:
            point = {"n_neighbours": 5, "half_life_days": half_life_days}
            found = scores_of(USER_KNN_TIME, past_of(weighted), **point)
            votes = weighted * 2 ** (-AGES / half_life_days)
            assert found == pytest.approx(near @ votes, abs=1e-5)

    @pytest.mark.parametrize("half_life_days", [None, 10.0])
    def test_rp3beta(self, half_life_days):
        to_users = DENSE / DENSE.sum(axis=0)
        steps = DENSE if half_life_days is None else decayed(half_life_days)
        to_items = steps / DENSE.sum(axis=1, keepdims=True)
        walks = (to_users.T @ to_items) / DENSE.sum(axis=0) ** 0.5
        expected = DENSE[USERS] @ nearest(walks.T, N_ITEMS).T

        point = {"beta": 0.5, "n_neighbours": N_ITEMS}
        found = (
            scores_of(RP3BETA, **point)
            if half_life_days is None
            else scores_of(RP3BETA_TIME, half_life_days=half_life_days, **point)
        )
        assert found == pytest.approx(expected, abs=1e-6)

    def test_ease_is_a_ridge_regression_of_each_item_on_the_others(self):
        weights = item_weights(past_of(), 3.0)

        for item in range(N_ITEMS):
            others = [each for each in range(N_ITEMS) if each != item]
            gram = DENSE[:, others].T @ DENSE[:, others] + 3.0 * np.eye(N_ITEMS - 1)
            expected = np.linalg.solve(gram, DENSE[:, others].T @ DENSE[:, item])
            assert weights[others, item] == pytest.approx(expected, abs=1e-5)
        assert not weights.diagonal().any()
        found = scores_of(EASE, regularization=3.0)
        assert found == pytest.approx(DENSE[USERS] @ weights, abs=1e-6)

    def test_time_aware_ease_follows_the_trend(self):
        share = (decayed(7.0).sum(axis=0) + 0.01) / (DENSE.sum(axis=0) + 1)
        assert trend(past_of(), 7.0, 0.5) == pytest.approx(share**0.5, rel=1e-5)

        plain = scores_of(EASE, regularization=3.0)
        found = scores_of(EASE_TIME, regularization=3.0, half_life_days=7.0, exponent=0.5)
        assert found == pytest.approx(np.maximum(plain, 0) * share**0.5, abs=1e-6)


def test_als_finds_the_missing_corner_of_a_checkerboard():
    # Even users have even items, odd users odd ones; everybody lacks one of his own.
    board = (np.add.outer(np.arange(20), np.arange(20)) % 2 == 0).astype(float)
    known = board.copy()
    np.fill_diagonal(known, 0)
    past = past_of(known, np.zeros_like(known))
    [scorer] = ALS.fits(past, [{"factors": 8, "alpha": 5.0, "regularization": 0.1}])
    scores = np.where(known > 0, -np.inf, scorer(np.arange(20, dtype=np.int32)))

    assert scores.argmax(axis=1).tolist() == list(range(20))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
class TestEveryModel:
    def test_scores_all_items_for_the_users_asked(self, model):
        [scorer] = model.fits(past_of(), [model.grid[0]])
        scores = np.asarray(scorer(USERS))

        assert scores.shape == (4, N_ITEMS)
        assert np.isfinite(scores).all()

    def test_gives_the_same_each_time(self, model):
        assert scores_of(model, **model.grid[-1]) == pytest.approx(
            scores_of(model, **model.grid[-1]), abs=0
        )

    def test_gives_each_point_what_it_gives_it_alone(self, model):
        points = model.grid[:: max(1, len(model.grid) // 4)]
        together = [np.asarray(scorer(USERS)) for scorer in model.fits(past_of(), points)]

        for point, scores in zip(points, together, strict=True):
            assert scores == pytest.approx(scores_of(model, **point), abs=0)

    def test_uses_time_only_if_it_says_so(self, model):
        later = past_of(ages=AGES.max() - AGES)
        same = np.array_equal(
            scores_of(model, **model.grid[0]), scores_of(model, later, **model.grid[0])
        )

        assert same is not model.uses_time

    def test_has_parameters_that_can_be_reported(self, model):
        assert json.loads(json.dumps(model.grid)) == list(model.grid)

    def test_takes_one_user_with_one_item(self, model):
        alone = past_of(np.ones((1, 1)), np.zeros((1, 1)))
        [scorer] = model.fits(alone, [model.grid[-1]])

        assert np.isfinite(np.asarray(scorer(np.array([0], np.int32)))).all()


def test_models_have_names_of_their_own():
    names = [model.name for model in MODELS]

    assert len(set(names)) == len(names)
    assert set(FUSED_SOURCES) <= set(names)


def test_strongest_keeps_the_largest_of_each_row():
    block = np.array([[3.0, 1, 2], [0, 5, 0]])

    assert strongest(block, 1).tolist() == [[3, 0, 0], [0, 5, 0]]
    assert strongest(block, 9).tolist() == block.tolist()


def test_grids_change_their_last_parameter_fastest():
    grid = combinations(a=(1, 2), b=(3, 4))

    assert [tuple(point.values()) for point in grid] == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert [(shared, len(members)) for shared, members in grouped(grid, "b")] == [
        ({"a": 1}, 2),
        ({"a": 2}, 2),
    ]
