"""What people bought who bought what this user likes (user-based nearest neighbours).

Similarity is the cosine of baskets, restricted to the user's strongest items: a shared item counts
its weight over the square root of its number of buyers, and a neighbour is divided by the square
root of the size of his basket. Computed from the history as it is now, so a new user has
neighbours after his first event.
"""

import numpy as np
from pydantic import Field

from serve_app.domain.grouping import best, sum_by_row
from serve_app.domain.ragged import gather, owners
from serve_app.domain.sources.query import NO_HITS, Hits, Query, SourceConfig


class SimilarUsersConfig(SourceConfig):
    """
    Attributes:
        n_seeds: how many of the user's items are used to find neighbours.
        n_neighbours: how many neighbours are asked.
    """

    n_seeds: int = Field(default=20, ge=1)
    n_neighbours: int = Field(default=50, ge=1)


def similar_users(query: Query, config: SimilarUsersConfig) -> Hits:
    tables = query.tables
    seeds, strengths = query.seeds(config.n_seeds)
    positions, taken = gather(tables.buyer_offsets, seeds)
    if not len(positions):
        return NO_HITS
    n_buyers = np.diff(taken)
    shared = (strengths / np.sqrt(np.maximum(n_buyers, 1)))[owners(taken)]
    users, overlaps = sum_by_row(tables.buyers[positions], shared)
    sizes = tables.basket_offsets[users + 1] - tables.basket_offsets[users]
    similarities = overlaps / np.sqrt(np.maximum(sizes, 1))
    nearest = best(users, similarities, config.n_neighbours)
    positions, taken = gather(tables.basket_offsets, users[nearest])
    votes = similarities[nearest][owners(taken)]
    rows, scores = sum_by_row(tables.basket_rows[positions], votes)
    kept = query.allowed.keeps(rows)
    rows, scores = rows[kept], scores[kept]
    top = best(rows, scores, config.limit)
    return Hits(rows[top], scores[top])
