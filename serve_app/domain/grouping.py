"""Sums by key and the best of many, on flat arrays."""

import numpy as np
from numpy.typing import NDArray

from serve_app.domain.columns import Mask, Rows
from serve_app.domain.ragged import owners

Keys = NDArray[np.int64]
"""A list and a row in one number, ``list * n_rows + row``: ascending keys go list by list."""

_DENSE_RATIO = 16
"""Sorting a value takes about as long as going over so many keys."""


def sum_by_key(
    keys: Keys, values: NDArray[np.floating], n_keys: int
) -> tuple[Keys, NDArray[np.float32]]:
    """
    Distinct keys, ascending, and the sum of the values of each; both shape (m,). Keys whose values
    sum to zero are left out.

    Values are added up in their order and with the same rounding, whatever else is among them.

    Args:
        keys: shape (n,), below ``n_keys``.
    """
    if n_keys <= _DENSE_RATIO * len(keys):
        totals = np.bincount(keys, values, minlength=n_keys)
        found = totals.nonzero()[0]
        return found, totals[found].astype(np.float32)
    order = np.argsort(keys, kind="stable")
    starts = _group_starts(keys[order])
    groups = owners(np.append(starts, len(keys)))
    sums = np.bincount(groups, values[order], minlength=len(starts))
    kept = sums != 0
    return keys[order[starts[kept]]], sums[kept].astype(np.float32)


def strongest_by_key(keys: Keys, values: NDArray[np.floating]) -> tuple[Keys, NDArray[np.int64]]:
    """Distinct keys, ascending, and the position of the first largest value of each."""
    order = np.lexsort((-values, keys))
    first = order[_group_starts(keys[order])]
    return keys[first], first


def best(rows: Rows, scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Positions of the k largest scores, largest first; ties go to the smaller row."""
    if len(scores) <= k:
        return np.lexsort((rows, -scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    kept = np.flatnonzero(scores >= least)
    return kept[np.lexsort((rows[kept], -scores[kept]))[:k]]


def in_sorted(values: NDArray[np.integer], ascending: NDArray[np.integer]) -> Mask:
    """Which values occur in an ascending array, shape (len(values),)."""
    if not len(ascending):
        return np.zeros(len(values), bool)
    found: Mask = ascending[places_in(values, ascending)] == values
    return found


def places_in(values: NDArray[np.integer], ascending: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each value stands in an ascending array, if it does; shape (len(values),)."""
    return np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)


def _group_starts(ordered: NDArray[np.integer]) -> NDArray[np.int64]:
    is_first = np.ones(len(ordered), bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return is_first.nonzero()[0]
