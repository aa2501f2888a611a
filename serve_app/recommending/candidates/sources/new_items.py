"""Offers new items, first those of the user's categories."""

import numpy as np
from pydantic import Field

from serve_app.arrays.ragged import best_of_each, offsets_of, owners
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
    rows, offsets = queries.allowed.first(queries.tables.newest_rows, config.pool)
    requests = owners(offsets)
    age_days = (queries.at - queries.catalogue.number("created_at")[rows]) / DAY_S
    is_new = age_days <= config.max_age_days
    rows, requests, age_days = rows[is_new], requests[is_new], age_days[is_new]
    codes = queries.catalogue.categories.codes[rows]
    shares = np.where(codes >= 0, queries.profiles.category_shares[requests, codes], 0.0)
    # The small constant orders the items of unknown categories by age. Age at most halves a score.
    scores = ((shares + 0.01) * (1 - age_days / (2 * config.max_age_days))).astype(np.float32)
    offsets = offsets_of(np.bincount(requests, minlength=len(queries)))
    top, offsets = best_of_each(scores, offsets, config.limit)
    return Hits(rows[top], scores[top], offsets)
