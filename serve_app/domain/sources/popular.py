"""What everybody buys: the floor under every list, which is why it cannot be switched off."""

from typing import Literal

import numpy as np

from serve_app.domain.sources.query import Hits, Query, SourceConfig


class PopularConfig(SourceConfig):
    enabled: Literal[True] = True


def popular(query: Query, config: PopularConfig) -> Hits:
    # As many as are wanted, whatever the limit: the other sources may find nothing at all.
    rows = query.allowed.first(query.tables.popular_rows, max(config.limit, query.size))
    return Hits(rows, query.catalogue.number("popularity")[rows].astype(np.float32))
