"""Lists of items, the items that users wanted, and the places where both meet."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.grouping import in_sorted
from serve_app.arrays.ragged import Offsets, owners

Lists = NDArray[np.int32]
"""Shape (n_users, width): numbers of items, best first, ``MISSING`` behind the end of a list."""

PerUser = Mapping[str, NDArray[np.float64]]
"""By measure, shape (n_users,)."""


class Wanted(NamedTuple):
    """
    Items per test user.

    Attributes:
        offsets: shape (n_users + 1,), int64.
        items: shape (total,), int32, ascending within a user, by number in ``Past``.
    """

    offsets: Offsets
    items: NDArray[np.int32]


def hits_of(lists: Lists, wanted: Wanted, n_items: int) -> Mask:
    """Which places of the lists hold what was wanted, shape of the lists."""
    keys = np.arange(len(lists))[:, None] * n_items + lists
    known = owners(wanted.offsets) * n_items + wanted.items
    found = in_sorted(keys.ravel(), known).reshape(lists.shape)
    return np.asarray(found & (lists != MISSING), bool)


def incidence(lists: Lists, n_items: int) -> csr_array:
    """Which items are in each list, shape (n_users, n_items), ones."""
    own, place = np.nonzero(lists != MISSING)
    ones = np.ones(len(own), np.float32)
    return csr_array((ones, (own, lists[own, place])), shape=(len(lists), n_items))
