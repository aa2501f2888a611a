"""Keeps the orders of the items: puts items that come or change at their places.

The orders of a fit are sorted, so a place is found by bisection, which reads few rows.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.ragged import Offsets, lengths_of, offsets_of
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue

Key = Callable[[int], tuple[float, int]]
"""The place of a row in an order: by a number, and rows of equal numbers by the row."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows whose place in the orders may be another one.

    Attributes:
        rows: shape (k,), ascending.
        were_in: shape (k,), bool, rows that the orders had.
        are_in: shape (k,), bool, rows that the orders have from now on. None ever leaves them:
            masks leave out what is not listed.
    """

    rows: Rows
    were_in: Mask
    are_in: Mask


def reorder(
    tables: CandidateTables, before: Catalogue, after: Catalogue, moved: Moved
) -> CandidateTables:
    """The tables with the orders of the catalogue as it is after a change.

    Returns:
        Tables whose orders are the same objects wherever nothing moved.
    """
    joining = moved.rows[moved.are_in & ~moved.were_in]
    changes: dict[str, Any] = {}
    by_popularity = _descending(after.number("popularity"))
    if len(joining):
        changes["popular_rows"] = _insert(tables.popular_rows, joining, by_popularity)
    leaving, entering = _newest_moves(before, after, moved)
    if leaving.any() or entering.any():
        left = _remove(
            tables.newest_rows, moved.rows[leaving], _descending(before.number("created_at"))
        )
        changes["newest_rows"] = _insert(
            left, moved.rows[entering], _descending(after.number("created_at"))
        )
    if after.categories is not before.categories or len(joining):
        changes |= _recategorised(tables, before, after, moved, by_popularity)
    return replace(tables, **changes) if changes else tables


def _newest_moves(before: Catalogue, after: Catalogue, moved: Moved) -> tuple[Mask, Mask]:
    old, new = (each.number("created_at")[moved.rows] for each in (before, after))
    differ = ~((old == new) | (np.isnan(old) & np.isnan(new))) | (moved.are_in & ~moved.were_in)
    leaving: Mask = moved.were_in & differ & np.isfinite(old)
    return leaving, moved.are_in & differ & np.isfinite(new)


def _recategorised(
    tables: CandidateTables, before: Catalogue, after: Catalogue, moved: Moved, key: Key
) -> dict[str, Any]:
    old, new = (each.categories.codes[moved.rows] for each in (before, after))
    differ = (old != new) | (moved.are_in & ~moved.were_in)
    leaving = moved.were_in & differ & (old >= 0)
    entering = moved.are_in & differ & (new >= 0)
    rows, offsets = tables.category_rows, tables.category_offsets
    n_new = after.categories.n_words - (len(offsets) - 1)
    lengths = np.concatenate((lengths_of(offsets), np.zeros(n_new, np.int64)))
    positions = [
        offsets[code] + _position(rows[offsets[code] : offsets[code + 1]], row, key)
        for row, code in zip(moved.rows[leaving].tolist(), old[leaving].tolist(), strict=True)
    ]
    rows = np.delete(rows, positions) if positions else rows
    np.subtract.at(lengths, old[leaving], 1)
    rows = _insert_by_code(rows, offsets_of(lengths), moved.rows[entering], new[entering], key)
    np.add.at(lengths, new[entering], 1)
    return {"category_rows": rows, "category_offsets": offsets_of(lengths)}


def _insert_by_code(
    rows: Rows, offsets: Offsets, entering: Rows, codes: NDArray[np.int32], key: Key
) -> Rows:
    if not len(entering):
        return rows
    # By category, and then in its order: rows for one position are inserted as they are given.
    pairs = sorted(
        zip(codes.tolist(), entering.tolist(), strict=True),
        key=lambda pair: (pair[0], key(pair[1])),
    )
    positions = [
        offsets[code] + bisect_left(rows[offsets[code] : offsets[code + 1]], key(row), key=key)
        for code, row in pairs
    ]
    return np.insert(rows, positions, [row for _, row in pairs])


def _descending(values: NDArray[np.floating]) -> Key:
    return lambda row: (-float(values[row]), int(row))


def _insert(ordered: Rows, rows: Rows, key: Key) -> Rows:
    if not len(rows):
        return ordered
    entering = sorted(rows.tolist(), key=key)
    positions = [bisect_left(ordered, key(row), key=key) for row in entering]
    return np.insert(ordered, positions, entering)


def _remove(ordered: Rows, rows: Rows, key: Key) -> Rows:
    if not len(rows):
        return ordered
    return np.delete(ordered, [_position(ordered, row, key) for row in rows.tolist()])


def _position(ordered: Rows, row: int, key: Key) -> int:
    at = bisect_left(ordered, key(row), key=key)
    if at < len(ordered) and ordered[at] == row:
        return at
    # An order that another build has sorted differently.
    return int(np.flatnonzero(ordered == row)[0])
