"""CandidateGenerator: reads what users did and finds candidates. Holds tables, no model."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from serve_app.bundles.bundle import Bundle
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.batches import CandidateBatch, RequestBatch
from serve_app.domain.candidates.finding import CandidatesConfig, find_candidates
from serve_app.domain.filters.allowed import AllowedItems
from serve_app.domain.interactions import Histories
from serve_app.serving.bundle_shelf import BundleShelf
from serve_app.stores.connections import Stores
from serve_app.stores.user_state import CacheTtls, HistoryReader


class CandidateGenerator:
    """Several sources over one catalogue, merged; filters and exclusions before every choice."""

    def __init__(
        self,
        stores: Stores,
        bundles: BundleLocation,
        ttls: CacheTtls,
        config: CandidatesConfig,
    ) -> None:
        self._histories = HistoryReader(stores.cache, stores.shop, ttls)
        self._shelf = BundleShelf(bundles, "candidates", CandidateWorld.of)
        self._config = config
        # As a scorer's: a batch takes so long that it must not block the event loop, least of all
        # that of the ingress. A single thread: the masks of the world are not for several.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="candidates")

    async def find(self, batch: RequestBatch) -> CandidateBatch:
        """
        Raises:
            StageFailed: the batch's bundle cannot be opened.
        """
        world = await self._shelf.at(batch.bundle)
        histories = await self._histories.read(batch.user_ids, world.bundle.fitted.archive)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._found, batch, histories, world)

    def _found(
        self, batch: RequestBatch, histories: Histories, world: "CandidateWorld"
    ) -> CandidateBatch:
        return find_candidates(
            batch,
            histories,
            world.bundle.fitted.catalogue,
            world.bundle.fitted.tables,
            self._config,
            allowed=world.allowed,
        )


@dataclass(frozen=True, slots=True)
class CandidateWorld:
    """A bundle and the masks that were made over its catalogue."""

    bundle: Bundle
    allowed: AllowedItems

    @classmethod
    def of(cls, bundle: Bundle) -> "CandidateWorld":
        return cls(bundle, AllowedItems(bundle.fitted.catalogue))
