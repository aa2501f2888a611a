"""Fits a linear autoencoder in closed form, as a sparse table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from serve_app.arrays.columns import Rows
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.fitting.data.pairs import Pairs
from serve_app.fitting.tables.tables_config import TablesConfig


class LinearWeights(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``; rows ascend within a list."""

    linear_offsets: Offsets
    linear_rows: Rows
    linear_weights: NDArray[np.float32]


def fit_linear_weights(
    pairs: Pairs, n_rows: int, n_users: int, content: csr_array, config: TablesConfig
) -> LinearWeights:
    """Fits a linear autoencoder (EASE) whose training data are users and words.

    P is the inverse of X'X + regularization · I. The weights are -P / diag(P), per column, without
    the diagonal (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019).

    Each word is one more user, who has taken all items with the word. Items with few users then
    predict items with similar words (Jeunen, Van Balen and Goethals, "Closed-Form Models for
    Collaborative Filtering with Side-Information", RecSys 2020). X'X becomes
    X'X + content_weight · CC'.

    Args:
        content: C, shape (n_rows, n_words), as ``vectors.ContentMatrix.weights``.
    """
    # Time grows with the cube of the items, memory with their square: 6,000 items took 13 s of CPU
    # and 0.65 GB.
    n_of_item = np.bincount(pairs.rows, minlength=n_rows)
    chosen = np.lexsort((np.arange(n_rows), -n_of_item))[: config.max_linear_items]
    # An item with a single user has nothing to share.
    chosen = np.sort(chosen[n_of_item[chosen] > 1])
    if len(chosen) < 2:
        none = np.zeros(n_rows + 1, np.int64)
        return LinearWeights(none, np.empty(0, np.int32), np.empty(0, np.float32))
    gram = _gram(pairs, chosen, n_rows, n_users)
    if config.content_weight:
        words = content[chosen]
        gram += config.content_weight * (words @ words.T).toarray()
    weights = _weights(gram, config.regularization)
    n_kept = min(config.max_linear_weights, len(chosen) - 1)
    # The largest of either sign.
    strongest = np.argpartition(-np.abs(weights), n_kept - 1, axis=1)[:, :n_kept]
    # Partition picks the largest in any order; lists must be ascending.
    strongest = np.sort(strongest, axis=1)
    lengths = np.zeros(n_rows, np.int64)
    lengths[chosen] = n_kept
    return LinearWeights(
        offsets_of(lengths),
        chosen[strongest].ravel().astype(np.int32),
        np.take_along_axis(weights, strongest, axis=1).ravel(),
    )


def _gram(
    pairs: Pairs, chosen: NDArray[np.int64], n_rows: int, n_users: int
) -> NDArray[np.float64]:
    """Gram matrix X'X of the chosen items, shape (len(chosen), len(chosen)), float64."""
    column_of = np.full(n_rows, -1, np.int64)
    column_of[chosen] = np.arange(len(chosen))
    kept = column_of[pairs.rows] >= 0
    matrix = csr_array(
        (pairs.weights[kept].astype(np.float64), (pairs.users[kept], column_of[pairs.rows[kept]])),
        shape=(n_users, len(chosen)),
    )
    gram: NDArray[np.float64] = (matrix.T @ matrix).toarray()
    return gram


def _weights(gram: NDArray[np.float64], regularization: float) -> NDArray[np.float32]:
    """Overwrites ``gram``, the largest array of the fit, instead of a copy."""
    diagonal = np.diag_indices(len(gram))
    gram[diagonal] += regularization
    factor = cho_factor(gram, lower=True, overwrite_a=True)
    # float64: the inverse of a matrix with such different eigenvalues loses float32 digits.
    precision = cho_solve(factor, np.eye(len(gram)), overwrite_b=True)
    weights: NDArray[np.float32] = (precision / -precision[diagonal]).astype(np.float32)
    weights[diagonal] = 0
    return weights
