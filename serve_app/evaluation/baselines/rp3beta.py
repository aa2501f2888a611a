"""Fits RP3beta: random walks item → user → item with popular ends discounted.

Paudel, Christoffel, Newell and Bernstein, "Updatable, Accurate, Diverse, and Scalable
Recommendations for Interactive Applications", ACM TiiS 2017. The last step of the time-aware form
prefers recent interactions.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.evaluation.baselines.knn import score_by_item_neighbours
from serve_app.evaluation.training_matrix import (
    HALF_LIVES_DAYS,
    Point,
    Rival,
    ScoreItems,
    TrainingMatrix,
    combinations,
    grouped,
    inverse,
    scaled_rows,
)


def _fit(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    for _, members in grouped(points, "beta", "n_neighbours"):
        yield from _walk(training, training.matrix, members)


def _fit_decayed(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    for shared, members in grouped(points, "beta", "n_neighbours"):
        yield from _walk(training, training.decayed(shared["half_life_days"]), members)


def _walk(
    training: TrainingMatrix, last_step: csr_array, members: list[Point]
) -> Iterator[ScoreItems]:
    """Scores items by random walks from users, over other users, to items.

    Args:
        last_step: shape (n_users, n_items), weight of each pair as the end of a walk.
    """
    # Both steps are divided by the undecayed sums. An old interaction then loses its share of the
    # walks, instead of passing it to the user's other items.
    per_user = inverse(training.matrix.sum(axis=1))
    buyers = csr_array(training.matrix.T)
    to_users = csr_array(scaled_rows(buyers, inverse(buyers.sum(axis=1))).T)
    ends = csr_array(scaled_rows(last_step, per_user).T)
    n_buyers = training.n_buyers
    for shared, same_beta in grouped(members, "n_neighbours"):
        discount = np.power(np.maximum(n_buyers, 1), -float(shared["beta"]))

        def similarities(
            block: slice, discount: NDArray[np.floating] = discount
        ) -> NDArray[np.floating]:
            reached = (ends[block] @ to_users).toarray()
            return np.asarray(reached * discount[block, None])

        yield from score_by_item_neighbours(training, similarities, same_beta)


RP3BETA = Rival(
    "rp3beta", False, combinations(beta=(0.0, 0.2, 0.4, 0.6), n_neighbours=(50, 200, 800)), _fit
)
RP3BETA_TIME = Rival(
    "rp3beta_time",
    True,
    combinations(half_life_days=HALF_LIVES_DAYS, beta=(0.0, 0.2, 0.5), n_neighbours=(200,)),
    _fit_decayed,
)
