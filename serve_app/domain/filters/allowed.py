"""Which items requests may show: masks that every source applies before it takes its best.

So a narrow filter still fills the list: nothing is cut away after the choice.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.grouping import Keys, in_sorted, positions_in
from serve_app.arrays.ragged import Offsets, offsets_of, positions_within, spans
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.filters.masks import Filter, filter_mask

_LEAST_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Allowed:
    """The items that each request of a batch may show.

    Attributes:
        masks: each shape (n_rows,), bool, items that may be shown to anybody with a filter.
        mask_of: shape (n,), which of the masks each request has.
        excluded: ascending keys (request * n_rows + row) of what a user must not see.
    """

    masks: tuple[Mask, ...]
    mask_of: NDArray[np.intp]
    excluded: Keys

    def __len__(self) -> int:
        return len(self.mask_of)

    @property
    def n_rows(self) -> int:
        return len(self.masks[0]) if self.masks else 0

    def keeps(self, requests: NDArray[np.int64], rows: Rows) -> Mask:
        """Which of the rows may be shown to their requests; both shape (m,)."""
        return self._shown(requests, rows) & ~in_sorted(
            requests * self.n_rows + rows, self.excluded
        )

    def keeps_ascending(self, keys: Keys, requests: NDArray[np.int64], rows: Rows) -> Mask:
        """The same, faster, of rows whose keys are given and ascend."""
        kept = self._shown(requests, rows)
        if len(keys):
            places = positions_in(self.excluded, keys)
            kept[places[keys[places] == self.excluded]] = False
        return kept

    def first(self, ordered: Rows, limits: NDArray[np.integer] | int) -> tuple[Rows, Offsets]:
        """The first rows that each request may show, at most its limit of them, in their order."""
        n = len(self)
        starts = np.zeros(n, np.int64)
        return self.first_within(ordered, starts, starts + len(ordered), np.arange(n), limits)

    def first_within(
        self,
        ordered: Rows,
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        requests: NDArray[np.int64],
        limits: NDArray[np.integer] | int,
    ) -> tuple[Rows, Offsets]:
        """The first rows of each stretch ``ordered[start:end]`` that its request may show, at most
        its limit of them, in their order; looks no further than needed.

        Args:
            starts, ends, requests: shape (m,), one for each stretch.
        """
        missing = np.zeros(len(starts), np.int64) + limits
        length = 2 * int(missing.max(initial=0)) + _LEAST_CHUNK
        starts, found = starts.copy(), [(np.empty(0, np.int32), np.empty(0, np.int64))]
        while len(open_ones := ((missing > 0) & (starts < ends)).nonzero()[0]):
            lengths = np.minimum(length, ends[open_ones] - starts[open_ones])
            positions, _ = spans(starts[open_ones], lengths)
            rows, stretches = ordered[positions], open_ones.repeat(lengths)
            kept = self.keeps(requests[stretches], rows)
            found.append(_first_of_each(rows[kept], stretches[kept], missing))
            missing -= np.bincount(found[-1][1], minlength=len(starts))
            starts[open_ones] += lengths
            length *= 4
        return _in_order(found, len(starts))

    def _shown(self, requests: NDArray[np.int64], rows: Rows) -> Mask:
        if len(self.masks) == 1:
            return self.masks[0][rows]
        shown = np.zeros(len(rows), bool)
        which = self.mask_of[requests]
        for number, mask in enumerate(self.masks):
            own = np.flatnonzero(which == number)
            shown[own] = mask[rows[own]]
        return shown


def _first_of_each(
    rows: Rows, stretches: NDArray[np.int64], limits: NDArray[np.int64]
) -> tuple[Rows, NDArray[np.int64]]:
    counts = np.bincount(stretches, minlength=len(limits))
    if (counts <= limits).all():
        return rows, stretches
    kept = positions_within(offsets_of(counts)) < limits[stretches]
    return rows[kept], stretches[kept]


def _in_order(found: Sequence[tuple[Rows, NDArray[np.int64]]], n: int) -> tuple[Rows, Offsets]:
    """What was found in each round, as lists by stretch; the first round is empty."""
    rows, stretches = found[-1]
    if len(found) > 2:
        rows, stretches = (np.concatenate(each) for each in zip(*found, strict=True))
        order = stretches.argsort(kind="stable")
        rows, stretches = rows[order], stretches[order]
    return rows, offsets_of(np.bincount(stretches, minlength=n))


class AllowedItems:
    """Masks of one catalogue by filter; the ones used last are kept."""

    def __init__(
        self, catalogue: Catalogue, *, include_out_of_stock: bool = False, n_kept: int = 128
    ) -> None:
        self._catalogue = catalogue
        self._everything = catalogue.listed if include_out_of_stock else catalogue.sellable
        self._n_kept = n_kept
        self._masks: OrderedDict[Filter, Mask] = OrderedDict()

    def for_requests(self, wanted: Sequence[Filter | None], excluded: Keys) -> Allowed:
        """
        Args:
            wanted: the filter of each request.
            excluded: ascending keys of what the users must not see.
        """
        distinct = list(dict.fromkeys(wanted))
        places = {each: place for place, each in enumerate(distinct)}
        mask_of = np.array([places[each] for each in wanted], np.intp)
        return Allowed(tuple(self._mask(each) for each in distinct), mask_of, excluded)

    def for_request(self, wanted: Filter | None, excluded: Rows) -> Allowed:
        """The same for one; ``excluded`` are rows."""
        return self.for_requests([wanted], excluded.astype(np.int64))

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
