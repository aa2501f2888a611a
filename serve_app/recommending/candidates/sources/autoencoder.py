"""Offers the items that a linear autoencoder predicts, scaled by their recent trend.

Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019. The weights are fitted
offline; they are applied to the history as it is now.
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


class AutoencoderConfig(SourceConfig):
    """Settings of the source of items that the autoencoder predicts."""

    limit: Limit = 300
    n_seeds: int = Field(
        default=300,
        ge=1,
        description="Latest items of the user's history that the autoencoder reads.",
    )


def autoencoder(queries: Queries, config: AutoencoderConfig) -> Hits:
    tables, n_rows = queries.tables, queries.n_rows
    votes = queries.touched(config.n_seeds).votes(
        tables.linear_offsets, tables.linear_rows, tables.linear_weights, n_rows
    )
    keys, sums = sum_by_key(votes.keys, votes.strengths, len(queries) * n_rows)
    # Weights have either sign. An item that the history speaks against is no candidate.
    keys, sums = keys[sums > 0], sums[sums > 0]
    return best_hits(queries, keys, sums * tables.trends[keys % n_rows], config.limit)
