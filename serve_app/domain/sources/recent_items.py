"""Items close to those that the user had to do with (item-to-item neighbours)."""

from pydantic import Field

from serve_app.domain.grouping import best_by_row, sum_by_row
from serve_app.domain.ragged import gather, owners
from serve_app.domain.sources.query import NO_HITS, Hits, Query, SourceConfig, best_hits


class RecentItemsConfig(SourceConfig):
    """Attributes: n_seeds: how many of the user's items are asked for their neighbours."""

    limit: int = Field(default=200, ge=1, le=1_000)
    n_seeds: int = Field(default=60, ge=1)


def recent_items(query: Query, config: RecentItemsConfig) -> Hits:
    tables = query.tables
    seeds, strengths = query.seeds(config.n_seeds)
    positions, taken = gather(tables.neighbour_offsets, seeds)
    rows = tables.neighbour_rows[positions]
    if not len(rows):
        return NO_HITS
    seed_of = owners(taken)
    votes = tables.neighbour_scores[positions] * strengths[seed_of]
    distinct, scores = sum_by_row(rows, votes)
    _, strongest = best_by_row(rows, votes)
    return best_hits(query, distinct, scores, config.limit, seeds[seed_of[strongest]])
