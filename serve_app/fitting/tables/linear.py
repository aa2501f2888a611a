"""Fits a linear autoencoder in closed form, as a sparse table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from serve_app.arrays.columns import Rows
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.fitting.data.pairs import Pairs


class LinearWeights(NamedTuple):
    """
    Attributes:
        offsets: shape (n_rows + 1,), int64.
        rows: shape (total,), int32, ascending within a list.
        weights: shape (total,), float32, how much the row of the list speaks for each.
    """

    offsets: Offsets
    rows: Rows
    weights: NDArray[np.float32]


def linear_weights(
    pairs: Pairs,
    n_rows: int,
    n_users: int,
    content: csr_array,
    content_weight: float,
    regularization: float,
    max_items: int,
    max_weights: int,
) -> LinearWeights:
    """
    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019: with P the inverse of
    X'X + regularization · I, the weights are -P / diag(P), per column, without the diagonal.

    Words are users too: each word of the items stands below X as one who had to do with all items
    that it is said of, so that items with few users speak for those that are described alike
    (Jeunen, Van Balen and Goethals, "Closed-Form Models for Collaborative Filtering with
    Side-Information", RecSys 2020). X'X is then X'X + content_weight · CC'.

    Args:
        content: C, shape (n_rows, n_words), as ``vectors.content_matrix`` gives it.
        content_weight: how many users a word counts for; with 0 words say nothing.
        max_items: the items with the most users; the others have no weights. Time grows with its
            cube, memory with its square: 6,000 took 13 s of CPU and 0.65 GB
            on top of what was there.
        max_weights: of each item, the largest of either sign.
    """
    n_of_item = np.bincount(pairs.rows, minlength=n_rows)
    chosen = np.lexsort((np.arange(n_rows), -n_of_item))[:max_items]
    chosen = np.sort(chosen[n_of_item[chosen] > 1])
    if len(chosen) < 2:
        none = np.zeros(n_rows + 1, np.int64)
        return LinearWeights(none, np.empty(0, np.int32), np.empty(0, np.float32))
    gram = _gram(pairs, chosen, n_rows, n_users)
    if content_weight:
        words = content[chosen]
        gram += content_weight * (words @ words.T).toarray()
    weights = _weights(gram, regularization)
    n_kept = min(max_weights, len(chosen) - 1)
    strongest = np.argpartition(-np.abs(weights), n_kept - 1, axis=1)[:, :n_kept]
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
    """How many users two of the chosen items share, shape (len(chosen), len(chosen))."""
    place = np.full(n_rows, -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    kept = place[pairs.rows] >= 0
    matrix = csr_array(
        (pairs.weights[kept].astype(np.float64), (pairs.users[kept], place[pairs.rows[kept]])),
        shape=(n_users, len(chosen)),
    )
    gram: NDArray[np.float64] = (matrix.T @ matrix).toarray()
    return gram


def _weights(gram: NDArray[np.float64], regularization: float) -> NDArray[np.float32]:
    """``gram`` is overwritten."""
    diagonal = np.diag_indices(len(gram))
    gram[diagonal] += regularization
    factor = cho_factor(gram, lower=True, overwrite_a=True)
    precision = cho_solve(factor, np.eye(len(gram)), overwrite_b=True)
    weights: NDArray[np.float32] = (precision / -precision[diagonal]).astype(np.float32)
    weights[diagonal] = 0
    return weights
