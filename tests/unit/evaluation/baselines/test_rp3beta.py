import pytest

from serve_app.evaluation.baselines.rp3beta import RP3BETA, RP3BETA_TIME
from tests.support.training_matrices import DENSE, N_ITEMS, USERS, decayed, nearest, scores_of

POINT = {"beta": 0.5, "n_neighbours": N_ITEMS}


def expected(steps):
    to_users = DENSE / DENSE.sum(axis=0)
    to_items = steps / DENSE.sum(axis=1, keepdims=True)
    walks = (to_users.T @ to_items) / DENSE.sum(axis=0) ** 0.5
    return DENSE[USERS] @ nearest(walks.T, N_ITEMS).T


def test_walks_equal_their_formula():
    assert scores_of(RP3BETA, **POINT) == pytest.approx(expected(DENSE), abs=1e-6)


def test_time_aware_walks_decay_their_last_step():
    scores = scores_of(RP3BETA_TIME, half_life_days=10.0, **POINT)

    assert scores == pytest.approx(expected(decayed(10.0)), abs=1e-6)
