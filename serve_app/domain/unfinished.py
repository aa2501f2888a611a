"""Finds the items that users have begun to want and not got: viewed, clicked or put into the cart.

The strongest sign counts, by the grade of its type. An interaction that ends the interest, such as
a purchase, takes back every earlier one with the item.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.grouping import Keys, matches, positions_in, strongest_by_key
from serve_app.arrays.ragged import offsets_of, positions_within
from serve_app.domain.interactions import TYPE_ENDS, TYPE_GRADES, Histories

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Pairs of a user and an item whose interest has not ended.

    Attributes:
        keys: shape (m,), ascending, user * n_rows + row.
        grades: shape (m,), uint8, of the strongest interaction.
        at: shape (m,), float64, epoch seconds of the last interaction of that grade.
        places: shape (m,), int64, place among the user's pairs, from 0: the strongest, and the
            latest of equal ones, is first.
    """

    keys: Keys
    grades: NDArray[np.uint8]
    at: NDArray[np.float64]
    places: NDArray[np.int64]


def find_unfinished(histories: Histories, n_rows: int) -> Unfinished:
    """The unfinished pairs of some histories, which have events on rows below ``n_rows`` only."""
    keys, types = histories.keys(n_rows), histories.events["type"]
    positions = np.flatnonzero(_are_open(keys, types))
    grades = TYPE_GRADES[types[positions]]
    # Positions ascend with time: of equal grades, the latest has the largest sum.
    strengths = grades.astype(np.float64) * len(keys) + positions
    distinct, strongest = strongest_by_key(keys[positions], strengths)
    users = distinct // max(n_rows, 1)
    order = np.lexsort((-strengths[strongest], users))
    places = np.empty(len(distinct), np.int64)
    places[order] = positions_within(offsets_of(np.bincount(users, minlength=len(histories))))
    at = histories.events["at"][positions[strongest]]
    return Unfinished(distinct, grades[strongest], at, places)


def describe_unfinished(
    histories: Histories, n_rows: int, keys: Keys, at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Grade, place, and minutes since, of some pairs; shape (len(keys), 3), NaN for others.

    Args:
        keys: shape (n,), user * n_rows + row.
        at: shape (n_users,), epoch seconds.
    """
    found, columns = find_unfinished(histories, n_rows), np.full((len(keys), 3), np.nan)
    known, positions = matches(keys, found.keys)
    minutes = np.maximum(at[keys[known] // max(n_rows, 1)] - found.at[positions], 0.0) / _MINUTE_S
    columns[known] = np.column_stack((found.grades[positions], found.places[positions], minutes))
    return columns


def _are_open(keys: Keys, types: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Events that no later or equal event of their key ended, shape (n,)."""
    is_open = (TYPE_GRADES[types] > 0) & ~TYPE_ENDS[types]
    ends = np.flatnonzero(TYPE_ENDS[types])
    if len(ends):
        ended, last = strongest_by_key(keys[ends], ends.astype(np.float64))
        at = positions_in(keys, ended)
        is_open &= (ended[at] != keys) | (ends[last[at]] < np.arange(len(keys)))
    return np.asarray(is_open, bool)
