"""What people bought lately who bought what this user likes (user-based nearest neighbours).

Similarity is the cosine of baskets: a shared item counts what it says of the user, and a neighbour
is divided by the square root of the size of his basket. A purchase of a neighbour counts less the
longer it is ago. Computed from the history as it is now, so a new user has neighbours after his
first event.
"""

import numpy as np
from pydantic import Field

from serve_app.domain.grouping import best, sum_within
from serve_app.domain.ragged import gather, owners
from serve_app.domain.sources.query import NO_HITS, Hits, Query, SourceConfig, best_hits


class SimilarUsersConfig(SourceConfig):
    """
    Attributes:
        n_seeds: how many of the user's items are used to find neighbours.
        n_neighbours: how many neighbours are asked.
    """

    limit: int = Field(default=300, ge=1, le=1_000)
    n_seeds: int = Field(default=100, ge=1)
    n_neighbours: int = Field(default=300, ge=1)


def similar_users(query: Query, config: SimilarUsersConfig) -> Hits:
    """Scores are the weighted share of the neighbours who bought an item, lately counting most."""
    tables = query.tables
    seeds, strengths = query.seeds(config.n_seeds)
    positions, taken = gather(tables.buyer_offsets, seeds)
    if not len(positions):
        return NO_HITS
    n_users = len(tables.basket_offsets) - 1
    users, overlaps = sum_within(tables.buyers[positions], strengths[owners(taken)], n_users)
    sizes = tables.basket_offsets[users + 1] - tables.basket_offsets[users]
    similarities = overlaps / np.sqrt(np.maximum(sizes, 1))
    nearest = best(users, similarities, config.n_neighbours)
    positions, taken = gather(tables.basket_offsets, users[nearest])
    shares = similarities[nearest] / max(similarities[nearest].sum(), np.finfo(np.float32).tiny)
    votes = shares[owners(taken)] * tables.basket_weights[positions]
    rows, scores = sum_within(tables.basket_rows[positions], votes, len(query.catalogue))
    return best_hits(query, rows, scores, config.limit)
