"""Offers popular items. It fills up every list, so it cannot be switched off."""

from typing import Literal

import numpy as np
from pydantic import Field

from serve_app.recommending.candidates.sources.query import Hits, Queries, SourceConfig


class PopularConfig(SourceConfig):
    """Settings of the source of popular items."""

    enabled: Literal[True] = Field(
        default=True, description="Cannot be switched off: every list rests on this source."
    )


def popular(queries: Queries, config: PopularConfig) -> Hits:
    # At least the requested number, whatever the limit: the other sources may find nothing.
    limits = np.maximum(config.limit, queries.sizes)
    rows, offsets = queries.allowed.first(queries.tables.popular_rows, limits)
    scores = queries.catalogue.number("popularity")[rows].astype(np.float32)
    return Hits(rows, scores, offsets)
