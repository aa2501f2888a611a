"""A linear autoencoder in closed form; in the time-aware form scaled by each item's recent trend.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from serve_app.evaluation.training_matrix import (
    HALF_LIVES_DAYS,
    Rival,
    ScoreItems,
    TrainingMatrix,
    combinations,
    grouped,
)

MAX_ITEMS = 12_000
"""Larger catalogues need more than 1.2 GB for each of two matrices of items × items."""

_TREND_PRIOR = 0.01


def item_weights(past: TrainingMatrix, regularization: float) -> NDArray[np.float32]:
    """
    How much each item speaks for each other item, shape (n_items, n_items), zero diagonal.

    With P the inverse of X'X + regularization · I: B = -P / diag(P), per column.
    """
    gram = (past.matrix.T @ past.matrix).toarray().astype(np.float64)
    diagonal = np.diag_indices(past.n_items)
    gram[diagonal] += regularization
    factor = cho_factor(gram, lower=True, overwrite_a=True)
    precision = cho_solve(factor, np.eye(past.n_items), overwrite_b=True)
    weights = precision / -precision[diagonal]
    weights[diagonal] = 0
    return np.asarray(weights, np.float32)


def trend(past: TrainingMatrix, half_life_days: float, exponent: float) -> NDArray[np.float32]:
    """The share of its buyers that an item has had lately, to a power, shape (n_items,)."""
    late = past.decayed(half_life_days).sum(axis=0)
    ever = past.matrix.sum(axis=0)
    share = (late + _TREND_PRIOR) / (ever + 1)
    return np.asarray(share**exponent, np.float32)


def _plain(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    for point in points:
        yield _by_weights(past, item_weights(past, point["regularization"]))


def _scaled(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    for shared, members in grouped(points, "half_life_days", "exponent"):
        plain = _by_weights(past, item_weights(past, shared["regularization"]))
        for point in members:
            yield _scaled_by(plain, trend(past, point["half_life_days"], point["exponent"]))


def _by_weights(past: TrainingMatrix, weights: NDArray[np.float32]) -> ScoreItems:
    return lambda users: past.matrix[users] @ weights


def _scaled_by(plain: ScoreItems, factors: NDArray[np.float32]) -> ScoreItems:
    # A negative score would grow by a small factor.
    return lambda users: np.maximum(plain(users), 0) * factors


EASE = Rival(
    "ease",
    False,
    combinations(regularization=(50, 200, 500, 1500)),
    _plain,
    MAX_ITEMS,
)
EASE_TIME = Rival(
    "ease_time",
    True,
    combinations(
        regularization=(200, 500), half_life_days=HALF_LIVES_DAYS, exponent=(0.1, 0.3, 0.6, 1.0)
    ),
    _scaled,
    MAX_ITEMS,
)
