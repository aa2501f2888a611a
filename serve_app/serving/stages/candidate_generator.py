"""Defines the stage CandidateGenerator: reads what users did, and finds candidates for them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from serve_app.bundles.bundle_shelf import N_KEPT, BundleShelf
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.batches import CandidateBatch, RequestBatch
from serve_app.domain.interactions import kept_types
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.stores.connections import Stores
from serve_app.stores.serving_readers import CacheTtls, HistoryReader


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
        self._shelf = BundleShelf(
            bundles, "candidates", lambda bundle: CandidateFinder.of(bundle.fitted, config)
        )
        # A thread: a batch takes so long that it must not block the event loop, least of all that
        # of the ingress. Only one: the finder reuses its masks from batch to batch.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="candidates")

    async def check_health(self) -> None:
        """Keeps a new replica out of traffic until it has a bundle (``BundleShelf.join``)."""
        await self._shelf.join()

    async def holds(self, version: str) -> bool:
        """Tells whether this replica has opened a version."""
        return await self._shelf.holds(version)

    async def find(self, batch: RequestBatch) -> CandidateBatch:
        """Finds the candidates of a batch; raises StageFailed if its bundle cannot be opened."""
        finder = await self._shelf.at(batch.bundle)
        types = kept_types(finder.fitted.tables.ending_types)
        reader = self._histories_of(batch.shop_id)
        histories = await reader.read(batch.user_ids, finder.fitted.archive, types)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, finder.find, batch, histories)

    async def silent_stores(self, at_least_s: float) -> dict[str, float]:
        """Seconds by store, of those that have not answered for at least so long."""
        return await self._stores.silent(at_least_s)
