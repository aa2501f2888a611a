"""Fits EASE, a linear autoencoder in closed form; the time-aware form scales items by their trend.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from serve_app.evaluation.training_matrix import (
    HALF_LIVES_DAYS,
    Point,
    Rival,
    ScoreItems,
    TrainingMatrix,
    combinations,
    grouped,
)

MAX_ITEMS = 12_000
"""Two dense float64 matrices of items × items: 1.2 GB each at this size."""

_TREND_PRIOR = 0.01


def item_weights(matrix: csr_array, regularization: float) -> NDArray[np.float32]:
    """Computes the weight of each item for each other, shape (n_items, n_items), zero diagonal.

    The matrix X has shape (n_users, n_items). With P the inverse of X'X + regularization · I:
    B = -P / diag(P), per column.
    """
    # float64: the inverse of a badly conditioned matrix loses the digits of float32.
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    diagonal = np.diag_indices(matrix.shape[1])
    gram[diagonal] += regularization
    # The regularised matrix is positive definite: Cholesky halves the work, in place.
    factor = cho_factor(gram, lower=True, overwrite_a=True)
    precision = cho_solve(factor, np.eye(matrix.shape[1]), overwrite_b=True)
    weights = precision / -precision[diagonal]
    weights[diagonal] = 0
    return np.asarray(weights, np.float32)


def trend(training: TrainingMatrix, half_life_days: float, exponent: float) -> NDArray[np.float32]:
    """Raises the recent share of each item's interactions to a power, shape (n_items,)."""
    recent = training.decayed(half_life_days).sum(axis=0)
    total = training.matrix.sum(axis=0)
    # The prior keeps an item without recent interactions above zero.
    share = (recent + _TREND_PRIOR) / (total + 1)
    return np.asarray(share**exponent, np.float32)


def _fit(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    for point in points:
        yield _by_weights(training, item_weights(training.matrix, point["regularization"]))


def _fit_with_trend(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    # The inverse is the expensive part: it is computed once per regularization.
    for shared, members in grouped(points, "half_life_days", "exponent"):
        plain = _by_weights(training, item_weights(training.matrix, shared["regularization"]))
        for point in members:
            yield _scaled_by(plain, trend(training, point["half_life_days"], point["exponent"]))


def _by_weights(training: TrainingMatrix, weights: NDArray[np.float32]) -> ScoreItems:
    return lambda users: training.matrix[users] @ weights


def _scaled_by(plain: ScoreItems, factors: NDArray[np.float32]) -> ScoreItems:
    # A factor below 1 would raise a negative score: negative scores become zero first.
    return lambda users: np.maximum(plain(users), 0) * factors


EASE = Rival("ease", False, combinations(regularization=(50, 200, 500, 1500)), _fit, MAX_ITEMS)
EASE_TIME = Rival(
    "ease_time",
    True,
    combinations(
        regularization=(200, 500), half_life_days=HALF_LIVES_DAYS, exponent=(0.1, 0.3, 0.6, 1.0)
    ),
    _fit_with_trend,
    MAX_ITEMS,
)
