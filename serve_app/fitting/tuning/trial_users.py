"""Some users who bought something in a window: what they would have asked when it began, and how
good an answer is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.ragged import Offsets, owners, pad
from serve_app.domain.batches import RequestBatch
from serve_app.domain.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.domain.candidates.fusion import Merged
from serve_app.domain.candidates.sources.query import Queries
from serve_app.fitting.data.windows import Outcomes
from serve_app.fitting.judging.window_results import select_wanted
from serve_app.fitting.moments.snapshot import Snapshot
from serve_app.measuring.lists import Wanted, hits_of
from serve_app.measuring.metrics import ndcg_at

K = 10

Ragged = tuple[Rows, Offsets]
"""A list of rows for each request."""


class TrialUsers(NamedTuple):
    """What they ask, and what they bought, by number of the request."""

    queries: Queries
    bought: Wanted

    @classmethod
    def of(
        cls,
        found: Outcomes,
        buyers: NDArray[np.int64],
        world: Snapshot,
        config: CandidatesConfig,
    ) -> "TrialUsers":
        return cls(_queries(found.users[buyers], world, config), select_wanted(found, buyers))

    def ndcgs(self, lists: Ragged) -> NDArray[np.float64]:
        """NDCG@10 of each."""
        first = pad(*lists, K, MISSING)
        hits = hits_of(first, self.bought, self.queries.n_rows)
        return ndcg_at(hits, np.diff(self.bought.offsets), K)

    def recalls(self, merged: Merged) -> NDArray[np.float64]:
        """Which share of what each bought is among the candidates."""
        n_rows = self.queries.n_rows
        users = owners(self.bought.offsets)
        found = np.isin(
            users * n_rows + self.bought.items, owners(merged.offsets) * n_rows + merged.rows
        )
        return np.bincount(users, found, minlength=len(self.queries)) / np.diff(self.bought.offsets)


def _queries(users: Rows, world: Snapshot, config: CandidatesConfig) -> Queries:
    batch = RequestBatch.unfiltered(("",) * len(users), K, world.at)
    finder = CandidateFinder.of(world.fitted, config, include_out_of_stock=True)
    return finder.queries(batch, world.fitted.archive.of_rows(users, stale=False))
