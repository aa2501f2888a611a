"""Sums values by key and selects the largest, on flat arrays."""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.sorting import sort_keys

Keys = NDArray[np.int64]
"""List and row in one number, ``list * n_rows + row``. Ascending keys go list by list."""

_DENSE_RATIO = 16
"""Most keys per value for which a dense count is faster than sorting. Sorting one value takes about
as long as a pass over 16 keys."""


def sum_by_key(
    keys: Keys, values: NDArray[np.floating], n_keys: int
) -> tuple[Keys, NDArray[np.float32]]:
    """Distinct keys, ascending, and the sum of the values of each; both shape (m,).

    All keys, shape (n,), are below ``n_keys``. Keys whose values sum to zero are left out. The sum
    of a key does not depend on the other keys: a request gets equal scores alone and in a batch.
    """
    if n_keys <= _DENSE_RATIO * len(keys):
        # Both branches round alike: ``bincount`` adds in float64, in the order of the values.
        totals = np.bincount(keys, values, minlength=n_keys)
        distinct = totals.nonzero()[0]
        return distinct, totals[distinct].astype(np.float32)
    distinct, groups, order = _group(keys)
    sums = np.bincount(groups, values[order], minlength=len(distinct))
    kept = sums != 0
    return distinct[kept], sums[kept].astype(np.float32)


def strongest_by_key(keys: Keys, values: NDArray[np.floating]) -> tuple[Keys, NDArray[np.int64]]:
    """The distinct keys, ascending. For each, the position of its largest value.

    The first position wins if several values are equal.
    """
    distinct, groups, order = _group(keys)
    ordered, starts = values[order], np.searchsorted(groups, np.arange(len(distinct)))
    # ``reduceat`` refuses an empty array.
    largest = np.maximum.reduceat(ordered, starts) if len(keys) else ordered
    # The order is stable: the first hit of a group is the earliest of its equal values.
    are_largest = (ordered == largest[groups]).nonzero()[0]
    return distinct, order[are_largest[np.searchsorted(are_largest, starts)]]


def distinct_keys(keys: Keys) -> tuple[Keys, NDArray[np.int64]]:
    """Distinct keys, ascending, and the position of each given key among them."""
    distinct, groups, order = _group(keys)
    positions = np.empty_like(order)
    positions[order] = groups
    return distinct, positions


def best(rows: Rows, scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Positions of the k largest scores, largest first; ties go to the smaller row."""
    if len(scores) <= k:
        return np.lexsort((rows, -scores))
    # Partition in linear time, then sort the few that are left. All ties of the k-th score stay in:
    # the sort then lets the smaller rows win.
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    kept = np.flatnonzero(scores >= least)
    return kept[np.lexsort((rows[kept], -scores[kept]))[:k]]


def in_sorted(values: NDArray[np.integer], ascending: NDArray[np.integer]) -> Mask:
    """Tells for each value whether it occurs in an ascending array, shape (len(values),)."""
    if not len(ascending):
        return np.zeros(len(values), bool)
    return np.asarray(ascending[positions_in(values, ascending)] == values)


def positions_in(values: NDArray[np.integer], ascending: NDArray[np.integer]) -> NDArray[np.int64]:
    """Position of each value in an ascending array, shape (len(values),).

    A value that does not occur gets the position of another one, or -1 in an empty array.
    """
    # Values above the last one would point behind the end, where callers cannot compare.
    return np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)


def matches(
    values: NDArray[np.integer], ascending: NDArray[np.integer]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the values that occur in an ascending array, and of each in that array."""
    if not len(ascending):
        none = np.empty(0, np.intp)
        return none, none
    positions = positions_in(values, ascending)
    found = np.flatnonzero(ascending[positions] == values)
    return found, positions[found]


def _group(keys: Keys) -> tuple[Keys, NDArray[np.int64], NDArray[np.int64]]:
    """Distinct keys, ascending; and of the keys in a stable order, their groups and positions."""
    ordered, order = sort_keys(keys)
    is_first = np.ones(len(keys), bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_first], is_first.cumsum() - 1, order
