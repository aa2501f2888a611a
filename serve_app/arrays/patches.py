"""Gives a few rows of large arrays other values, without copies of the arrays.

A bundle maps its arrays read-only. A patch holds the rows that differ, ascending, and their values.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, IdIndex, Rows, Texts, hash_ids
from serve_app.arrays.grouping import matches, positions_in


class Values(Protocol):
    """Values of several rows, such as ``Texts`` and every stored column."""

    def select(self, rows: NDArray[np.integer]) -> Self: ...

    def join(self, others: Self) -> Self: ...


Patch = TypeVar("Patch", bound=Values)


def merge(rows: Rows, values: Patch, later_rows: Rows, later: Patch) -> tuple[Rows, Patch]:
    """One patch of two; later values win. Rows are distinct in each, and ascend in the result."""
    merged, last = _last_of_each(np.concatenate((rows, later_rows)))
    return merged.astype(np.int32), values.join(later).select(last)


def _last_of_each(keys: NDArray[np.generic]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The distinct keys, ascending, and the last position of each."""
    # ``unique`` gives the first position of each key.
    distinct, first = np.unique(keys[::-1], return_index=True)
    return distinct, len(keys) - 1 - first


@dataclass(frozen=True, slots=True)
class PatchedTexts(Texts):
    """Strings of which some have other words.

    Attributes:
        rows: shape (k,), ascending.
        texts: the strings of ``rows``.
    """

    rows: Rows
    texts: Texts

    @classmethod
    def over(cls, base: Texts, rows: Rows, texts: Texts) -> "PatchedTexts":
        """Strings over others, which may have a patch already. Rows ascend."""
        if isinstance(base, PatchedTexts):
            rows, texts = merge(base.rows, base.texts, rows, texts)
        return cls(base.data, base.offsets, rows, texts)

    def __iter__(self) -> Iterator[str]:
        return (self.at(row) for row in range(len(self)))

    def __getitem__(self, row: int) -> str:
        at = int(self.rows.searchsorted(row))
        if at < len(self.rows) and self.rows[at] == row:
            return self.texts.at(at)
        return Texts.at(self, row)

    at = __getitem__

    def take(self, rows: Iterable[int]) -> list[str]:
        return [self.at(row) for row in rows]

    def select(self, rows: NDArray[np.integer]) -> Texts:
        return Texts.of(self.take(rows.tolist()))

    def join(self, others: Texts) -> Texts:
        return Texts.of([*self, *others])


@dataclass(frozen=True, slots=True)
class PatchedIndex(IdIndex):
    """An index of which some ids have other rows, or are hidden.

    Attributes:
        patch: has the row of each such id, ``MISSING`` for a hidden one.
    """

    patch: IdIndex

    @classmethod
    def over(cls, base: IdIndex, patch: IdIndex) -> "PatchedIndex":
        """An index over another one, which may have a patch already."""
        if isinstance(base, PatchedIndex):
            earlier = base.patch
            hashes, last = _last_of_each(np.concatenate((earlier.hashes, patch.hashes)))
            patch = IdIndex(hashes, np.concatenate((earlier.rows, patch.rows))[last])
        return cls(base.hashes, base.rows, patch)

    def find(self, ids: Iterable[str]) -> Rows:
        wanted = hash_ids(ids)
        rows = np.full(len(wanted), MISSING, np.int32)
        if len(self.hashes):
            rows = self.rows_of(wanted)
        at = positions_in(wanted, self.patch.hashes)
        patched = self.patch.hashes[at] == wanted
        return np.where(patched, self.patch.rows[at], rows).astype(np.int32)


@dataclass(frozen=True, slots=True)
class PatchedMatrix:
    """A matrix of which some rows differ. Read as an array is, by rows.

    Attributes:
        base: shape (n, d).
        rows: shape (k,), ascending.
        values: shape (k, d).
    """

    base: NDArray[np.float32]
    rows: Rows
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.base)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    def __getitem__(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        taken: NDArray[np.float32] = self.base[rows]
        positions, at = matches(rows, self.rows)
        taken[positions] = self.values[at]
        return taken


Matrix = NDArray[np.float32] | PatchedMatrix
"""A matrix that is read by rows; most have no patch."""


def patch_matrix(matrix: Matrix, rows: Rows, values: NDArray[np.float32]) -> PatchedMatrix:
    """Gives rows of a matrix other values; rows ascend, shape (k,), values (k, d)."""
    if not isinstance(matrix, PatchedMatrix):
        return PatchedMatrix(matrix, rows, values)
    merged, last = _last_of_each(np.concatenate((matrix.rows, rows)))
    values = np.concatenate((matrix.values, values))[last]
    return PatchedMatrix(matrix.base, merged.astype(np.int32), values)
