"""Finds candidates at a revision of the shop, and tells the later stages what differs."""

from dataclasses import replace

import numpy as np

from serve_app.arrays.columns import MISSING
from serve_app.domain.batches import CandidateBatch, RequestBatch
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import Histories
from serve_app.live.overlay import Live, difference, names_for, patch_for
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig


class LiveFinder:
    """Keeps the masks of filters while the items change. For one thread."""

    def __init__(self, fitted: Fitted, config: CandidatesConfig) -> None:
        self._finder = CandidateFinder.of(fitted, config)
        self._live: Live | None = None

    def find(
        self, live: Live, batch: RequestBatch, histories: Histories, *, is_behind: bool = False
    ) -> CandidateBatch:
        """Candidates of a batch as ``CandidateFinder.find``, from the arrays at a revision.

        Args:
            is_behind: as in ``CandidateBatch``.
        """
        self._move(live)
        found = self._finder.find(batch, histories)
        if not len(live.rows):
            return replace(found, revision=live.revision, is_behind=is_behind)
        causes = found.because[found.because != MISSING]
        return replace(
            found,
            revision=live.revision,
            patch=patch_for(live, found.rows),
            names=names_for(live, np.concatenate((found.rows, causes))),
            is_behind=is_behind,
        )

    def _move(self, live: Live) -> None:
        # Every change has a revision above 0.
        before = self._live or Live.of(live.base, 0)
        self._live = live
        if live.fitted is self._finder.fitted:
            return
        changed, is_reordered = difference(before, live)
        self._finder.allowed.move(live.fitted.catalogue, changed, is_reordered=is_reordered)
        self._finder = replace(self._finder, fitted=live.fitted)
