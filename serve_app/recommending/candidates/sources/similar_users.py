"""Offers items that similar users bought lately (user-based nearest neighbours).

Similarity is the cosine of baskets. A shared item counts its weight in the user's profile, and the
sum is divided by the square root of the neighbour's number of items. Older purchases of a neighbour
count less. Neighbours come from the current history: a new user has some after their first event.
"""

from dataclasses import replace

import numpy as np
from pydantic import Field

from serve_app.arrays.grouping import sum_by_key
from serve_app.recommending.candidates.sources.query import (
    Hits,
    Limit,
    Queries,
    Scored,
    SourceConfig,
    best_hits,
)


class SimilarUsersConfig(SourceConfig):
    """Settings of the source of items that similar users bought."""

    limit: Limit = 300
    n_seeds: int = Field(
        default=100,
        ge=1,
        description="Items of the user's history by which similar users are found.",
    )
    n_neighbours: int = Field(
        default=300, ge=1, description="Similar users whose purchases are read."
    )


def similar_users(queries: Queries, config: SimilarUsersConfig) -> Hits:
    """Scores are weighted shares of neighbours who bought an item; the latest count most."""
    tables, n_rows = queries.tables, queries.n_rows
    baskets = (tables.basket_offsets, tables.basket_rows, tables.basket_weights)
    votes = _neighbours(queries, config).votes(*baskets, n_rows)
    sums = sum_by_key(votes.keys, votes.strengths, len(queries) * n_rows)
    return best_hits(queries, *sums, config.limit)


def _neighbours(queries: Queries, config: SimilarUsersConfig) -> Scored:
    """The nearest users of each request, and each one's share of their similarities."""
    n, tables = len(queries), queries.tables
    starts, n_users = tables.basket_offsets, len(tables.basket_offsets) - 1
    shared = queries.seeds(config.n_seeds).votes(tables.buyer_offsets, tables.buyers, None, n_users)
    keys, overlaps = sum_by_key(shared.keys, shared.strengths, n * n_users)
    users = Scored.of(keys, overlaps, n_users)
    # An empty basket must not divide by zero.
    sizes = np.maximum(starts[users.rows + 1] - starts[users.rows], 1)
    similarities = overlaps / np.sqrt(sizes).astype(np.float32)
    nearest = replace(users, scores=similarities).best(config.n_neighbours, n)
    # The cosine leaves out the length of the user's basket, because this division cancels it. No
    # total is 0: ``sum_by_key`` left sums of 0 out, and weights are not negative.
    totals = np.bincount(nearest.requests, nearest.scores, minlength=n)[nearest.requests]
    return replace(nearest, scores=(nearest.scores / totals).astype(np.float32))
