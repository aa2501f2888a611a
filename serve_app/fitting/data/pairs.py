"""Reduces interactions to distinct pairs of a user and an item."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.ragged import Offsets, offsets_of, positions_within
from serve_app.domain.interactions import InteractionLog


class Pairs(NamedTuple):
    """Distinct pairs of a user and an item.

    Attributes:
        users: shape (n,), int32.
        rows: shape (n,), int32.
        at: shape (n,), float64, time of the last interaction of the pair.
        weights: shape (n,), float32, the largest weight of the pair's interactions.
    """

    users: NDArray[np.int32]
    rows: NDArray[np.int32]
    at: NDArray[np.float64]
    weights: NDArray[np.float32]


def find_pairs(log: InteractionLog, type_weights: NDArray[np.float32]) -> Pairs:
    """Distinct pairs, ordered by user, then row.

    Args:
        type_weights: shape (n_types,), by code of the type.
    """
    order = np.lexsort((log.rows, log.users))
    users, rows = log.users[order], log.rows[order]
    # Sorted: a pair begins where the user or the row changes.
    starts = np.flatnonzero((np.diff(users, prepend=-1) != 0) | (np.diff(rows, prepend=-1) != 0))
    if not len(starts):
        return Pairs(users, rows, log.at, np.empty(0, np.float32))
    return Pairs(
        users[starts],
        rows[starts],
        np.maximum.reduceat(log.at[order], starts),
        np.maximum.reduceat(type_weights[log.types[order]], starts),
    )


def latest_first(
    owners: NDArray[np.int32],
    members: NDArray[np.int32],
    at: NDArray[np.float64],
    n_owners: int,
    limit: int,
) -> tuple[NDArray[np.int64], Offsets]:
    """The ``limit`` latest members of each owner, latest first; the smaller member wins ties.

    Returns:
        Positions in the arrays, owner after owner, and offsets, shape (n_owners + 1,), int64.
    """
    order = np.lexsort((members, -at, owners))
    lengths = np.bincount(owners, minlength=n_owners)
    kept = positions_within(offsets_of(lengths)) < limit
    return order[kept], offsets_of(np.minimum(lengths, limit))
