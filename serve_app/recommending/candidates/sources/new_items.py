"""Offers new items, first those of the user's categories."""

from bisect import bisect_left, bisect_right

import numpy as np
from pydantic import Field

from serve_app.arrays.ragged import best_of_each, owners
from serve_app.arrays.units import DAY_S
from serve_app.recommending.candidates.sources.query import Hits, Limit, Queries, SourceConfig


class NewItemsConfig(SourceConfig):
    """Settings of the source of new items."""

    limit: Limit = 30
    max_age_days: float = Field(
        default=45.0, gt=0, description="Days for which an item counts as new."
    )
    pool: int = Field(
        default=400,
        ge=1,
        description="Newest allowed items that are compared by the user's categories.",
    )


def new_items(queries: Queries, config: NewItemsConfig) -> Hits:
    n, (start, end) = len(queries), _window(queries, config.max_age_days)
    rows, offsets = queries.allowed.first_within(
        queries.tables.newest_rows, np.full(n, start), np.full(n, end), np.arange(n), config.pool
    )
    requests = owners(offsets)
    age_days = (queries.at - queries.catalogue.number("created_at")[rows]) / DAY_S
    codes = queries.catalogue.categories.codes[rows]
    shares = np.where(codes >= 0, queries.profiles.category_shares[requests, codes], 0.0)
    # The small constant orders the items of unknown categories by age. Age at most halves a score.
    scores = ((shares + 0.01) * (1 - age_days / (2 * config.max_age_days))).astype(np.float32)
    top, offsets = best_of_each(scores, offsets, config.limit)
    return Hits(rows[top], scores[top], offsets)


def _window(queries: Queries, max_age_days: float) -> tuple[int, int]:
    """Where the new items begin and end among the newest rows.

    An item that is dated ahead is not new before its day. Such items come first in the order, and
    placeholders such as the year 9999 would leave no place for others.
    """
    created_at, newest = queries.catalogue.number("created_at"), queries.tables.newest_rows

    def age_s(row: int) -> float:
        return queries.at - float(created_at[row])

    # Ages ascend. The search reads a few rows, however many there are.
    return bisect_left(newest, 0.0, key=age_s), bisect_right(
        newest, max_age_days * DAY_S, key=age_s
    )
