"""What a source is asked, and what it answers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.domain.allowed import Allowed
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.columns import Rows
from serve_app.domain.grouping import best, sum_by_row
from serve_app.domain.interactions import Events
from serve_app.domain.settings import Settings
from serve_app.domain.tables import CandidateTables

NO_ROWS: Rows = np.empty(0, np.int32)
NO_SCORES: NDArray[np.float32] = np.empty(0, np.float32)


class SourceConfig(Settings):
    """
    Attributes:
        enabled: whether the source is asked at all.
        limit: how many candidates it gives at most.
        weight: how much its ranks count when the sources are fused.
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


@dataclass(frozen=True, slots=True)
class Hits:
    """
    What one source offers, best first, no row twice, only allowed rows.

    Attributes:
        rows: shape (k,), int32.
        scores: shape (k,), float32, on the source's own scale, descending.
        because: shape (k,), int32, the item of the history that led to each, or empty where the
            source does not say.
    """

    rows: Rows
    scores: NDArray[np.float32]
    because: Rows = field(default_factory=lambda: NO_ROWS)


NO_HITS = Hits(NO_ROWS, NO_SCORES)
