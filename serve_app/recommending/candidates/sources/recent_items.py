"""Offers neighbours of the items of the user's history."""

from dataclasses import replace

import numpy as np
from pydantic import Field

from serve_app.arrays.grouping import strongest_by_key, sum_by_key
from serve_app.arrays.ragged import owners
from serve_app.recommending.candidates.sources.query import (
    Hits,
    Limit,
    Queries,
    SourceConfig,
    best_hits,
)


class RecentItemsConfig(SourceConfig):
    """Settings of the source of neighbours of recent items."""

    limit: Limit = 200
    n_seeds: int = Field(
        default=60, ge=1, description="Items of the user's history whose neighbours are offered."
    )


def recent_items(queries: Queries, config: RecentItemsConfig) -> Hits:
    tables, n_rows = queries.tables, queries.n_rows
    seeds = queries.seeds(config.n_seeds)
    votes = seeds.votes(
        tables.neighbour_offsets, tables.neighbour_rows, tables.neighbour_scores, n_rows
    )
    keys, sums = sum_by_key(votes.keys, votes.strengths, len(queries) * n_rows)
    hits = best_hits(queries, keys, sums, config.limit)
    voted, strongest = strongest_by_key(votes.keys, votes.strengths)
    led = strongest[np.searchsorted(voted, owners(hits.offsets) * n_rows + hits.rows)]
    return replace(hits, because=seeds.rows[votes.voters[led]].astype(np.int32))
