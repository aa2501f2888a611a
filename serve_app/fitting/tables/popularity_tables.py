"""Orders the catalogue by popularity and age, and counts the users of each period."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.arrays.units import DAY_S
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import InteractionLog


class Orders(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``."""

    popular_rows: Rows
    category_offsets: Offsets
    category_rows: Rows
    newest_rows: Rows


def order_catalogue(catalogue: Catalogue) -> Orders:
    """Listed items by popularity, overall and in each category, and by age."""
    popular = _descending(catalogue.listed, catalogue.number("popularity"))
    category_rows, category_offsets = _by_category(catalogue, popular)
    return Orders(
        popular_rows=popular,
        category_offsets=category_offsets,
        category_rows=category_rows,
        newest_rows=_descending(catalogue.listed, catalogue.number("created_at")),
    )


def _descending(listed: Mask, values: NDArray[np.floating]) -> Rows:
    """Listed rows by value, largest first; the smaller row wins ties, and NaN is left out."""
    rows = np.flatnonzero(listed & np.isfinite(values))
    return rows[np.lexsort((rows, -values[rows]))].astype(np.int32)


def _by_category(catalogue: Catalogue, ordered: Rows) -> tuple[Rows, Offsets]:
    """Rows of each category, in the given order."""
    categories = catalogue.categories
    known = ordered[categories.codes[ordered] >= 0]
    codes = categories.codes[known]
    lengths = np.bincount(codes, minlength=categories.n_words)
    # Stable: rows keep their order within a category.
    return known[np.argsort(codes, kind="stable")], offsets_of(lengths)


class Periods(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``, with distinct users as counts."""

    period_starts_at: NDArray[np.float64]
    period_counts: NDArray[np.float32]
    period_totals: NDArray[np.float32]
    period_users: NDArray[np.float32]


def count_periods(
    log: InteractionLog, n_rows: int, at: float, period_days: float, max_periods: int
) -> Periods:
    """Counts the users of the latest periods of equal length.

    Args:
        at: epoch seconds, end of the last period.
    """
    length_s = period_days * DAY_S
    span_s = at - float(log.at.min()) if len(log) else 0.0
    n = int(np.clip(np.ceil(span_s / length_s), 1, max_periods))
    starts_at = np.asarray(at - length_s * np.arange(n, 0, -1), np.float64)
    periods = np.searchsorted(starts_at, log.at, side="right") - 1
    kept = periods >= 0
    n_users = max(len(log.user_ids), 1)
    # One number per row, period and user; int64, as the product exceeds 32 bits.
    cells = log.rows[kept].astype(np.int64) * n + periods[kept]
    once = np.unique(cells * n_users + log.users[kept]) // n_users
    counts = np.bincount(once, minlength=n_rows * n).reshape(n_rows, n).astype(np.float32)
    visits = np.unique(periods[kept] * np.int64(n_users) + log.users[kept]) // n_users
    users = np.bincount(visits, minlength=n).astype(np.float32)
    return Periods(starts_at, counts, counts.sum(axis=0), users)
