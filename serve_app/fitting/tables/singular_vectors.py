"""Decomposes sparse matrices."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

_OVERSAMPLING = 10
_N_ITERATIONS = 6


def leading_vectors(
    matrix: csr_array, n_dimensions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The k largest singular values, shape (k,), and right singular vectors, shape (k, n_rows).

    k is ``n_dimensions``, less for a small matrix, and 0 for one that is too small or zero.

    Randomised subspace iteration (Halko, Martinsson and Tropp, SIAM Review 2011, algorithm 4.4).
    It is deterministic, unlike ``scipy.sparse.linalg.svds``: ARPACK restarts at random where the
    matrix has a low rank, and equal data would give different bundles.
    """
    k = max(min(n_dimensions, *(length - 1 for length in matrix.shape)), 0)
    if not k or not np.any(matrix.data):
        return np.empty(0), np.empty((0, matrix.shape[1]))
    # The bases are float64 and orthonormalised in each iteration: powers of the matrix would lose
    # the smaller singular values to rounding.
    width = min(k + _OVERSAMPLING, *matrix.shape)
    basis = np.random.default_rng(0).standard_normal((matrix.shape[1], width))
    for _ in range(_N_ITERATIONS):
        basis, _ = np.linalg.qr(matrix.T @ np.linalg.qr(matrix @ basis)[0])
    span, _ = np.linalg.qr(matrix @ basis)
    _, strengths, axes = np.linalg.svd((matrix.T @ span).T, full_matrices=False)
    return strengths[:k], axes[:k]
