"""Scorer: one variant's model. Each variant is a deployment of its own, so that each scales,
deploys and fails alone."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.bundles.bundle import Bundle
from serve_app.bundles.models import load_booster
from serve_app.bundles.roots import BundleLocation
from serve_app.domain.batches import ScoringBatch
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.scoring.boosters import Scoring, scoring_of
from serve_app.domain.scoring.model_features import assemble
from serve_app.errors import BundleMissing
from serve_app.serving.bundle_shelf import BundleShelf
from serve_app.serving.pipeline import scorer_of


class Scorer:
    """Features of candidates in, scores out."""

    def __init__(self, variant: str, bundles: BundleLocation) -> None:
        self._variant = variant
        self._shelf = BundleShelf(bundles, scorer_of(variant), self._model)
        # One thread of its own: a prediction must not block the loop that answers health checks.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")

    async def score(self, batch: ScoringBatch) -> NDArray[np.float32]:
        """
        Scores of ``batch.rows``, shape (total,).

        Raises:
            StageFailed: the batch's bundle has no usable model of this variant.
        """
        model = await self._shelf.at(batch.bundle)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, model.score, batch)

    def _model(self, bundle: Bundle) -> "Model":
        """
        Raises:
            BundleMissing: the bundle was fitted without this variant.
            FingerprintMismatch: with features that this build assembles differently.
        """
        manifest = bundle.manifest.models.get(self._variant)
        if manifest is None:
            raise BundleMissing(str(bundle.folder), self._variant)
        booster = load_booster(bundle.model_path(self._variant), manifest)
        return Model(scoring_of(booster), manifest.features, bundle.fitted.catalogue)


@dataclass(frozen=True, slots=True)
class Model:
    """How it scores, and what its features are made from."""

    scoring: Scoring
    features: tuple[str, ...]
    catalogue: Catalogue

    def score(self, batch: ScoringBatch) -> NDArray[np.float32]:
        return self.scoring(assemble(self.features, self.catalogue, batch))
