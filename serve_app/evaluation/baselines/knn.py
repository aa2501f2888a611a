"""Fits nearest-neighbour models: items with like users, and users with like items.

Tables of neighbours are computed in blocks: no matrix of users × items or larger is dense.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from serve_app.evaluation.training_matrix import (
    HALF_LIVES_DAYS,
    Point,
    Rival,
    ScoreItems,
    TrainingMatrix,
    blocks,
    combinations,
    grouped,
    inverse,
    scaled_rows,
    with_values,
)

Similarities = Callable[[slice], NDArray[np.floating]]
"""Similarities of the items of a slice to all items, shape (length, n_items)."""


def keep_largest(block: NDArray[np.floating], k: int) -> NDArray[np.floating]:
    """Sets all but the k largest numbers of each row to zero; ties with the k-th are kept."""
    if k >= block.shape[1]:
        return block
    least = np.partition(block, -k, axis=1)[:, -k]
    return np.where(block >= least[:, None], block, 0)


def score_by_item_neighbours(
    training: TrainingMatrix, similarities: Similarities, members: Sequence[Point]
) -> Iterator[ScoreItems]:
    """Yields a scorer for each point's ``n_neighbours``; similarities are computed once."""
    ks = [int(point["n_neighbours"]) for point in members]
    for neighbours in _item_neighbours(similarities, training.n_items, ks):
        yield _by_item_neighbours(training.matrix, neighbours)


def _item_neighbours(
    similarities: Similarities, n_items: int, ks: Sequence[int]
) -> list[csr_array]:
    """For each k, make the table of the k items most similar to each, (n_items, n_items)."""
    parts: list[list[csr_array]] = [[] for _ in ks]
    for block in blocks(n_items, n_items):
        similar = similarities(block)
        # No item is a neighbour of itself.
        similar[np.arange(len(similar)), np.arange(block.start, block.stop)] = 0
        for part, k in zip(parts, ks, strict=True):
            part.append(csr_array(keep_largest(similar, k).astype(np.float32)))
    return [csr_array(vstack(part)) for part in parts]


def _by_item_neighbours(matrix: csr_array, neighbours: csr_array) -> ScoreItems:
    """Scores an item by the summed similarity of its neighbours that the user has."""
    to_targets = csr_array(neighbours.T)
    return lambda users: (matrix[users] @ to_targets).toarray()


def _fit_item_cosine(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    buyers = csr_array(training.matrix.T).astype(np.float64)
    norms = np.sqrt(buyers.power(2).sum(axis=1))
    for shared, members in grouped(points, "n_neighbours"):

        def similarities(
            block: slice, shrinkage: float = shared["shrinkage"]
        ) -> NDArray[np.floating]:
            products = (buyers[block] @ training.matrix).toarray()
            return np.asarray(products / (np.outer(norms[block], norms) + shrinkage + 1e-12))

        yield from score_by_item_neighbours(training, similarities, members)


def _fit_item_bm25(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    for shared, members in grouped(points, "n_neighbours"):
        weighted = bm25_weights(training.matrix, shared["k1"], shared["b"])
        transposed = csr_array(weighted.T)

        def similarities(
            block: slice, left: csr_array = weighted, right: csr_array = transposed
        ) -> NDArray[np.floating]:
            return np.asarray((left[block] @ right).toarray())

        yield from score_by_item_neighbours(training, similarities, members)


def bm25_weights(matrix: csr_array, k1: float, b: float) -> csr_array:
    """Weights items as documents, with their users as words, by Okapi BM25 as in ``implicit``.

    ``tf · (k1 + 1) / (tf + k1 · (1 - b + b · length / mean)) · ln(n_items / (1 + n of user))``

    Returns:
        Shape (n_items, n_users).
    """
    items = csr_array(matrix.T).astype(np.float64)
    lengths = items.sum(axis=1)
    scale = k1 * (1 - b + b * lengths / lengths.mean())
    idf = np.log(items.shape[0] / (1 + np.bincount(items.indices, minlength=items.shape[1])))
    tf = items.data
    saturated = tf * (k1 + 1) / (tf + np.repeat(scale, np.diff(items.indptr)))
    return with_values(items, saturated * idf[items.indices])


def _fit_users(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    baskets = _unit_rows(training.matrix)
    for point in points:
        yield _by_user_neighbours(baskets, training.matrix, point["n_neighbours"])


def _fit_users_decayed(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    # Time decides how much a neighbour's item counts, not who the neighbours are.
    baskets = _unit_rows(training.matrix)
    for point in points:
        votes = training.decayed(point["half_life_days"])
        yield _by_user_neighbours(baskets, votes, point["n_neighbours"])


def _unit_rows(matrix: csr_array) -> csr_array:
    return scaled_rows(matrix, inverse(np.sqrt(matrix.power(2).sum(axis=1))).astype(np.float32))


def _by_user_neighbours(baskets: csr_array, votes: csr_array, k: int) -> ScoreItems:
    """Scores an item by the votes of the k nearest users, each times the user's similarity.

    Args:
        baskets: shape (n_users, n_items), rows of unit length.
        votes: shape (n_users, n_items).
    """
    columns = csr_array(baskets.T)

    def score(users: NDArray[np.int32]) -> NDArray[np.floating]:
        scores = np.empty((len(users), votes.shape[1]), np.float32)
        for block in blocks(len(users), baskets.shape[0]):
            members = users[block]
            similar = (baskets[members] @ columns).toarray()
            # No user is a neighbour of themselves.
            similar[np.arange(len(members)), members] = 0
            scores[block] = (csr_array(keep_largest(similar, k)) @ votes).toarray()
        return scores

    return score


ITEM_KNN_COSINE = Rival(
    "item_knn_cosine",
    False,
    combinations(shrinkage=(0, 10, 50), n_neighbours=(50, 200, 800)),
    _fit_item_cosine,
)
ITEM_KNN_BM25 = Rival(
    "item_knn_bm25",
    False,
    combinations(k1=(1.2, 100), b=(0.2, 0.5, 0.75), n_neighbours=(50, 200)),
    _fit_item_bm25,
)

_N_NEIGHBOURS = (50, 100, 300, 1000)

USER_KNN = Rival("user_knn", False, combinations(n_neighbours=_N_NEIGHBOURS), _fit_users)
USER_KNN_TIME = Rival(
    "user_knn_time",
    True,
    combinations(n_neighbours=_N_NEIGHBOURS[1:], half_life_days=HALF_LIVES_DAYS),
    _fit_users_decayed,
)
