"""Finds items similar to a given one, for product pages without a known user."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.grouping import in_sorted
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.filters.allowed import Allowed


@dataclass(frozen=True, slots=True)
class SimilarItems:
    """Items that are similar to a given one.

    Attributes:
        rows: shape (k,), int32, best first.
        scores: shape (k,), float32: cosine, or 0 for items that are no neighbours.
    """

    rows: Rows
    scores: NDArray[np.float32]


def similar_items(
    row: int, n: int, catalogue: Catalogue, tables: CandidateTables, allowed: Allowed
) -> SimilarItems:
    """The item's nearest neighbours, then popular items of its category, then popular items.

    Gives min(n, number of other allowed items) rows.
    """
    entries = slice(tables.neighbour_offsets[row], tables.neighbour_offsets[row + 1])
    neighbours = tables.neighbour_rows[entries]
    kept = allowed.keeps(np.zeros(len(neighbours), np.int64), neighbours)
    near = neighbours[kept][:n]
    scores = np.zeros(n, np.float32)
    scores[: len(near)] = tables.neighbour_scores[entries][kept][:n]
    rows = near
    for ordered in (_of_category(row, catalogue, tables), tables.popular_rows):
        if len(rows) < n:
            # Enough rows, even if the first ones repeat the item and all rows so far.
            more, _ = allowed.first(ordered, n + len(rows) + 1)
            known = np.sort(np.append(rows, row))
            rows = np.concatenate([rows, more[~in_sorted(more, known)]])[:n]
    return SimilarItems(rows.astype(np.int32), scores[: len(rows)])


def _of_category(row: int, catalogue: Catalogue, tables: CandidateTables) -> Rows:
    code = catalogue.categories.codes[row]
    if code < 0:
        return np.empty(0, np.int32)
    bounds = tables.category_offsets
    return tables.category_rows[bounds[code] : bounds[code + 1]]
