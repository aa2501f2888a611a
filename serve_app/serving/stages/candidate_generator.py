"""Defines the stage CandidateGenerator: reads what users did, and finds candidates for them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial

from serve_app.bundles.bundle import Bundle
from serve_app.bundles.bundle_shelf import HOLDS_S, N_KEPT, BundleShelf
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.batches import CandidateBatch, RequestBatch
from serve_app.domain.interactions import kept_types
from serve_app.errors import NoBundleOpens, StageFailed
from serve_app.live.live_finder import LiveFinder
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.serving.followed_bundle import follow_bundle
from serve_app.serving.pipeline import CANDIDATES
from serve_app.stores.catalogue_follower import FollowedFit
from serve_app.stores.connections import Stores
from serve_app.stores.serving_readers import CacheTtls, HistoryReader

CATCH_UP_S = 20.0
"""Longest time for which a new replica reads changes before it takes requests without them."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A bundle as this stage uses it."""

    fit: FollowedFit
    finder: LiveFinder

    @classmethod
    def of(cls, bundle: Bundle, config: CandidatesConfig) -> "_Opened":
        return cls(follow_bundle(bundle), LiveFinder(bundle.fitted, config))


class CandidateGenerator:
    """Merges the candidates of several sources. Holds tables, no model.

    Filters and exclusions apply before a source chooses: no choice is lost to them.
    """

    def __init__(
        self, stores: Stores, bundles: BundleLocation, ttls: CacheTtls, config: CandidatesConfig
    ) -> None:
        self._stores = stores
        cache, shop = stores.cache, stores.shop
        self._histories_of = lru_cache(N_KEPT)(
            lambda shop_id: HistoryReader(cache.of_shop(shop_id), shop.of_shop(shop_id), ttls)
        )
        self._catalogue = stores.catalogue
        self._has_caught_up = False
        self._shelf = BundleShelf(bundles, CANDIDATES, lambda bundle: _Opened.of(bundle, config))
        # A thread: a batch takes so long that it must not block the event loop, least of all that
        # of the ingress. Only one: the finder reuses its masks from batch to batch.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="candidates")

    async def check_health(self) -> None:
        """Keeps a new replica out of traffic until it has a bundle (``BundleShelf.join``).

        It then reads what changed since the fit, for ``CATCH_UP_S`` at most.
        """
        await self._shelf.join()
        if not self._has_caught_up:
            self._has_caught_up = True
            with suppress(NoBundleOpens, StageFailed, TimeoutError):
                async with asyncio.timeout(CATCH_UP_S):
                    if served := await self._shelf.to_serve():
                        await self._catalogue.catch_up(served.prepared.fit)

    async def holds(self, version: str) -> bool:
        """Tells whether this replica has opened a version, and knows what changed since its fit."""
        if not await self._shelf.holds(version):
            return False
        opened = await self._shelf.at(version)
        try:
            async with asyncio.timeout(HOLDS_S):
                return await self._catalogue.catch_up(opened.fit)
        except TimeoutError:
            return False

    async def find(self, batch: RequestBatch) -> CandidateBatch:
        """Finds the candidates of a batch; raises StageFailed if its bundle cannot be opened."""
        opened = await self._shelf.at(batch.bundle)
        live, is_behind = await self._catalogue.at(opened.fit, batch.revision)
        types = kept_types(live.fitted.tables.ending_types)
        reader = self._histories_of(batch.shop_id)
        histories = await reader.read(batch.user_ids, live.fitted.archive, types)
        loop = asyncio.get_running_loop()
        find = partial(opened.finder.find, is_behind=is_behind)
        return await loop.run_in_executor(self._thread, find, live, batch, histories)

    async def silent_stores(self, at_least_s: float) -> dict[str, float]:
        """Seconds by store, of those that have not answered for at least so long."""
        return await self._stores.silent(at_least_s)
