"""Items bought by the same users: nearest neighbours by cosine, and by BM25 weights."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.evaluation.baselines.neighbours import by_neighbours, item_neighbours
from serve_app.evaluation.training_matrix import (
    Rival,
    ScoreItems,
    TrainingMatrix,
    combinations,
    grouped,
    with_values,
)


def _cosine(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    buyers = csr_array(past.matrix.T).astype(np.float64)
    norms = np.sqrt(buyers.power(2).sum(axis=1))
    for shared, members in grouped(points, "n_neighbours"):

        def similarities(
            block: slice, shrinkage: float = shared["shrinkage"]
        ) -> NDArray[np.floating]:
            products = (buyers[block] @ past.matrix).toarray()
            return np.asarray(products / (np.outer(norms[block], norms) + shrinkage + 1e-12))

        yield from _scorers(past, similarities, members)


def _bm25(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    for shared, members in grouped(points, "n_neighbours"):
        weighted = bm25_weights(past.matrix, shared["k1"], shared["b"])
        transposed = csr_array(weighted.T)

        def similarities(
            block: slice, left: csr_array = weighted, right: csr_array = transposed
        ) -> NDArray[np.floating]:
            return np.asarray((left[block] @ right).toarray())

        yield from _scorers(past, similarities, members)


def _scorers(
    past: TrainingMatrix, similarities: Any, members: list[dict[str, Any]]
) -> Iterator[ScoreItems]:
    ks = [int(point["n_neighbours"]) for point in members]
    for neighbours in item_neighbours(similarities, past.n_items, ks):
        yield by_neighbours(past.matrix, neighbours)


def bm25_weights(matrix: csr_array, k1: float, b: float) -> csr_array:
    """
    Items as documents, their users as words, weighted by Okapi BM25; shape (n_items, n_users).

    tf · (k1 + 1) / (tf + k1 · (1 - b + b · length / mean length)) · ln(n_items / (1 + n of user)),
    as in the library ``implicit``.
    """
    items = csr_array(matrix.T).astype(np.float64)
    lengths = items.sum(axis=1)
    scale = k1 * (1 - b + b * lengths / lengths.mean())
    idf = np.log(items.shape[0] / (1 + np.bincount(items.indices, minlength=items.shape[1])))
    tf = items.data
    saturated = tf * (k1 + 1) / (tf + np.repeat(scale, np.diff(items.indptr)))
    return with_values(items, saturated * idf[items.indices])


COSINE = Rival(
    "item_knn_cosine",
    False,
    combinations(shrinkage=(0, 10, 50), n_neighbours=(50, 200, 800)),
    _cosine,
)
BM25 = Rival(
    "item_knn_bm25",
    False,
    combinations(k1=(1.2, 100), b=(0.2, 0.5, 0.75), n_neighbours=(50, 200)),
    _bm25,
)
