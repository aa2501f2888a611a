"""What users with similar baskets bought; in the time-aware form, what they bought lately."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.evaluation.baselines.neighbours import (
    blocks,
    inverse,
    scaled_rows,
    strongest,
)
from serve_app.evaluation.training_matrix import (
    HALF_LIVES_DAYS,
    Rival,
    ScoreItems,
    TrainingMatrix,
    combinations,
)


def _plain(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    baskets = _unit(past.matrix)
    for point in points:
        yield _by_neighbours(baskets, past.matrix, point["n_neighbours"])


def _decayed(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    baskets = _unit(past.matrix)
    for point in points:
        votes = past.decayed(point["half_life_days"])
        yield _by_neighbours(baskets, votes, point["n_neighbours"])


def _unit(matrix: csr_array) -> csr_array:
    return scaled_rows(matrix, inverse(np.sqrt(matrix.power(2).sum(axis=1))).astype(np.float32))


def _by_neighbours(baskets: csr_array, votes: csr_array, k: int) -> ScoreItems:
    """
    An item scores the similarities of the k nearest users who bought it, times their votes.

    Args:
        baskets: shape (n_users, n_items), rows of unit length.
        votes: of the same shape.
    """
    columns = csr_array(baskets.T)

    def scores(users: NDArray[np.int32]) -> NDArray[np.floating]:
        found = np.empty((len(users), votes.shape[1]), np.float32)
        for block in blocks(len(users), baskets.shape[0]):
            own = users[block]
            similar = (baskets[own] @ columns).toarray()
            similar[np.arange(len(own)), own] = 0
            found[block] = (csr_array(strongest(similar, k)) @ votes).toarray()
        return found

    return scores


_N_NEIGHBOURS = (50, 100, 300, 1000)

USER_KNN = Rival("user_knn", False, combinations(n_neighbours=_N_NEIGHBOURS), _plain)
USER_KNN_TIME = Rival(
    "user_knn_time",
    True,
    combinations(n_neighbours=_N_NEIGHBOURS[1:], half_life_days=HALF_LIVES_DAYS),
    _decayed,
)
