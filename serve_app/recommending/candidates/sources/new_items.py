"""Offers new items, first those of the user's categories."""

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray
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
    starts, ends = _windows(queries, config.max_age_days)
    rows, offsets = queries.allowed.first_within(
        queries.tables.newest_rows, starts, ends, np.arange(len(queries)), config.pool
    )
    requests = owners(offsets)
    age_days = (queries.at[requests] - queries.catalogue.number("created_at")[rows]) / DAY_S
    codes = queries.catalogue.categories.codes[rows]
    shares = np.where(codes >= 0, queries.profiles.category_shares[requests, codes], 0.0)
    # The small constant orders the items of unknown categories by age. Age at most halves a score.
    scores = ((shares + 0.01) * (1 - age_days / (2 * config.max_age_days))).astype(np.float32)
    top, offsets = best_of_each(scores, offsets, config.limit)
    return Hits(rows[top], scores[top], offsets)


def _windows(queries: Queries, max_age_days: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the new items of each request begin and end among the newest rows, shape (n,) each.

    An item that is dated ahead is not new before its day. Such items come first in the order, and
    placeholders such as the year 9999 would leave no place for others.
    """
    created_at, newest = queries.catalogue.number("created_at"), queries.tables.newest_rows
    # All requests of a served batch have one moment.
    moments, moment_of = np.unique(queries.at, return_inverse=True)
    starts, ends = np.zeros((2, len(moments)), np.int64)
    for i, at in enumerate(moments.tolist()):

        def age_s(row: int, at: float = at) -> float:
            return at - float(created_at[row])

        # Ages ascend. The search reads a few rows, however many there are.
        starts[i] = bisect_left(newest, 0.0, key=age_s)
        ends[i] = bisect_right(newest, max_age_days * DAY_S, key=age_s)
    return starts[moment_of], ends[moment_of]
