"""Computes factors of users from their histories, and their affinity to items.

The fit gives each item the factors that it adds to a user. A user's factors are the sum over their
history as it is now, so a click counts in the next answer.
"""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.grouping import strongest_by_key
from serve_app.arrays.ragged import offsets_of, sum_of_each
from serve_app.domain.interactions import TYPE_WEIGHTS, Histories


def user_factors(histories: Histories, factors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums the factors that the user's items add. Each item counts once, by its heaviest event.

    Args:
        histories: events on rows of ``factors`` only.
        factors: shape (n_rows, d), what an item adds to its user.

    Returns:
        Shape (n_users, d).
    """
    n_users, n_rows = len(histories), len(factors)
    weights = TYPE_WEIGHTS[histories.events["type"]]
    taken, strongest = strongest_by_key(histories.keys(n_rows), weights)
    added = weights[strongest, None] * factors[histories.events["row"][strongest]]
    offsets = offsets_of(np.bincount(taken // max(n_rows, 1), minlength=n_users))
    return np.asarray(sum_of_each(added, offsets), np.float32)


def affinities(
    rows: Rows,
    requests: NDArray[np.int64],
    of_users: NDArray[np.float32],
    factors: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Affinity of each candidate to its user: the product of their factors.

    Args:
        rows: shape (n,).
        requests: shape (n,), the number of each candidate's user.
        of_users: shape (n_users, d).
        factors: shape (n_rows, d), what users' factors are held against.

    Returns:
        Shape (n,).
    """
    found: NDArray[np.float32] = np.einsum("ij,ij->i", of_users[requests], factors[rows])
    return found
