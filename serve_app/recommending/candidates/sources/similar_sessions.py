"""Offers the items of the latest sessions that share items with the current one.

This is VMIS-kNN (Kersbergen, Sprangers and Schelter, "Serenade", SIGMOD 2022), after VS-kNN
(Ludewig and Jannach, UMUAI 2018). A shared item counts the more, the later it came in the session.
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


class SimilarSessionsConfig(SourceConfig):
    """Settings of the source of items of similar sessions."""

    limit: Limit = 100
    n_seeds: int = Field(
        default=10, ge=1, description="Latest events of the session that are compared."
    )
    fading: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="Factor by which an event of the session says less than the one after it.",
    )
    n_neighbours: int = Field(
        default=100, ge=1, description="Similar sessions whose items are read."
    )


def similar_sessions(queries: Queries, config: SimilarSessionsConfig) -> Hits:
    tables, n_rows = queries.tables, queries.n_rows
    votes = _neighbours(queries, config).votes(
        tables.session_offsets, tables.session_rows, None, n_rows
    )
    sums = sum_by_key(votes.keys, votes.strengths, len(queries) * n_rows)
    return best_hits(queries, *sums, config.limit)


def _neighbours(queries: Queries, config: SimilarSessionsConfig) -> Scored:
    """The most similar sessions of each request, and each one's share of their similarities."""
    n, tables = len(queries), queries.tables
    n_sessions = max(len(tables.session_offsets) - 1, 1)
    shared = queries.session_items(config.n_seeds, config.fading).votes(
        tables.visit_offsets, tables.visits, None, n_sessions
    )
    keys, overlaps = sum_by_key(shared.keys, shared.strengths, n * n_sessions)
    nearest = Scored.of(keys, overlaps, n_sessions).best(config.n_neighbours, n)
    totals = np.bincount(nearest.requests, nearest.scores, minlength=n)[nearest.requests]
    return replace(nearest, scores=(nearest.scores / totals).astype(np.float32))
