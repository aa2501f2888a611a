"""Which items a request may show: masks that every source applies before it takes its best.

So a narrow filter still fills the list: nothing is cut away after the choice.
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from serve_app.domain.catalogue import Catalogue
from serve_app.domain.columns import Mask, Rows
from serve_app.domain.filters import Filter, filter_mask
from serve_app.domain.grouping import in_sorted

_FIRST_CHUNK = 1_024


@dataclass(frozen=True, slots=True)
class Allowed:
    """
    Attributes:
        mask: shape (n_rows,), bool, items that may be shown to anybody who asks with this filter.
        excluded: ascending rows that this user must not see.
    """

    mask: Mask
    excluded: Rows

    def keeps(self, rows: Rows) -> Mask:
        """Which of the rows may be shown, shape (len(rows),)."""
        return self.mask[rows] & ~in_sorted(rows, self.excluded)

    def only(self, rows: Rows) -> Rows:
        """The rows that may be shown, in their order."""
        return rows[self.keeps(rows)]

    def first(self, ordered: Rows, k: int) -> Rows:
        """The first k rows that may be shown, in their order; looks no further than needed."""
        found: list[Rows] = []
        n_found, start, length = 0, 0, max(_FIRST_CHUNK, 2 * k)
        while n_found < k and start < len(ordered):
            chunk = self.only(ordered[start : start + length])
            found.append(chunk)
            n_found += len(chunk)
            start, length = start + length, 4 * length
        return np.concatenate(found)[:k] if found else np.empty(0, np.int32)


class AllowedItems:
    """Masks of one catalogue by filter; the ones used last are kept."""

    def __init__(
        self, catalogue: Catalogue, *, include_out_of_stock: bool = False, n_kept: int = 128
    ) -> None:
        self._catalogue = catalogue
        self._everything = catalogue.listed if include_out_of_stock else catalogue.sellable
        self._n_kept = n_kept
        self._masks: OrderedDict[Filter, Mask] = OrderedDict()

    def for_request(self, wanted: Filter | None, excluded: Rows) -> Allowed:
        """
        Args:
            wanted: the request's filter.
            excluded: ascending rows that this user must not see.
        """
        return Allowed(self._mask(wanted), excluded)

    def _mask(self, wanted: Filter | None) -> Mask:
        if wanted is None:
            return self._everything
        mask = self._masks.pop(wanted, None)
        if mask is None:
            mask = self._everything & filter_mask(wanted, self._catalogue)
        self._masks[wanted] = mask
        if len(self._masks) > self._n_kept:
            self._masks.popitem(last=False)
        return mask
