"""Sorts numbers and keeps their positions, as whole numbers that hold both.

Numpy sorts whole numbers with wide registers: several times faster than it sorts positions, or
parts the largest numbers from the others.
"""

import numpy as np
from numpy.typing import NDArray

_SCORE_BITS, _KEY_BITS = 32, 63


def sort_keys(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The keys, ascending, and the position of each; equal keys keep their order.

    The bits of the largest key and of the number of keys must be at most 63 together.
    """
    n_bits = len(keys).bit_length()
    composed = keys << n_bits | np.arange(len(keys))
    composed.sort()
    return composed >> n_bits, composed & ((1 << n_bits) - 1)


def largest_first(scores: NDArray[np.floating], lists: NDArray[np.integer]) -> NDArray[np.int64]:
    """Positions list by list, the largest score of each first; equal scores keep their order.

    Args:
        scores: shape (n,), without NaN.
        lists: shape (n,), number of each score's list, ascending.
    """
    n_list_bits = int(lists[-1]).bit_length() if len(lists) else 0
    n_bits = n_list_bits + _SCORE_BITS + len(scores).bit_length()
    if scores.dtype != np.float32 or n_bits > _KEY_BITS:
        return np.lexsort((-scores, lists))
    return sort_keys(lists.astype(np.int64) << _SCORE_BITS | _falling(scores))[1]


def _falling(scores: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Whole numbers that rise as the scores fall, shape (n,); equal for 0 and -0."""
    bits = (scores + np.float32(0)).view(np.uint32)
    # The bits of positive numbers rise with them. Those of negative numbers fall, and are larger.
    is_negative = bits >> np.uint32(31) != 0
    return np.where(is_negative, bits, bits ^ np.uint32(0x7FFF_FFFF))
