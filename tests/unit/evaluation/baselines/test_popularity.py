import numpy as np
import pytest

from serve_app.evaluation.baselines.popularity import DECAYED_POPULARITY, POPULARITY
from tests.support.training_matrices import DENSE, decayed, scores_of


def test_popularity_counts_users():
    assert scores_of(POPULARITY) == pytest.approx(np.tile(DENSE.sum(axis=0), (4, 1)))


def test_decayed_popularity_halves_with_every_half_life():
    scores = scores_of(DECAYED_POPULARITY, half_life_days=7.0)

    assert scores[2] == pytest.approx(decayed(7.0).sum(axis=0), rel=1e-5)
