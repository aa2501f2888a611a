"""Walks through long orders of the catalogue once for each mask, however many requests ask.

A narrow filter allows few rows of an order. Without a memory, each request would walk through the
whole order to find them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows

_CHUNK = 65_536
"""Rows that are read at once: an order of a million rows needs no more memory than this."""

_SPARE = 256
"""Rows that are found beyond those asked for, so that the next request need not walk on."""


@dataclass(slots=True)
class _Walk:
    """Holds what was found of one stretch of an order.

    Attributes:
        ordered: kept alive, because its address is the key of the walk.
        position: where the walk goes on.
        found: allowed rows before the position, in their order.
    """

    ordered: Rows
    position: int
    found: Rows


_NARROW = 1 / 16
"""Share of the catalogue below which a mask is narrow."""


class Walks:
    """Finds the first rows of orders that one mask allows. For one thread.

    Attributes:
        is_narrow: the mask allows few rows of the catalogue.
    """

    def __init__(self, mask: Mask) -> None:
        self.is_narrow = bool(np.count_nonzero(mask) < _NARROW * len(mask))
        self._mask = mask
        self._walks: dict[tuple[int, int, int], _Walk] = {}

    def forget(self) -> None:
        """Lets go of all orders: the catalogue has others now."""
        self._walks.clear()

    @property
    def n_bytes(self) -> int:
        """Memory of the rows that were found."""
        return sum(walk.found.nbytes for walk in self._walks.values())

    def first(self, ordered: Rows, start: int, end: int, n: int) -> Rows:
        """The first ``n`` allowed rows of ``ordered[start:end]``, or all if there are fewer."""
        # An order is known by its address: slices of one array are new objects at each call.
        key = (ordered.ctypes.data, start, end)
        walk = self._walks.get(key)
        if walk is None:
            walk = self._walks[key] = _Walk(ordered, start, np.empty(0, np.int32))
        if len(walk.found) < n and walk.position < end:
            self._go_on(walk, end, n + _SPARE)
        return walk.found[:n]

    def _go_on(self, walk: _Walk, end: int, n: int) -> None:
        parts, n_found = [walk.found], len(walk.found)
        while n_found < n and walk.position < end:
            rows = walk.ordered[walk.position : min(walk.position + _CHUNK, end)]
            kept: NDArray[np.int32] = rows[self._mask[rows]]
            parts.append(kept)
            n_found += len(kept)
            walk.position += len(rows)
        walk.found = np.concatenate(parts)
