"""Finds items similar to a given one, for product pages without a known user."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.grouping import in_sorted
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.filters.allowed import Allowed

MAX_COMPARED = 4_096
"""Popular items of a category whose words are compared with those of an item."""


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

    An item without neighbours, as a new one, is near items of its category with similar words.
    Gives min(n, number of other allowed items) rows.
    """
    neighbours, cosines = _neighbours(row, catalogue, tables)
    kept = allowed.keeps(np.zeros(len(neighbours), np.int64), neighbours)
    near = neighbours[kept][:n]
    scores = np.zeros(n, np.float32)
    scores[: len(near)] = cosines[kept][:n]
    rows = near
    for ordered in (_of_category(row, catalogue, tables), tables.popular_rows):
        if len(rows) < n:
            # Enough rows, even if the first ones repeat the item and all rows so far.
            more, _ = allowed.first(ordered, n + len(rows) + 1)
            known = np.sort(np.append(rows, row))
            rows = np.concatenate([rows, more[~in_sorted(more, known)]])[:n]
    return SimilarItems(rows.astype(np.int32), scores[: len(rows)])


def _neighbours(
    row: int, catalogue: Catalogue, tables: CandidateTables
) -> tuple[Rows, NDArray[np.float32]]:
    """Rows near an item and their cosines, best first."""
    entries = slice(tables.neighbour_offsets[row], tables.neighbour_offsets[row + 1])
    if entries.start < entries.stop:
        return tables.neighbour_rows[entries], tables.neighbour_scores[entries]
    near = _of_category(row, catalogue, tables)[:MAX_COMPARED]
    near = near[near != row]
    [vector] = tables.content_vectors[np.array([row])]
    # Not matmul: BLAS may round equal vectors differently depending on their position.
    cosines = np.einsum("ij,j->i", tables.content_vectors[near], vector)
    best = np.argsort(-cosines, kind="stable")
    best = best[cosines[best] > 0]
    return near[best], cosines[best]


def _of_category(row: int, catalogue: Catalogue, tables: CandidateTables) -> Rows:
    code = catalogue.categories.codes[row]
    if code < 0:
        return np.empty(0, np.int32)
    bounds = tables.category_offsets
    return tables.category_rows[bounds[code] : bounds[code + 1]]
