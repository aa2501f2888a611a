import numpy as np
import pytest

from serve_app.evaluation.baselines.ease import EASE, EASE_TIME, item_weights, trend
from tests.support.training_matrices import (
    DENSE,
    N_ITEMS,
    USERS,
    decayed,
    scores_of,
    training_of,
)


def test_is_a_ridge_regression_of_each_item_on_the_others():
    weights = item_weights(training_of().matrix, 3.0)

    for item in range(N_ITEMS):
        others = [other for other in range(N_ITEMS) if other != item]
        gram = DENSE[:, others].T @ DENSE[:, others] + 3.0 * np.eye(N_ITEMS - 1)
        expected = np.linalg.solve(gram, DENSE[:, others].T @ DENSE[:, item])
        assert weights[others, item] == pytest.approx(expected, abs=1e-5)
    assert not weights.diagonal().any()
    scores = scores_of(EASE, regularization=3.0)
    assert scores == pytest.approx(DENSE[USERS] @ weights, abs=1e-6)


def test_time_aware_form_follows_the_trend():
    share = (decayed(7.0).sum(axis=0) + 0.01) / (DENSE.sum(axis=0) + 1)
    assert trend(training_of(), 7.0, 0.5) == pytest.approx(share**0.5, rel=1e-5)

    plain = scores_of(EASE, regularization=3.0)
    scores = scores_of(EASE_TIME, regularization=3.0, half_life_days=7.0, exponent=0.5)
    assert scores == pytest.approx(np.maximum(plain, 0) * share**0.5, abs=1e-6)
