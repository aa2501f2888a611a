"""Items that came lately, those of the user's categories first."""

import numpy as np
from pydantic import Field

from serve_app.domain.features import DAY_S
from serve_app.domain.grouping import best
from serve_app.domain.sources.query import Hits, Query, SourceConfig


class NewItemsConfig(SourceConfig):
    """
    Attributes:
        max_age_days: how long an item is new.
        pool: how many of the newest allowed items are compared by category.
    """

    limit: int = Field(default=30, ge=1, le=1_000)
    max_age_days: float = Field(default=45.0, gt=0)
    pool: int = Field(default=400, ge=1)


def new_items(query: Query, config: NewItemsConfig) -> Hits:
    created_at = query.catalogue.number("created_at")
    rows = query.allowed.first(query.tables.newest_rows, config.pool)
    age_days = (query.at - created_at[rows]) / DAY_S
    rows, age_days = (
        rows[age_days <= config.max_age_days],
        age_days[age_days <= config.max_age_days],
    )
    codes = query.catalogue.categories.codes[rows]
    shares = np.where(codes >= 0, query.category_shares[codes], 0.0)
    # A share of nothing must not make all scores equal: freshness orders what is left.
    scores = ((shares + 0.01) * (1 - age_days / (2 * config.max_age_days))).astype(np.float32)
    top = best(rows, scores, config.limit)
    return Hits(rows[top], scores[top])
