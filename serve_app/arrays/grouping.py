"""Sums values by key and selects the largest, on flat arrays."""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows

Keys = NDArray[np.int64]
"""A list and a row in one number, ``list * n_rows + row``: ascending keys go list by list."""

_DENSE_RATIO = 16
"""Sorting one value takes about as long as a pass over 16 keys. Below that ratio of keys to values
a dense count over all keys is faster."""


def sum_by_key(
    keys: Keys, values: NDArray[np.floating], n_keys: int
) -> tuple[Keys, NDArray[np.float32]]:
    """Distinct keys, ascending, and the sum of the values of each; both shape (m,). Keys whose
    values sum to zero are left out.

    Values are added up in their order and with the same rounding, whatever else is among them.

    Args:
        keys: shape (n,), below ``n_keys``.
    """
    if n_keys <= _DENSE_RATIO * len(keys):
        # ``bincount`` adds up in float64, in the order of the values, as the branch below does.
        totals = np.bincount(keys, values, minlength=n_keys)
        found = totals.nonzero()[0]
        return found, totals[found].astype(np.float32)
    distinct, groups, order = _grouped(keys)
    sums = np.bincount(groups, values[order], minlength=len(distinct))
    kept = sums != 0
    return distinct[kept], sums[kept].astype(np.float32)


def strongest_by_key(keys: Keys, values: NDArray[np.floating]) -> tuple[Keys, NDArray[np.int64]]:
    """Distinct keys, ascending, and the position of the first largest value of each."""
    distinct, groups, order = _grouped(keys)
    ordered, starts = values[order], np.searchsorted(groups, np.arange(len(distinct)))
    largest = np.maximum.reduceat(ordered, starts) if len(keys) else ordered
    are_largest = (ordered == largest[groups]).nonzero()[0]
    return distinct, order[are_largest[np.searchsorted(are_largest, starts)]]


def distinct_keys(keys: Keys) -> tuple[Keys, NDArray[np.int64]]:
    """Distinct keys, ascending, and for each of the given ones where it stands among them."""
    distinct, groups, order = _grouped(keys)
    places = np.empty_like(order)
    places[order] = groups
    return distinct, places


def best(rows: Rows, scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Positions of the k largest scores, largest first; ties go to the smaller row."""
    if len(scores) <= k:
        return np.lexsort((rows, -scores))
    # Partition, then sort the few that are left: all ties of the k-th score stay in, so that the
    # smaller rows among them win.
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    kept = np.flatnonzero(scores >= least)
    return kept[np.lexsort((rows[kept], -scores[kept]))[:k]]


def in_sorted(values: NDArray[np.integer], ascending: NDArray[np.integer]) -> Mask:
    """Which values occur in an ascending array, shape (len(values),)."""
    if not len(ascending):
        return np.zeros(len(values), bool)
    found: Mask = ascending[positions_in(values, ascending)] == values
    return found


def positions_in(values: NDArray[np.integer], ascending: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each value stands in an ascending array, if it does; shape (len(values),)."""
    return np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)


def _grouped(keys: Keys) -> tuple[Keys, NDArray[np.int64], NDArray[np.int64]]:
    """Distinct keys, ascending; and of the keys in a stable order, their groups and positions."""
    # Key and position in one number: sorting values is several times faster than sorting positions.
    n = max(len(keys), 1)
    composed = keys * n + np.arange(len(keys))
    composed.sort()
    ordered, order = np.divmod(composed, n)
    is_first = np.ones(len(keys), bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_first], is_first.cumsum() - 1, order
