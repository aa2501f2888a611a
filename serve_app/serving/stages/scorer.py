"""Defines the stage Scorer: scores candidates with the model of one variant."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from serve_app.bundles.bundle_shelf import BundleShelf
from serve_app.bundles.models.loading import load_model
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.batches import ScoringBatch
from serve_app.serving.pipeline import scorer_of


class Scorer:
    """Holds the model of one variant. As a deployment, each variant scales and fails alone."""

    def __init__(self, variant: str, bundles: BundleLocation) -> None:
        self._shelf = BundleShelf(
            bundles, scorer_of(variant), lambda bundle: load_model(bundle, variant)
        )
        # A prediction must not block the event loop, which also answers health checks.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")

    async def check_health(self) -> None:
        """Keeps a new replica out of traffic until it has a bundle (``BundleShelf.join``)."""
        await self._shelf.join()

    async def holds(self, version: str) -> bool:
        """Tells whether this replica has opened a version."""
        return await self._shelf.holds(version)

    async def score(self, batch: ScoringBatch) -> NDArray[np.float32]:
        """Computes the scores of ``batch.rows``, shape (total,).

        Raises:
            StageFailed: the batch's bundle has no usable model of this variant.
        """
        model = await self._shelf.at(batch.bundle)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, model.score, batch)
