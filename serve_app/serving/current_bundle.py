"""Follows the current bundle, and builds the floor from it: the replacement of failed stages."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from serve_app.background import ChangeLogger, RepeatedStep
from serve_app.bundles.bundle import Bundle
from serve_app.bundles.bundle_shelf import HOLDS_S, POLL_S, BundleShelf, Served
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.batches import CandidateBatch, RankedBatch, RankingBatch, RequestBatch
from serve_app.domain.filters.allowed_items import AllowedItems
from serve_app.errors import NoBundleOpens, StageFailed
from serve_app.live.live_finder import LiveFinder
from serve_app.live.overlay import Live
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig, rank_plainly
from serve_app.recommending.scoring.model_features import SOURCES
from serve_app.serving.followed_bundle import follow_bundle
from serve_app.serving.pipeline import Floor
from serve_app.serving.stages.feature_fetcher import default_users
from serve_app.stores.catalogue_follower import CatalogueFollower, FollowedFit

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
    """A bundle at a revision of the shop, and the floor that replaces failed stages.

    Attributes:
        fit: the bundle as the catalogue's follower knows it.
        live: the arrays at the revision.
        allowed: the items that may be shown at the revision.
        finder: finds the candidates of the floor, at any revision.
    """

    bundle: Bundle
    fit: FollowedFit
    live: Live
    allowed: AllowedItems
    finder: LiveFinder
    ranking: RankingConfig

    @classmethod
    def of(
        cls, bundle: Bundle, candidates: CandidatesConfig, ranking: RankingConfig
    ) -> "CurrentBundle":
        """The bundle as the fit left it."""
        fit = follow_bundle(bundle)
        ranking = ranking.on_scale(bundle.manifest.rating_scale)
        # Masks are for one thread: those of the floor belong to its own.
        finder = LiveFinder(bundle.fitted, _popular_only(candidates))
        allowed = AllowedItems(bundle.fitted.catalogue)
        return cls(bundle, fit, Live.of(fit.fitted, fit.revision), allowed, finder, ranking)

    def at(self, live: Live) -> "CurrentBundle":
        """The same bundle at another revision."""
        allowed = self.allowed
        if live.fitted is not self.live.fitted:
            allowed = AllowedItems(live.fitted.catalogue)
        return replace(self, live=live, allowed=allowed)

    @property
    def floor(self) -> Floor:
        """The replacements of the stages, at the revision."""
        return Floor(default_users, self._popular_candidates, self._plain_order)

    def _popular_candidates(self, batch: RequestBatch) -> CandidateBatch:
        # Histories come from the bundle's archive instead of a store: bought items stay excluded
        # even while every store is down.
        histories = self.live.fitted.archive.read(batch.user_ids, stale=True)
        return self.finder.find(self.live, batch, histories)

    def _plain_order(self, batch: RankingBatch) -> RankedBatch:
        return rank_plainly(batch, self.bundle.fitted.catalogue, self.ranking)

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
        return int(self.live.fitted.catalogue.index.find([item_id])[0])


def _popular_only(config: CandidatesConfig) -> CandidatesConfig:
    # The floor runs in the process of the ingress, which all requests share: the cheapest source
    # alone.
    off = {
        source: getattr(config, source).model_copy(update={"enabled": False})
        for source in SOURCES
        if source != "popular"
    }
    return config.model_copy(update=off)


@dataclass(frozen=True, slots=True)
class CatalogueState:
    """How up to date the items of the bundle in use are.

    Attributes:
        age_s: seconds since the shop was last found to have no later change; ``None`` if never.
        n_without_row: items that wait for the next fit, because no spare row is left for them.
    """

    revision: int
    age_s: float | None
    n_without_row: int


class BundleFollower:
    """Switches the ingress to each bundle that is promoted, once the stages have opened it.

    Attributes:
        faults: sentences that say why another bundle is in use than the current version.
    """

    def __init__(
        self,
        location: BundleLocation,
        candidates: CandidatesConfig,
        ranking: RankingConfig,
        catalogue: CatalogueFollower,
        holders: Mapping[str, Holds] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``holders`` ask the stages, by name, whether all their replicas have opened a version."""
        self.faults: tuple[str, ...] = ()
        self._opened: CurrentBundle | None = None
        self._catalogue = catalogue
        self._holders = holders or {}
        self._clock = clock
        self._shelf = BundleShelf(
            location, "bundle", lambda bundle: CurrentBundle.of(bundle, candidates, ranking)
        )
        self._awaited = ("", 0.0)
        self._repeated = RepeatedStep(self._look_again)
        self._has_joined = False
        self._problems = ChangeLogger(_logger.error)

    @property
    def current(self) -> CurrentBundle | None:
        """The bundle in use, as the shop is now; ``None`` before the first one is promoted."""
        opened = self._opened
        if opened is None:
            return None
        live = self._catalogue.live(opened.fit)
        if live is not opened.live:
            self._opened = opened = opened.at(live)
        return opened

    def catalogue_state(self) -> CatalogueState | None:
        """How up to date the items are; ``None`` without a bundle."""
        current = self.current
        if current is None:
            return None
        age_s = self._catalogue.age_s(current.fit)
        return CatalogueState(current.live.revision, age_s, current.live.n_without_row)

    def follow(self) -> None:
        """Starts to follow; needs a running event loop."""
        self._repeated.start(POLL_S)

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
        in_use = self._opened
        if served is None or (in_use and in_use.version == served.version):
            return
        # Degraded lists are better than none, but worse than those of the bundle in use.
        can_wait = in_use is not None
        if can_wait and not (served.is_whole and await self._is_taken_up(served)):
            return
        await self._caught_up(served.prepared)
        # One assignment: every request reads the attribute once, and sees one bundle throughout.
        self._opened = served.prepared
        _logger.info("bundle %s is in use", served.version)

    async def _is_taken_up(self, served: Served[CurrentBundle]) -> bool:
        """Tells whether the stages have opened a version, or were waited for long enough.

        The changes of items since its fit have to be known, too.
        """
        version = served.version
        without = await self._without(version)
        if not await self._caught_up(served.prepared):
            without.append("the catalogue")
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

    async def _caught_up(self, prepared: CurrentBundle) -> bool:
        """Tells whether the changes since a fit are known in this process, too."""
        try:
            async with asyncio.timeout(HOLDS_S):
                return await self._catalogue.catch_up(prepared.fit)
        except TimeoutError:
            return False

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
