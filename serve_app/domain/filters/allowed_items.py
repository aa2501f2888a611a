"""Keeps the masks of filters from batch to batch, also while the items change."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.grouping import Keys
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.filters.allowed import Allowed
from serve_app.domain.filters.masks import Filter, filter_mask, size_of
from serve_app.domain.filters.walks import Walks

MAX_MOVES = 256
"""A mask that was not used during so many moves of the catalogue is computed anew."""

MAX_BYTES = 64 * 2**20
"""Memory of the masks and walks that are kept for later batches."""


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
