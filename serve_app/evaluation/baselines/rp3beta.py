"""Random walks of three steps, item → user → item, with popular ends discounted.

Paudel, Christoffel, Newell and Bernstein, "Updatable, Accurate, Diverse, and Scalable
Recommendations for Interactive Applications", ACM TiiS 2017. In the time-aware form the last step
prefers what was bought lately.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.evaluation.baselines.neighbours import (
    by_neighbours,
    inverse,
    item_neighbours,
    scaled_rows,
)
from serve_app.evaluation.training_matrix import (
    HALF_LIVES_DAYS,
    Rival,
    ScoreItems,
    TrainingMatrix,
    combinations,
    grouped,
)


def _plain(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    for _, members in grouped(points, "beta", "n_neighbours"):
        yield from _walks(past, past.matrix, members)


def _decayed(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    for shared, members in grouped(points, "beta", "n_neighbours"):
        yield from _walks(past, past.decayed(shared["half_life_days"]), members)


def _walks(
    past: TrainingMatrix, last_step: csr_array, members: list[dict[str, Any]]
) -> Iterator[ScoreItems]:
    """
    Args:
        last_step: shape (n_users, n_items): how much each purchase counts as an end of the walk.
    """
    per_user = inverse(past.matrix.sum(axis=1))
    buyers = csr_array(past.matrix.T)
    to_users = csr_array(scaled_rows(buyers, inverse(buyers.sum(axis=1))).T)
    ends = csr_array(scaled_rows(last_step, per_user).T)
    n_buyers = past.n_buyers
    for shared, same_beta in grouped(members, "n_neighbours"):
        discount = np.power(np.maximum(n_buyers, 1), -float(shared["beta"]))

        def similarities(
            block: slice, discount: NDArray[np.floating] = discount
        ) -> NDArray[np.floating]:
            reached = (ends[block] @ to_users).toarray()
            return np.asarray(reached * discount[block, None])

        ks = [int(point["n_neighbours"]) for point in same_beta]
        for neighbours in item_neighbours(similarities, past.n_items, ks):
            yield by_neighbours(past.matrix, neighbours)


RP3BETA = Rival(
    "rp3beta",
    False,
    combinations(beta=(0.0, 0.2, 0.4, 0.6), n_neighbours=(50, 200, 800)),
    _plain,
)
RP3BETA_TIME = Rival(
    "rp3beta_time",
    True,
    combinations(half_life_days=HALF_LIVES_DAYS, beta=(0.0, 0.2, 0.5), n_neighbours=(200,)),
    _decayed,
)
