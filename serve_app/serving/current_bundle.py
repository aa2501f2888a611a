"""Follows the current bundle, and builds the floor from it: the replacement of failed stages."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from serve_app.background import ChangeLogger, repeat
from serve_app.bundles.bundle import Bundle
from serve_app.bundles.bundle_shelf import POLL_S, BundleShelf
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.batches import CandidateBatch, RankedBatch, RankingBatch, RequestBatch
from serve_app.domain.filters.allowed import AllowedItems
from serve_app.errors import NoBundleOpens, StageFailed
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig, rank_plainly
from serve_app.recommending.scoring.model_features import SOURCES
from serve_app.serving.pipeline import Floor
from serve_app.serving.stages.feature_fetcher import default_users

_logger = logging.getLogger("ray.serve.recserve.ingress")

SETTLING_S = 120.0
"""Longest time for which a new bundle waits until every stage has opened it."""

STAGES_S = 30.0
"""Longest time for which a new replica waits until every stage has opened its bundle."""

PAUSE_S = 0.2
"""Seconds between two questions of a new replica to the stages."""

Holds = Callable[[str], Awaitable[bool]]
"""Tells whether all replicas of a stage have opened a version."""


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
        ranking = ranking.on_scale(bundle.manifest.rating_scale)
        popular = CandidateFinder.of(bundle.fitted, _popular_only(candidates))

        def popular_candidates(batch: RequestBatch) -> CandidateBatch:
            # Histories come from the bundle's archive instead of a store: bought items stay
            # excluded even while every store is down.
            histories = bundle.fitted.archive.read(batch.user_ids, stale=True)
            return popular.find(batch, histories)

        def plain_order(batch: RankingBatch) -> RankedBatch:
            return rank_plainly(batch, bundle.fitted.catalogue, ranking)

        # Masks are for one thread: those of the floor belong to its own.
        allowed = AllowedItems(bundle.fitted.catalogue)
        return cls(bundle, allowed, Floor(default_users, popular_candidates, plain_order))

    @property
    def version(self) -> str:
        return self.bundle.manifest.version

    @property
    def order(self) -> str:
        """What orders the lists in place of the variants' models; empty for the models."""
        order = self.bundle.manifest.order
        return "" if order == "model" else order

    @property
    def shop_id(self) -> str:
        return self.bundle.manifest.shop_id

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
    # The floor runs in the process of the ingress, which all requests share: the cheapest source
    # alone.
    off = {
        source: getattr(config, source).model_copy(update={"enabled": False})
        for source in SOURCES
        if source != "popular"
    }
    return config.model_copy(update=off)


class BundleFollower:
    """Switches the ingress to each bundle that is promoted, once the stages have opened it.

    Attributes:
        current: the bundle in use; ``None`` before the first one is promoted.
        faults: sentences that say why another bundle is in use than the current version.
    """

    def __init__(
        self,
        location: BundleLocation,
        candidates: CandidatesConfig,
        ranking: RankingConfig,
        holders: Mapping[str, Holds] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``holders`` ask the stages, by name, whether all their replicas have opened a version."""
        self.current: CurrentBundle | None = None
        self.faults: tuple[str, ...] = ()
        self._holders = holders or {}
        self._clock = clock
        self._shelf = BundleShelf(
            location, "bundle", lambda bundle: CurrentBundle.of(bundle, candidates, ranking)
        )
        self._awaited = ("", 0.0)
        self._following: asyncio.Task[None] | None = None
        self._has_joined = False
        self._problems = ChangeLogger(_logger.error)

    def follow(self) -> None:
        """Starts to follow; needs a running event loop."""
        if self._following is None:
            self._following = asyncio.create_task(repeat(self._look_again, POLL_S))

    async def join(self) -> None:
        """Waits until the replica can answer: it has a bundle, and the stages have the same one.

        Nothing is waited for if nothing was ever promoted: then every answer is empty, and says so.
        Stages are waited for at most ``STAGES_S``, because the floor replaces them.

        Raises:
            NoBundleOpens, StageFailed: as ``BundleShelf.join``.
        """
        if self._has_joined:
            return
        await self._shelf.join()
        await self.look()
        gives_up_s = self._clock() + STAGES_S
        while self.current is not None and await self._without(self.current.version):
            if self._clock() > gives_up_s:
                break
            await asyncio.sleep(PAUSE_S)
        self._has_joined = True

    async def look(self) -> None:
        """Use the bundle that is to be served, if it is another one and the stages have it.

        Raises:
            NoBundleOpens, StageFailed: there is none that can be opened; the one in use stays.
        """
        served = await self._shelf.to_serve()
        self.faults = served.faults if served else ()
        if served is None or (self.current and self.current.version == served.version):
            return
        # Degraded lists are better than none, but worse than those of the bundle in use.
        can_wait = self.current is not None
        if can_wait and not (served.is_whole and await self._is_taken_up(served.version)):
            return
        # One assignment: every request reads the attribute once, and sees one bundle throughout.
        self.current = served.prepared
        _logger.info("bundle %s is in use", served.version)

    async def _is_taken_up(self, version: str) -> bool:
        """Tells whether the stages have opened a version, or were waited for long enough."""
        without = await self._without(version)
        if self._awaited[0] != version:
            self._awaited = (version, self._clock())
        if without and self._clock() - self._awaited[1] <= SETTLING_S:
            self.faults = (f"bundle {version} is being opened by {', '.join(without)}",)
            return False
        if without:
            _logger.warning("bundle %s is used without waiting for %s", version, without)
        return True

    async def _without(self, version: str) -> list[str]:
        """Names the stages with a replica that has not opened a version."""
        answers = await asyncio.gather(*(holds(version) for holds in self._holders.values()))
        return [stage for stage, held in zip(self._holders, answers, strict=True) if not held]

    async def _look_again(self) -> None:
        try:
            await self.look()
        except (NoBundleOpens, StageFailed) as failure:
            # The cause names the fault.
            self.faults = (str(failure.__cause__ or failure),)
        if self.faults:
            in_use = f"bundle {self.current.version}" if self.current else "no bundle"
            self._problems.log("bundle", f"{in_use} is in use: {'; '.join(self.faults)}")
        else:
            self._problems.resolved("bundle")
