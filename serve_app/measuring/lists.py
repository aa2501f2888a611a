"""Defines lists of items and wanted items, and finds the positions where they meet."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.grouping import in_sorted
from serve_app.arrays.ragged import Offsets, owners

Lists = NDArray[np.int32]
"""Shape (n_users, width): numbers of items, best first, ``MISSING`` after the end of a list."""

PerUser = Mapping[str, NDArray[np.float64]]
"""By measure, shape (n_users,)."""


class Wanted(NamedTuple):
    """Items of each test user.

    Attributes:
        offsets: shape (n_users + 1,), int64.
        items: shape (total,), int32, ascending within a user.
    """

    offsets: Offsets
    items: NDArray[np.int32]


def hits_of(lists: Lists, wanted: Wanted, n_items: int) -> Mask:
    """Marks the positions that hold a wanted item, shape of ``lists``."""
    # Keys sort by user, then by item. Wanted items ascend within a user, which in_sorted needs.
    keys = np.arange(len(lists))[:, None] * n_items + lists
    wanted_keys = owners(wanted.offsets) * n_items + wanted.items
    is_wanted = in_sorted(keys.ravel(), wanted_keys).reshape(lists.shape)
    # MISSING is -1: its key is that of the previous user's last item.
    return np.asarray(is_wanted & (lists != MISSING), bool)


def incidence(lists: Lists, n_items: int) -> csr_array:
    """Matrix with a one for each item of each list, shape (n_users, n_items), float32."""
    users, positions = np.nonzero(lists != MISSING)
    ones = np.ones(len(users), np.float32)
    return csr_array((ones, (users, lists[users, positions])), shape=(len(lists), n_items))
