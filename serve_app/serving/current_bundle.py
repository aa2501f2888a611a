"""Follows the current bundle, and builds the floor from it: the replacement of failed stages."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from serve_app.background import ChangeLogger, repeat
from serve_app.bundles.bundle import Bundle
from serve_app.bundles.manifest import unusable_variants
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.batches import CandidateBatch, RankedBatch, RankingBatch, RequestBatch
from serve_app.domain.filters.allowed import AllowedItems
from serve_app.errors import BundleError, ModelsUnusable, StageFailed
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig, rank_plainly
from serve_app.recommending.scoring.model_features import SOURCES
from serve_app.serving.bundle_shelf import POLL_S, BundleShelf
from serve_app.serving.pipeline import Floor
from serve_app.serving.stages.feature_fetcher import default_users

_logger = logging.getLogger("ray.serve.recserve.ingress")

SETTLING_S = 2 * POLL_S
"""Seconds between opening a new bundle and using it. The stages poll as often as the ingress: two
polls later they have found the bundle, and the first batch does not wait for them to open it."""


@dataclass(frozen=True, slots=True)
class CurrentBundle:
    """A bundle, the masks of its allowed items, and the floor that replaces failed stages."""

    bundle: Bundle
    allowed: AllowedItems
    floor: Floor

    @classmethod
    def of(
        cls, bundle: Bundle, candidates: CandidatesConfig, ranking: RankingConfig
    ) -> "CurrentBundle":
        popular = CandidateFinder.of(bundle.fitted, _popular_only(candidates))

        def popular_candidates(batch: RequestBatch) -> CandidateBatch:
            # Histories come from the bundle's archive instead of a store: bought items stay
            # excluded even while every store is down.
            histories = bundle.fitted.archive.read(batch.user_ids, stale=True)
            return popular.find(batch, histories)

        def plain_order(batch: RankingBatch) -> RankedBatch:
            return rank_plainly(batch, bundle.fitted.catalogue, ranking)

        return cls(bundle, popular.allowed, Floor(default_users, popular_candidates, plain_order))

    @property
    def version(self) -> str:
        return self.bundle.manifest.version

    @property
    def order(self) -> str:
        """What orders the lists in place of the variants' models; empty for the models."""
        order = self.bundle.manifest.order
        return "" if order == "model" else order

    def features_at(self, now_at: float) -> float:
        """Time for which features are computed: now, or ``horizon_s`` after the end of the data."""
        # Ages of items and events stay within the range that the models saw, however old the bundle
        # is.
        manifest = self.bundle.manifest
        return min(now_at, manifest.until_at + manifest.horizon_s)

    def row_of(self, item_id: str) -> int:
        """Row of an item, ``MISSING`` if it is not in the catalogue."""
        return int(self.bundle.fitted.catalogue.index.find([item_id])[0])


def _popular_only(config: CandidatesConfig) -> CandidatesConfig:
    # The floor runs on the event loop of the ingress, which it blocks: the cheapest source alone.
    off = {
        source: getattr(config, source).model_copy(update={"enabled": False})
        for source in SOURCES
        if source != "popular"
    }
    return config.model_copy(update=off)


class BundleFollower:
    """Switches the ingress to each bundle that is published.

    Attributes:
        current: the bundle in use; ``None`` before the first one is published.
    """

    def __init__(
        self,
        location: BundleLocation,
        variants: Sequence[str],
        candidates: CandidatesConfig,
        ranking: RankingConfig,
    ) -> None:
        self.current: CurrentBundle | None = None
        self._variants = tuple(variants)
        self._shelf = BundleShelf(
            location, "bundle", lambda bundle: CurrentBundle.of(bundle, candidates, ranking)
        )
        self._following: asyncio.Task[None] | None = None
        self._problems = ChangeLogger(_logger.error)

    def follow(self) -> None:
        """Starts to follow; needs a running event loop."""
        if self._following is None:
            self._following = asyncio.create_task(repeat(self._look_again, POLL_S))

    async def look(self) -> None:
        """Uses the published bundle if it is a new one. After an error, the bundle in use stays.

        Raises:
            StageFailed: the new bundle cannot be opened.
            ModelsUnusable: it has no usable model of a variant. As the first bundle it is used
                nevertheless: degraded lists are better than none.
        """
        version = await self._shelf.current()
        if version is None or (self.current is not None and self.current.version == version):
            return
        current = await self._shelf.at(version)
        if self.current is not None:
            if unusable := unusable_variants(current.bundle.manifest, self._variants):
                raise ModelsUnusable(version, ", ".join(unusable))
            await asyncio.sleep(SETTLING_S)
        # One assignment: every request reads the attribute once, and sees one bundle throughout.
        self.current = current
        _logger.info("bundle %s is in use", version)

    async def _look_again(self) -> None:
        try:
            await self.look()
        except (BundleError, StageFailed) as failure:
            # The cause names the version and the fault.
            reason = failure.__cause__ or failure
            self._problems.log("bundle", f"the bundle in use stays: {reason}")
        else:
            self._problems.resolved("bundle")
