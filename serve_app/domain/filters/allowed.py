"""Computes masks of the items that requests may show.

Every source applies them before it takes its best rows. Therefore a narrow filter still fills the
list: nothing is cut away after the choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.grouping import Keys, in_sorted, positions_in
from serve_app.arrays.ragged import Offsets, offsets_of, positions_within, spans
from serve_app.domain.filters.walks import Walks

_LEAST_CHUNK = 32
"""Rows that the first round reads beyond twice the limit, so that small limits need one round."""

_GROWTH = 4
"""Factor between the chunks of two rounds."""

_LONGEST_CHUNK = 4_096
"""Rows that later rounds read of a stretch at most. What needs more is found by a walk, which all
requests with the same mask share."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The items that each request of a batch may show.

    Attributes:
        masks: one per distinct filter, shape (n_rows,), bool.
        mask_of: shape (n,), index of each request's mask.
        excluded: ascending keys (request * n_rows + row) of the items that a user must not see.
        walks: one per mask; they remember what earlier batches found.
    """

    masks: tuple[Mask, ...]
    mask_of: NDArray[np.intp]
    excluded: Keys
    walks: tuple[Walks, ...]

    @classmethod
    def of(cls, masks: Sequence[Mask], mask_of: NDArray[np.intp], excluded: Keys) -> "Allowed":
        """Masks without a memory of earlier batches."""
        return cls(tuple(masks), mask_of, excluded, tuple(Walks(mask) for mask in masks))

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
        # Adding copies: the rounds count ``missing`` down in place.
        missing = np.zeros(len(starts), np.int64) + limits
        # Narrow masks find next to nothing in the first rounds.
        narrow = self._are_narrow(requests) & (ends - starts > _LONGEST_CHUNK)
        readable = np.where(narrow, starts, ends)
        rounds, unfilled = self._first_rounds(ordered, starts, readable, requests, missing)
        if narrow.any():
            unfilled = np.union1d(unfilled, narrow.nonzero()[0])
        if len(unfilled):
            limits = np.broadcast_to(limits, len(starts))
            walked = [
                self._walked(
                    ordered, starts[i], ends[i], requests[i], limits[i] - missing[i], limits[i]
                )
                for i in unfilled
            ]
            lengths = [len(rows) for rows in walked]
            rounds.append((np.concatenate(walked), unfilled.repeat(lengths)))
        return _join_rounds(rounds, len(starts))

    def _are_narrow(self, requests: NDArray[np.int64]) -> Mask:
        return np.array([walks.is_narrow for walks in self.walks], bool)[self.mask_of[requests]]

    def _first_rounds(
        self,
        ordered: Rows,
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        requests: NDArray[np.int64],
        missing: NDArray[np.int64],
    ) -> tuple[list[tuple[Rows, NDArray[np.int64]]], NDArray[np.intp]]:
        """Reads the beginnings of all stretches at once; also gives the stretches that need more.

        Args:
            missing: shape (m,), counted down in place.
        """
        # Twice the limit leaves room for excluded rows in the first round.
        length = 2 * int(missing.max(initial=0)) + _LEAST_CHUNK
        starts, rounds = starts.copy(), [(np.empty(0, np.int32), np.empty(0, np.int64))]
        while len(unfilled := ((missing > 0) & (starts < ends)).nonzero()[0]):
            if length > _LONGEST_CHUNK and len(rounds) > 1:
                break
            lengths = np.minimum(length, ends[unfilled] - starts[unfilled])
            positions, _ = spans(starts[unfilled], lengths)
            rows, stretches = ordered[positions], unfilled.repeat(lengths)
            kept = self.keeps(requests[stretches], rows)
            rounds.append(_first_of_each(rows[kept], stretches[kept], missing))
            missing -= np.bincount(rounds[-1][1], minlength=len(starts))
            starts[unfilled] += lengths
            length *= _GROWTH
        return rounds, unfilled

    def _walked(
        self, ordered: Rows, start: int, end: int, request: int, n_taken: int, limit: int
    ) -> Rows:
        """The rows of one stretch after the first ``n_taken``, up to its limit."""
        first, last = request * self.n_rows, (request + 1) * self.n_rows
        bounds = self.excluded.searchsorted([first, last])
        excluded = self.excluded[bounds[0] : bounds[1]] - first
        walks = self.walks[self.mask_of[request]]
        rows = walks.first(ordered, int(start), int(end), int(limit) + len(excluded))
        kept: Rows = rows[~in_sorted(rows, excluded)]
        return kept[n_taken:limit]

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
