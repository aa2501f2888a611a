"""What a linear autoencoder makes of the user's items, scaled by how many buy an item lately.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019. The weights are fitted
offline; they are applied to the history as it is now.
"""

from pydantic import Field

from serve_app.domain.grouping import sum_within
from serve_app.domain.ragged import gather, owners
from serve_app.domain.sources.query import NO_HITS, Hits, Query, SourceConfig, best_hits


class AutoencoderConfig(SourceConfig):
    """Attributes: n_seeds: how many of the user's latest items are put in."""

    limit: int = Field(default=300, ge=1, le=1_000)
    n_seeds: int = Field(default=300, ge=1)


def autoencoder(query: Query, config: AutoencoderConfig) -> Hits:
    tables = query.tables
    seeds, strengths = query.touched(config.n_seeds)
    positions, taken = gather(tables.linear_offsets, seeds)
    if not len(positions):
        return NO_HITS
    votes = tables.linear_weights[positions] * strengths[owners(taken)]
    rows, sums = sum_within(tables.linear_rows[positions], votes, len(query.catalogue))
    rows, sums = rows[sums > 0], sums[sums > 0]
    return best_hits(query, rows, sums * tables.trends[rows], config.limit)
