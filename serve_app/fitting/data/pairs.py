"""Users and items that belong together, each pair once."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.ragged import Offsets, offsets_of, positions_within
from serve_app.domain.interactions import InteractionLog


class Pairs(NamedTuple):
    """
    Attributes:
        users: shape (n,), int32.
        rows: shape (n,), int32.
        at: shape (n,), float64, when they last had to do with each other.
        weights: shape (n,), float32, the largest weight of all that the user did with the item.
    """

    users: NDArray[np.int32]
    rows: NDArray[np.int32]
    at: NDArray[np.float64]
    weights: NDArray[np.float32]


def pairs_of(log: InteractionLog, type_weights: NDArray[np.float32]) -> Pairs:
    """
    Distinct pairs, by user, then row.

    Args:
        type_weights: by code of the type of interaction.
    """
    order = np.lexsort((log.rows, log.users))
    users, rows = log.users[order], log.rows[order]
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
    """
    The ``limit`` latest members of each owner, latest first, ties to the smaller member.

    Returns:
        Positions in the arrays, owner after owner, and offsets, shape (n_owners + 1,).
    """
    order = np.lexsort((members, -at, owners))
    lengths = np.bincount(owners, minlength=n_owners)
    kept = positions_within(offsets_of(lengths)) < limit
    return order[kept], offsets_of(np.minimum(lengths, limit))
