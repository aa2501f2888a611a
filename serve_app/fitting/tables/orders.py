"""Orders of the catalogue: what the sources offer whoever asks, or by category."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.domain.catalogue import Catalogue


class Orders(NamedTuple):
    """Fields of ``domain.tables.CandidateTables``."""

    popular_rows: Rows
    category_offsets: Offsets
    category_rows: Rows
    newest_rows: Rows


def orders_of(catalogue: Catalogue) -> Orders:
    """Listed items by popularity, in all and in each category, and by age."""
    popular = _descending(catalogue.listed, catalogue.number("popularity"))
    category_rows, category_offsets = _by_category(catalogue, popular)
    return Orders(
        popular_rows=popular,
        category_offsets=category_offsets,
        category_rows=category_rows,
        newest_rows=_descending(catalogue.listed, catalogue.number("created_at")),
    )


def _descending(listed: Mask, values: NDArray[np.floating]) -> Rows:
    rows = np.flatnonzero(listed & np.isfinite(values))
    return rows[np.lexsort((rows, -values[rows]))].astype(np.int32)


def _by_category(catalogue: Catalogue, ordered: Rows) -> tuple[Rows, Offsets]:
    """Rows of each category in their given order."""
    categories = catalogue.categories
    known = ordered[categories.codes[ordered] >= 0]
    codes = categories.codes[known]
    lengths = np.bincount(codes, minlength=categories.n_words)
    return known[np.argsort(codes, kind="stable")], offsets_of(lengths)
