"""Computes masks of the items that requests may show.

Every source applies them before it takes its best rows. Therefore a narrow filter still fills the
list: nothing is cut away after the choice.
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
"""Rows that the first round reads beyond twice the limit, so that small limits need one round."""

_GROWTH = 4
"""Factor between the chunks of two rounds. A narrow filter needs a logarithmic number of rounds."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The items that each request of a batch may show.

    Attributes:
        masks: one per distinct filter, shape (n_rows,), bool.
        mask_of: shape (n,), index of each request's mask.
        excluded: ascending keys (request * n_rows + row) of the items that a user must not see.
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
        """Tells for each row whether its request may show it; all shape (m,)."""
        return self._shown(requests, rows) & ~in_sorted(
            requests * self.n_rows + rows, self.excluded
        )

    def keeps_ascending(self, keys: Keys, requests: NDArray[np.int64], rows: Rows) -> Mask:
        """Does what ``keeps`` does, faster, for rows whose keys are given and ascend."""
        kept = self._shown(requests, rows)
        # The few exclusions are looked up among the many keys, not the other way round. An empty
        # array of keys has no valid position.
        if len(keys):
            positions = positions_in(self.excluded, keys)
            kept[positions[keys[positions] == self.excluded]] = False
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
        """The first rows of each stretch ``ordered[start:end]`` that its request may show.

        Rows keep their order. No stretch gives more than its limit, or is read further than needed.

        Args:
            starts, ends, requests: shape (m,), one for each stretch.
        """
        # Adding copies: the rounds below count ``missing`` down in place.
        missing = np.zeros(len(starts), np.int64) + limits
        # Twice the limit leaves room for excluded rows in the first round.
        length = 2 * int(missing.max(initial=0)) + _LEAST_CHUNK
        starts, rounds = starts.copy(), [(np.empty(0, np.int32), np.empty(0, np.int64))]
        while len(unfilled := ((missing > 0) & (starts < ends)).nonzero()[0]):
            lengths = np.minimum(length, ends[unfilled] - starts[unfilled])
            positions, _ = spans(starts[unfilled], lengths)
            rows, stretches = ordered[positions], unfilled.repeat(lengths)
            kept = self.keeps(requests[stretches], rows)
            rounds.append(_first_of_each(rows[kept], stretches[kept], missing))
            missing -= np.bincount(rounds[-1][1], minlength=len(starts))
            starts[unfilled] += lengths
            length *= _GROWTH
        return _join_rounds(rounds, len(starts))

    def _shown(self, requests: NDArray[np.int64], rows: Rows) -> Mask:
        # A batch with one filter needs one look-up instead of a pass per mask.
        if len(self.masks) == 1:
            return self.masks[0][rows]
        shown = np.zeros(len(rows), bool)
        numbers = self.mask_of[requests]
        for number, mask in enumerate(self.masks):
            positions = np.flatnonzero(numbers == number)
            shown[positions] = mask[rows[positions]]
        return shown


def _first_of_each(
    rows: Rows, stretches: NDArray[np.int64], limits: NDArray[np.int64]
) -> tuple[Rows, NDArray[np.int64]]:
    counts = np.bincount(stretches, minlength=len(limits))
    if (counts <= limits).all():
        return rows, stretches
    kept = positions_within(offsets_of(counts)) < limits[stretches]
    return rows[kept], stretches[kept]


def _join_rounds(rounds: Sequence[tuple[Rows, NDArray[np.int64]]], n: int) -> tuple[Rows, Offsets]:
    """Rows and stretches of all rounds, as one list per stretch; the first round is empty."""
    rows, stretches = rounds[-1]
    # One round is in order already. Of several, a stable sort keeps the rounds of a stretch apart.
    if len(rounds) > 2:
        rows, stretches = (np.concatenate(arrays) for arrays in zip(*rounds, strict=True))
        order = stretches.argsort(kind="stable")
        rows, stretches = rows[order], stretches[order]
    return rows, offsets_of(np.bincount(stretches, minlength=n))


class AllowedItems:
    """Masks of one catalogue by filter. Keeps those that were used last, for one thread."""

    def __init__(
        self, catalogue: Catalogue, *, include_out_of_stock: bool = False, n_kept: int = 128
    ) -> None:
        self._catalogue = catalogue
        self._everything = catalogue.listed if include_out_of_stock else catalogue.sellable
        self._n_kept = n_kept
        self._masks: OrderedDict[Filter, Mask] = OrderedDict()

    def for_requests(self, wanted: Sequence[Filter | None], excluded: Keys) -> Allowed:
        """The items of a batch: a filter for each request, and ``Allowed.excluded``."""
        distinct = list(dict.fromkeys(wanted))
        numbers = {filter: number for number, filter in enumerate(distinct)}
        mask_of = np.array([numbers[filter] for filter in wanted], np.intp)
        return Allowed(tuple(self._mask(filter) for filter in distinct), mask_of, excluded)

    def for_request(self, wanted: Filter | None, excluded: Rows) -> Allowed:
        """The items of a single request; ``excluded`` are ascending rows."""
        # Request 0 has keys that equal its rows.
        return self.for_requests([wanted], excluded.astype(np.int64))

    def _mask(self, wanted: Filter | None) -> Mask:
        if wanted is None:
            return self._everything
        # Taken out and put back: the dictionary stays in the order of the last use.
        mask = self._masks.pop(wanted, None)
        if mask is None:
            mask = self._everything & filter_mask(wanted, self._catalogue)
        self._masks[wanted] = mask
        if len(self._masks) > self._n_kept:
            self._masks.popitem(last=False)
        return mask
