"""Offers the items that followed the latest items of the session in the sessions of others.

Transitions of one to five steps count, the shorter the more. The last item has the most to say.
"""

from pydantic import Field

from serve_app.arrays.grouping import sum_by_key
from serve_app.recommending.candidates.sources.query import (
    Hits,
    Limit,
    Queries,
    SourceConfig,
    best_hits,
)

LATER = 1
"""Column of ``CandidateTables.transition_weights`` with the weights of all distances."""


class NextItemsConfig(SourceConfig):
    """Settings of the source of items that followed in other sessions."""

    limit: Limit = 100
    n_seeds: int = Field(
        default=5, ge=1, description="Latest events of the session whose followers are offered."
    )
    fading: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Factor by which an event of the session says less than the one after it.",
    )


def next_items(queries: Queries, config: NextItemsConfig) -> Hits:
    tables, n_rows = queries.tables, queries.n_rows
    votes = queries.session_items(config.n_seeds, config.fading).votes(
        tables.transition_offsets,
        tables.transition_rows,
        tables.transition_weights[:, LATER],
        n_rows,
    )
    sums = sum_by_key(votes.keys, votes.strengths, len(queries) * n_rows)
    return best_hits(queries, *sums, config.limit)
