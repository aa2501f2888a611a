"""Factorises what users took: in closed form, or by alternating least squares where they are few.

Few users tell least squares more: what nobody took counts less there than what somebody took.
"""

import numpy as np
from numpy.typing import NDArray

from serve_app.fitting.data.pairs import Pairs
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.fitting.tables.vectors import Factors, compute_item_factors

_ALTERNATING_DIM = 16
_N_ITERATIONS = 15

_ALPHA = 5.0
"""Confidence that a pair of weight 1 adds to that of what was not taken, which is 1."""

_SEED = 0


def fit_factors(pairs: Pairs, n_rows: int, n_users: int, config: TablesConfig) -> Factors:
    """Fits factors of items, each of shape (n_rows, config.factors_dim)."""
    if not config.factors_regularization:
        return compute_item_factors(
            pairs, n_rows, n_users, config.factors_dim, config.factors_shrinkage
        )
    n_dimensions = min(_ALTERNATING_DIM, config.factors_dim)
    found = alternate(pairs, n_rows, n_dimensions, config.factors_regularization)
    missing = [(0, 0), (0, config.factors_dim - n_dimensions)]
    return Factors(*(np.pad(factors, missing) for factors in found))


def alternate(pairs: Pairs, n_rows: int, n_dimensions: int, regularization: float) -> Factors:
    """Factorises the user-item matrix by alternating least squares; for few users.

    Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
    A user's own least squares are not linear in their items. With the mean confidence of all users
    in place of theirs they are, and ``Factors`` can express them.

    Returns:
        Zero for items without pairs.
    """
    taken, offered = (np.zeros((n_rows, n_dimensions), np.float32) for _ in range(2))
    if not len(pairs.rows):
        return Factors(taken, offered)
    rows, columns = np.unique(pairs.rows, return_inverse=True)
    users, numbers = np.unique(pairs.users, return_inverse=True)
    confidence = np.zeros((len(users), len(rows)))
    confidence[numbers, columns] = _ALPHA * pairs.weights
    of_items = np.random.default_rng(_SEED).normal(0, 0.01, (len(rows), n_dimensions))
    for _ in range(_N_ITERATIONS):
        of_users = _solve(of_items, confidence, regularization)
        of_items = _solve(of_users, np.ascontiguousarray(confidence.T), regularization)
    usual = confidence.mean(axis=0, keepdims=True)
    system = _normal_matrices(of_items, usual, regularization)[0]
    taken[rows] = (1 + _ALPHA) * np.linalg.solve(system, of_items.T).T
    offered[rows] = of_items
    return Factors(taken, offered)


def _solve(
    others: NDArray[np.float64], confidence: NDArray[np.float64], regularization: float
) -> NDArray[np.float64]:
    """Factors of one side, shape (n, d), by those of the other side, shape (m, d).

    Confidences have shape (n, m), and are 0 for what was not taken.
    """
    systems = _normal_matrices(others, confidence, regularization)
    targets = (confidence + (confidence > 0)) @ others
    return np.asarray(np.linalg.solve(systems, targets[:, :, None])[:, :, 0], np.float64)


def _normal_matrices(
    others: NDArray[np.float64], confidence: NDArray[np.float64], regularization: float
) -> NDArray[np.float64]:
    """Matrices of the normal equations, shape (n, d, d)."""
    n_dimensions = others.shape[1]
    products = (others[:, :, None] * others[:, None, :]).reshape(len(others), -1)
    weighted = (confidence @ products).reshape(-1, n_dimensions, n_dimensions)
    shared = others.T @ others + regularization * np.eye(n_dimensions)
    return np.asarray(weighted + shared, np.float64)
