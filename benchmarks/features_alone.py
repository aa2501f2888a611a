"""Measures `FeatureFetcher.items` alone: metadata of some items, in this process."""

import asyncio
import time

import numpy as np

from benchmarks.figures import quantiles_ms
from benchmarks.home import Home
from serve_app.domain.batches import MetadataBatch
from serve_app.serving.stages.feature_fetcher import FeatureFetcher
from serve_app.stores.connections import Stores, StoresConfig
from serve_app.stores.serving_readers import CacheTtls

SIZES = (1, 10, 50, 100, 500)


def features_alone(home: Home, n_calls: int) -> dict[int, dict[str, float]]:
    """Latency quantiles in milliseconds by the number of items; Redis holds all items."""
    return asyncio.run(_measure(home, n_calls))


async def _measure(home: Home, n_calls: int) -> dict[int, dict[str, float]]:
    fetcher = FeatureFetcher(Stores(home.workplace.location, StoresConfig()), CacheTtls())
    bundle = home.bundle()
    item_ids = bundle.fitted.catalogue.item_ids
    rng = np.random.default_rng(1)
    found = {}
    for size in SIZES:
        durations_s = []
        for _ in range(n_calls):
            wanted = item_ids.take(rng.integers(0, len(item_ids), size).tolist())
            started_at = time.perf_counter()
            await fetcher.items(MetadataBatch(tuple(wanted), bundle.manifest.shop_id))
            durations_s.append(time.perf_counter() - started_at)
        found[size] = quantiles_ms(durations_s)
    return found
