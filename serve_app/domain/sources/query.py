"""What a source is asked, and what it answers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.domain.allowed import Allowed
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.columns import Rows
from serve_app.domain.grouping import best, best_by_row, sum_by_row
from serve_app.domain.interactions import Events
from serve_app.domain.profiles import TYPE_WEIGHTS
from serve_app.domain.settings import Settings
from serve_app.domain.tables import CandidateTables

NO_ROWS: Rows = np.empty(0, np.int32)
NO_SCORES: NDArray[np.float32] = np.empty(0, np.float32)


class SourceConfig(Settings):
    """
    Attributes:
        enabled: whether the source is asked at all.
        limit: how many candidates it gives at most.
        weight: multiplies how much its ranks count when the sources are fused, as the fit found it.
    """

    enabled: bool = True
    limit: int = Field(default=100, ge=1, le=1_000)
    weight: float = Field(default=1.0, ge=0)


@dataclass(frozen=True, slots=True)
class Query:
    """
    One request, as the sources see it.

    Attributes:
        events: the user's events, oldest first.
        weights: shape (len(events),), float32, what each says (see ``domain.profiles``).
        category_shares: shape (n_categories,), float32, the user's interest by category code.
        size: recommendations wanted.
        at: epoch seconds.
    """

    catalogue: Catalogue
    tables: CandidateTables
    allowed: Allowed
    events: Events
    weights: NDArray[np.float32]
    category_shares: NDArray[np.float32]
    size: int
    at: float

    def seeds(self, limit: int) -> tuple[Rows, NDArray[np.float32]]:
        """The items that the history speaks of most, and how much; at most ``limit``."""
        rows, weights = sum_by_row(self.events["row"], self.weights)
        strongest = best(rows, weights, limit)
        return rows[strongest], weights[strongest]

    def touched(self, limit: int) -> tuple[Rows, NDArray[np.float32]]:
        """The latest items of the history, at most ``limit``, and what each says by its type."""
        latest_first = self.events[::-1]
        rows, latest = np.unique(latest_first["row"], return_index=True)
        chosen = np.isin(latest_first["row"], rows[np.argsort(latest)[:limit]])
        weights = TYPE_WEIGHTS[latest_first["type"][chosen]]
        found, strongest = best_by_row(latest_first["row"][chosen], weights)
        return found, weights[strongest]


@dataclass(frozen=True, slots=True)
class Hits:
    """
    What one source offers, best first, no row twice, only allowed rows.

    Attributes:
        rows: shape (k,), int32.
        scores: shape (k,), float32, on the source's own scale, descending.
        because: shape (k,), int32, the item of the history that led to each, or empty where the
            source does not say.
        known_rows: shape (m,), int32, ascending: all rows that the source has a score for,
            offered or not. Empty where it has none for others.
        known_scores: shape (m,), float32, of these.
    """

    rows: Rows
    scores: NDArray[np.float32]
    because: Rows = field(default_factory=lambda: NO_ROWS)
    known_rows: Rows = field(default_factory=lambda: NO_ROWS)
    known_scores: NDArray[np.float32] = field(default_factory=lambda: NO_SCORES)


NO_HITS = Hits(NO_ROWS, NO_SCORES)


def best_hits(
    query: Query, rows: Rows, scores: NDArray[np.float32], limit: int, because: Rows = NO_ROWS
) -> Hits:
    """
    The best of what a source scored, as far as it may be shown.

    Args:
        rows: shape (m,), ascending.
        scores: shape (m,).
        because: shape (m,), or empty.
    """
    kept = np.flatnonzero(query.allowed.keeps(rows))
    top = kept[best(rows[kept], scores[kept], limit)]
    return Hits(rows[top], scores[top], because[top] if len(because) else NO_ROWS, rows, scores)
