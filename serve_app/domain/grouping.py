"""Sums by key and the best of many, on flat arrays."""

import numpy as np
from numpy.typing import NDArray

from serve_app.domain.columns import Rows

_DENSE_RATIO = 16
"""Sorting a value takes about as long as going over so many rows."""


def sum_by_row(
    rows: NDArray[np.integer], values: NDArray[np.floating]
) -> tuple[Rows, NDArray[np.float32]]:
    """Distinct rows, ascending, and the sum of the values of each; both shape (m,)."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = _group_starts(ordered)
    if not len(starts):
        return np.empty(0, np.int32), np.empty(0, np.float32)
    sums = np.add.reduceat(values[order], starts)
    return ordered[starts].astype(np.int32), sums.astype(np.float32)


def sum_within(
    rows: NDArray[np.integer], values: NDArray[np.floating], n_rows: int
) -> tuple[Rows, NDArray[np.float32]]:
    """
    ``sum_by_row`` where rows are below ``n_rows``: an array of all rows is filled when that is
    cheaper than sorting. Rows whose values sum to zero are left out.
    """
    if n_rows <= _DENSE_RATIO * len(rows):
        totals = np.bincount(rows, values, minlength=n_rows)
        touched = np.flatnonzero(totals)
        return touched.astype(np.int32), totals[touched].astype(np.float32)
    distinct, sums = sum_by_row(rows, values)
    kept = sums != 0
    return distinct[kept], sums[kept]


def best_by_row(
    rows: NDArray[np.integer], values: NDArray[np.floating]
) -> tuple[Rows, NDArray[np.int64]]:
    """Distinct rows, ascending, and the position of the largest value of each; shape (m,)."""
    order = np.lexsort((-values, rows))
    starts = _group_starts(rows[order])
    return rows[order[starts]].astype(np.int32), order[starts]


def best(rows: Rows, scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Positions of the k largest scores, largest first; ties go to the smaller row."""
    if len(scores) <= k:
        return np.lexsort((rows, -scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    kept = np.flatnonzero(scores >= least)
    return kept[np.lexsort((rows[kept], -scores[kept]))[:k]]


def in_sorted(rows: NDArray[np.integer], ascending: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which rows occur in an ascending array, shape (len(rows),)."""
    if not len(ascending):
        return np.zeros(len(rows), bool)
    at = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[at] == rows
    return found


def _group_starts(ordered: NDArray[np.integer]) -> NDArray[np.int64]:
    if not len(ordered):
        return np.empty(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
