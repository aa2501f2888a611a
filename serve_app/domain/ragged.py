"""Lists of unequal length in two arrays: all values, and where each list starts."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


def offsets_of(lengths: NDArray[np.integer] | Sequence[int]) -> Offsets:
    """Offsets, shape (n + 1,), of lists with these lengths, shape (n,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def owners(offsets: Offsets) -> NDArray[np.int64]:
    """For each value, the number of the list it belongs to, shape (total,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def gather(offsets: Offsets, lists: NDArray[np.integer]) -> tuple[NDArray[np.int64], Offsets]:
    """Positions of all values of some lists, one list after the other, and their new offsets.

    ``values[positions]`` then holds ``values[offsets[i]:offsets[i + 1]]`` for each i in ``lists``.
    """
    starts = offsets[lists]
    lengths = offsets[np.asarray(lists) + 1] - starts
    taken = offsets_of(lengths)
    positions = np.repeat(starts - taken[:-1], lengths) + np.arange(taken[-1])
    return positions, taken


def positions_within(offsets: Offsets) -> NDArray[np.int64]:
    """For each value, its position in its own list from 0, shape (total,)."""
    lengths = np.diff(offsets)
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)


def pad(
    values: NDArray[Scalar], offsets: Offsets, width: int, fill: float | int | bool
) -> NDArray[Scalar]:
    """The first ``width`` values of each list as a matrix, shape (n, width), the rest filled."""
    within = positions_within(offsets)
    kept = within < width
    padded = np.full((len(offsets) - 1, width), fill, values.dtype)
    padded[owners(offsets)[kept], within[kept]] = values[kept]
    return padded
