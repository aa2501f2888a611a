"""Ranker: order, diversity and reasons. Holds the catalogue."""

from serve_app.domain.batches import RankedBatch, RankingBatch
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.ranking import RankingConfig, rank
from serve_app.stores.bundle import Bundle
from serve_app.stores.bundle_shelf import BundleLocation, BundleShelf


class Ranker:
    """Scored candidates in, ordered answers out."""

    def __init__(self, bundles: BundleLocation, config: RankingConfig) -> None:
        self._shelf = BundleShelf(bundles, "ranker", _catalogue)
        self._config = config

    async def rank(self, batch: RankingBatch) -> RankedBatch:
        """
        Raises:
            StageFailed: the batch's bundle cannot be opened.
        """
        return rank(batch, await self._shelf.at(batch.candidates.bundle), self._config)


def _catalogue(bundle: Bundle) -> Catalogue:
    return bundle.catalogue
