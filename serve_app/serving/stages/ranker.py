"""Defines the stage Ranker: orders scored candidates, diversifies lists and adds reasons."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from serve_app.bundles.bundle import Bundle
from serve_app.bundles.bundle_shelf import BundleShelf
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.batches import RankedBatch, RankingBatch
from serve_app.domain.catalogue import Catalogue
from serve_app.recommending.ranking.ordering import RankingConfig, rank
from serve_app.serving.pipeline import RANKER


class Ranker:
    """Turns scored candidates into ordered lists. Holds the catalogue."""

    def __init__(self, bundles: BundleLocation, config: RankingConfig) -> None:
        self._shelf = BundleShelf(bundles, RANKER, lambda bundle: _prepare(bundle, config))
        # A batch must not block the event loop, least of all that of the ingress.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rank")

    async def check_health(self) -> None:
        """Keeps a new replica out of traffic until it has a bundle (``BundleShelf.join``)."""
        await self._shelf.join()

    async def holds(self, version: str) -> bool:
        """Tells whether this replica has opened a version."""
        return await self._shelf.holds(version)

    async def rank(self, batch: RankingBatch) -> RankedBatch:
        """Orders the candidates of a batch; raises StageFailed if its bundle cannot be opened."""
        catalogue, config = await self._shelf.at(batch.bundle)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, rank, batch, catalogue, config)


def _prepare(bundle: Bundle, config: RankingConfig) -> tuple[Catalogue, RankingConfig]:
    return bundle.fitted.catalogue, config.on_scale(bundle.manifest.rating_scale)
