"""Defines the input and output of the sources, for all requests of a batch at once."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import Rows
from serve_app.arrays.grouping import Keys, strongest_by_key, sum_by_key
from serve_app.arrays.ragged import Offsets, best_of_each, gather, offsets_of, owners
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.filters.allowed import Allowed
from serve_app.domain.interactions import TYPE_WEIGHTS, Histories
from serve_app.domain.sessions import Sessions, latest_sessions
from serve_app.domain.settings import Settings
from serve_app.recommending.candidates.profiles import Profiles

NO_ROWS: Rows = np.empty(0, np.int32)
NO_SCORES: NDArray[np.float32] = np.empty(0, np.float32)
NO_KEYS: Keys = np.empty(0, np.int64)


Limit = Annotated[
    int, Field(ge=1, le=1_000, description="Candidates that the source offers at most.")
]


class SourceConfig(Settings):
    """Settings that every source has."""

    enabled: bool = Field(default=True, description="Enables the source.")
    limit: Limit = 100
    weight: float = Field(
        default=1.0,
        ge=0,
        description="Multiplies the weight of the source's ranks that the fit has found.",
    )


@dataclass(frozen=True, slots=True)
class Scored:
    """Some rows of each request, each with a score.

    Attributes:
        requests: shape (total,), ascending.
        rows: shape (total,).
        scores: shape (total,), float32.
    """

    requests: NDArray[np.int64]
    rows: NDArray[np.integer]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, keys: Keys, scores: NDArray[np.float32], n_rows: int) -> "Scored":
        """The rows of ascending ``keys``."""
        requests = keys // n_rows
        return cls(requests, keys - requests * n_rows, scores)

    def best(self, limit: int, n_requests: int) -> "Scored":
        """The rows of each request with the largest scores, at most ``limit``."""
        lengths = np.bincount(self.requests, minlength=n_requests)
        if lengths.max(initial=0) <= limit:
            return self
        return self.at(best_of_each(self.scores, offsets_of(lengths), limit)[0])

    def at(self, positions: NDArray[np.int64]) -> "Scored":
        return Scored(self.requests[positions], self.rows[positions], self.scores[positions])

    def votes(
        self,
        offsets: Offsets,
        columns: NDArray[np.integer],
        values: NDArray[np.floating] | None,
        n_columns: int,
    ) -> "Votes":
        """Looks up each row in a table of ragged lists, and weights the values by the scores.

        Without ``values`` every entry of the table counts 1.
        """
        positions, taken = gather(offsets, self.rows)
        voters = owners(taken)
        keys = (self.requests * n_columns)[voters] + columns[positions]
        strengths = self.scores[voters]
        return Votes(keys, strengths if values is None else strengths * values[positions], voters)


@dataclass(frozen=True, slots=True)
class Votes:
    """Entries of a table that the rows of a ``Scored`` lead to.

    Attributes:
        keys: shape (total,), request * n_columns + column.
        strengths: shape (total,), float32.
        voters: shape (total,), position of the row in the ``Scored``.
    """

    keys: Keys
    strengths: NDArray[np.float32]
    voters: NDArray[np.int64]


@dataclass(frozen=True)
class Queries:
    """A batch of requests, as the sources see it.

    Attributes:
        histories: the users' events, on rows of the catalogue only.
        profiles: the users' taste, computed from the histories.
        sizes: shape (n,), lengths of the lists.
        at: shape (n,), float64, epoch seconds.
    """

    catalogue: Catalogue
    tables: CandidateTables
    allowed: Allowed
    histories: Histories
    profiles: Profiles
    sizes: NDArray[np.integer]
    at: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def n_rows(self) -> int:
        return len(self.catalogue)

    def seeds(self, limit: int) -> Scored:
        """The items of each history with the largest sums of event weights, at most ``limit``."""
        return self._liked.best(limit, len(self))

    def touched(self, limit: int) -> Scored:
        """The latest items of each history, at most ``limit``, with their largest type weights."""
        keys, events = self._event_keys, self.histories.events
        distinct, strongest = strongest_by_key(keys, TYPE_WEIGHTS[events["type"]])
        items = Scored.of(distinct, TYPE_WEIGHTS[events["type"][strongest]], self.n_rows)
        lengths = np.bincount(items.requests, minlength=len(self))
        if lengths.max(initial=0) <= limit:
            return items
        # Positions of events ascend in time, so the largest position of a key is its last event.
        _, latest = strongest_by_key(keys, np.arange(len(keys), dtype=float))
        # Sorted: ``Scored.requests`` has to ascend.
        return items.at(np.sort(best_of_each(latest.astype(float), offsets_of(lengths), limit)[0]))

    def session_items(self, limit: int, fading: float) -> Scored:
        """The items of the latest ``limit`` events of each session; the latest item weighs 1, and
        each item ``fading`` times what the one after it weighs.
        """
        sessions = self.sessions
        steps = sessions.steps_back()
        kept = np.flatnonzero(steps < limit)
        keys = owners(sessions.offsets)[kept] * self.n_rows + sessions.rows[kept]
        weights = (fading ** steps[kept].astype(float)).astype(np.float32)
        distinct, heaviest = strongest_by_key(keys, weights)
        return Scored.of(distinct, weights[heaviest], self.n_rows)

    @cached_property
    def sessions(self) -> Sessions:
        return latest_sessions(self.histories)

    @cached_property
    def _liked(self) -> Scored:
        sums = sum_by_key(self._event_keys, self.profiles.weights, len(self) * self.n_rows)
        return Scored.of(*sums, self.n_rows)

    @cached_property
    def _event_keys(self) -> Keys:
        return self.histories.keys(self.n_rows)


@dataclass(frozen=True, slots=True)
class Hits:
    """The candidates that one source offers each request: best first, distinct, allowed.

    Attributes:
        rows: shape (total,), int32.
        scores: shape (total,), float32, on the source's own scale, descending.
        offsets: shape (n + 1,), int64.
        because: shape (total,), int32, the item of the history that led to each candidate. Empty if
            the source does not know.
        known_keys: shape (m,), ascending, request * n_rows + row, of all rows that the source has a
            score for, offered or not. Empty if it scores only the offered rows.
        known_scores: shape (m,), float32, the scores of ``known_keys``.
    """

    rows: Rows
    scores: NDArray[np.float32]
    offsets: Offsets
    because: Rows = field(default_factory=lambda: NO_ROWS)
    known_keys: Keys = field(default_factory=lambda: NO_KEYS)
    known_scores: NDArray[np.float32] = field(default_factory=lambda: NO_SCORES)


def no_hits(n_requests: int) -> Hits:
    return Hits(NO_ROWS, NO_SCORES, np.zeros(n_requests + 1, np.int64))


def best_hits(queries: Queries, keys: Keys, scores: NDArray[np.float32], limit: int) -> Hits:
    """The allowed rows of a source with the best scores; ties go to the smaller row.

    Keys, request * n_rows + row, ascend. Keys and scores have shape (m,).
    """
    n_rows = queries.n_rows
    requests = keys // n_rows
    rows = (keys - requests * n_rows).astype(np.int32)
    kept = queries.allowed.keeps_ascending(keys, requests, rows).nonzero()[0]
    offered = scores[kept]
    bounds = offsets_of(np.bincount(requests[kept], minlength=len(queries)))
    top, offsets = best_of_each(offered, bounds, limit)
    return Hits(rows[kept[top]], offered[top], offsets, NO_ROWS, keys, scores)
