"""Asks the sources for some users of a window, and measures the answers by what they wanted."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.ragged import Offsets, owners, pad
from serve_app.domain.batches import RequestBatch
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.moments import Moments, histories_at
from serve_app.fitting.data.outcomes import Outcomes
from serve_app.fitting.judging.window_results import select_wanted
from serve_app.fitting.moments.snapshot import Snapshot
from serve_app.measuring.lists import Wanted, hits_of
from serve_app.measuring.metrics import ndcg_at
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.candidates.fusion import Merged
from serve_app.recommending.candidates.sources.query import Queries

K = 10

Ragged = tuple[Rows, Offsets]
"""Rows and offsets: a list of rows for each request."""


class TrialUsers(NamedTuple):
    """Requests of some users at their moments in a window, and the items that they then wanted."""

    queries: Queries
    wanted: Wanted

    @classmethod
    def of(
        cls,
        outcomes: Outcomes,
        users: NDArray[np.int64],
        log: InteractionLog,
        snapshot: Snapshot,
        config: CandidatesConfig,
    ) -> "TrialUsers":
        """Asks for some users; ``users`` are positions in ``outcomes``."""
        queries = _queries(outcomes.moments.take(users), log, snapshot, config)
        return cls(queries, select_wanted(outcomes, users))

    def ndcgs(self, lists: Ragged) -> NDArray[np.float64]:
        """NDCG@10 of each user's list, shape (n,)."""
        first = pad(*lists, K, MISSING)
        hits = hits_of(first, self.wanted, self.queries.n_rows)
        return ndcg_at(hits, np.diff(self.wanted.offsets), K)

    def recalls(self, merged: Merged) -> NDArray[np.float64]:
        """Share of each user's wanted items that are among the candidates, shape (n,)."""
        n_rows = self.queries.n_rows
        users = owners(self.wanted.offsets)
        found = np.isin(
            users * n_rows + self.wanted.items, owners(merged.offsets) * n_rows + merged.rows
        )
        return np.bincount(users, found, minlength=len(self.queries)) / np.diff(self.wanted.offsets)


def _queries(
    moments: Moments, log: InteractionLog, snapshot: Snapshot, config: CandidatesConfig
) -> Queries:
    batch = RequestBatch.unfiltered(("",) * len(moments), K, moments.at)
    finder = CandidateFinder.of(snapshot.fitted, config, include_out_of_stock=True)
    return finder.queries(batch, histories_at(log, moments, snapshot.label.ending_types))
