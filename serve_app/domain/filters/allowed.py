"""Computes masks of the items that requests may show.

Every source applies them before it takes its best rows. Therefore a narrow filter still fills the
list: nothing is cut away after the choice.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.grouping import Keys, in_sorted, positions_in
from serve_app.arrays.ragged import Offsets, offsets_of, positions_within, spans
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.filters.masks import Filter, filter_mask, size_of
from serve_app.domain.filters.walks import Walks

_LEAST_CHUNK = 32
"""Rows that the first round reads beyond twice the limit, so that small limits need one round."""

_GROWTH = 4
"""Factor between the chunks of two rounds."""

_LONGEST_CHUNK = 4_096
"""Rows that later rounds read of a stretch at most. What needs more is found by a walk, which all
requests with the same mask share."""

MAX_MOVES = 256
"""A mask that was not used during so many moves of the catalogue is computed anew."""

MAX_BYTES = 64 * 2**20
"""Memory of the masks and walks that are kept for later batches."""


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


@dataclass(slots=True)
class _Kept:
    """Holds a mask for later batches; its walks grow, and ``n_bytes`` is what they had last.

    Attributes:
        as_of: number of the move of ``AllowedItems`` up to which the mask is right.
    """

    mask: Mask
    walks: Walks
    as_of: int
    n_bytes: int = 0


class AllowedItems:
    """Masks of one catalogue by filter. Keeps those that were used last, for one thread."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        include_out_of_stock: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._catalogue = catalogue
        self._include_out_of_stock = include_out_of_stock
        self._n_moves = 0
        self._moves: deque[Rows] = deque(maxlen=MAX_MOVES)
        everything = self._mask_of_everything()
        self._everything = _Kept(everything, Walks(everything), 0)
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Filter, _Kept] = OrderedDict()
        self._n_bytes = 0

    def move(self, catalogue: Catalogue, changed: Rows, *, is_reordered: bool) -> None:
        """Goes on with another state of the same catalogue; kept masks follow when they are used.

        Args:
            changed: ascending rows in which both states may differ.
            is_reordered: the orders of the items are other arrays now.
        """
        self._catalogue = catalogue
        self._n_moves += 1
        self._moves.append(changed)
        everything, kept = self._mask_of_everything(), self._everything
        if (everything[changed] != kept.mask[changed]).any():
            self._everything = _Kept(everything, Walks(everything), self._n_moves)
        if is_reordered:
            # At once: walks that go on would hold the old orders in memory.
            for each in (self._everything, *self._kept.values()):
                each.walks.forget()

    def for_requests(self, wanted: Sequence[Filter | None], excluded: Keys) -> Allowed:
        """The items of a batch: a filter for each request, and ``Allowed.excluded``."""
        distinct = list(dict.fromkeys(wanted))
        numbers = {filter: number for number, filter in enumerate(distinct)}
        mask_of = np.array([numbers[filter] for filter in wanted], np.intp)
        kept = [self._keep(filter) for filter in distinct]
        return Allowed(
            tuple(each.mask for each in kept), mask_of, excluded, tuple(each.walks for each in kept)
        )

    def for_request(self, wanted: Filter | None, excluded: Rows) -> Allowed:
        """The items of a single request; ``excluded`` are ascending rows."""
        # Request 0 has keys that equal its rows.
        return self.for_requests([wanted], excluded.astype(np.int64))

    def _keep(self, wanted: Filter | None) -> _Kept:
        if wanted is None:
            return self._everything
        # Taken out and put back: the dictionary stays in the order of the last use.
        kept = self._kept.pop(wanted, None)
        if kept is not None and self._n_moves - kept.as_of > len(self._moves):
            self._n_bytes -= kept.n_bytes
            kept = None
        if kept is None:
            mask = self._everything.mask & filter_mask(wanted, self._catalogue)
            kept = _Kept(mask, Walks(mask), self._n_moves)
        elif kept.as_of < self._n_moves:
            self._follow(kept, wanted)
        self._kept[wanted] = kept
        self._n_bytes -= kept.n_bytes
        kept.n_bytes = kept.mask.nbytes + kept.walks.n_bytes + size_of(wanted)
        self._n_bytes += kept.n_bytes
        # The last one stays, however large it is: this batch needs it.
        while self._n_bytes > self._max_bytes and len(self._kept) > 1:
            self._n_bytes -= self._kept.popitem(last=False)[1].n_bytes
        return kept

    def _follow(self, kept: _Kept, wanted: Filter) -> None:
        """Looks again at the rows that changed since a mask was used last."""
        n_missed = self._n_moves - kept.as_of
        changed = np.unique(np.concatenate(list(self._moves)[-n_missed:]))
        allowed = self._everything.mask[changed] & filter_mask(wanted, self._catalogue, changed)
        if (allowed != kept.mask[changed]).any():
            # In place: one thread uses the mask, and no batch is under way in it.
            kept.mask[changed] = allowed
            kept.walks = Walks(kept.mask)
        kept.as_of = self._n_moves

    def _mask_of_everything(self) -> Mask:
        return self._catalogue.listed if self._include_out_of_stock else self._catalogue.sellable
