"""Handles lists of unequal length in two arrays: all values, and the start of each list."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.sorting import largest_first

Offsets = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


def offsets_of(lengths: NDArray[np.integer] | Sequence[int]) -> Offsets:
    """Offsets, shape (n + 1,), of lists with these lengths, shape (n,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.asarray(lengths).cumsum(out=offsets[1:])
    return offsets


def lengths_of(offsets: Offsets) -> NDArray[np.int64]:
    """Lengths of the lists, shape (n,)."""
    # For few lists this takes a tenth of the time of ``np.diff``.
    return offsets[1:] - offsets[:-1]


def owners(offsets: Offsets) -> NDArray[np.int64]:
    """For each value, the number of the list it belongs to, shape (total,)."""
    return np.arange(len(offsets) - 1).repeat(lengths_of(offsets))


def gather(offsets: Offsets, lists: NDArray[np.integer]) -> tuple[NDArray[np.int64], Offsets]:
    """Positions of the values of chosen lists, and the offsets of these lists one after another.

    Args:
        lists: numbers of the lists, in the wanted order.
    """
    starts = offsets[lists]
    return spans(starts, offsets[np.asarray(lists) + 1] - starts)


def spans(
    starts: NDArray[np.integer], lengths: NDArray[np.integer]
) -> tuple[NDArray[np.int64], Offsets]:
    """The numbers ``start ... start + length - 1`` of each span, and the offsets of the spans."""
    offsets = offsets_of(lengths)
    # One ``arange`` over all spans, shifted span by span: no loop in Python.
    positions = (starts - offsets[:-1]).repeat(lengths) + np.arange(offsets[-1])
    return positions, offsets


def positions_within(offsets: Offsets) -> NDArray[np.int64]:
    """For each value, its position in its own list from 0, shape (total,)."""
    return np.arange(offsets[-1]) - offsets[:-1].repeat(lengths_of(offsets))


def first_of_runs(begins: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Position of the beginning of each entry's run, shape of ``begins``."""
    return np.asarray(np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0)), np.int64)


def pad(
    values: NDArray[Scalar], offsets: Offsets, width: int, fill: float | int | bool
) -> NDArray[Scalar]:
    """The first ``width`` values of each list as a matrix, shape (n, width), the rest filled."""
    within = positions_within(offsets)
    kept = within < width
    padded = np.full((len(offsets) - 1, width), fill, values.dtype)
    padded[owners(offsets)[kept], within[kept]] = values[kept]
    return padded


def best_of_each(
    scores: NDArray[np.floating], offsets: Offsets, limits: NDArray[np.integer] | int
) -> tuple[NDArray[np.int64], Offsets]:
    """Positions of the largest scores of each list, largest first, and their offsets.

    Equal scores keep their order.

    Args:
        scores: shape (total,), without NaN.
        limits: largest number of each list, shape (n,) or one for all.
    """
    lengths = lengths_of(offsets)
    limits = np.full(len(lengths), limits) if isinstance(limits, int) else limits
    order = largest_first(scores, owners(offsets))
    if (lengths <= limits).all():
        return order, offsets
    within = positions_within(offsets) < limits.repeat(lengths)
    return order[within], offsets_of(np.minimum(lengths, limits))


def sum_of_each(values: NDArray[Scalar], offsets: Offsets) -> NDArray[Scalar]:
    """Sums of the rows of each list, shape (n, d), zero for empty lists; values (total, d)."""
    lengths = lengths_of(offsets)
    sums = np.zeros((len(lengths), values.shape[1]), values.dtype)
    filled = lengths > 0
    # ``reduceat`` refuses an empty array, and returns a wrong value for an empty list.
    if len(values):
        sums[filled] = np.add.reduceat(values, offsets[:-1][filled], dtype=values.dtype)
    return sums
