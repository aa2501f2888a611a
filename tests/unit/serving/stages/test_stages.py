"""Stages that compute leave their event loop free: in one process it is that of the ingress. Stages
that read stores read those of the bundle's shop."""

import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from serve_app.bundles.bundle_shelf import BundleShelf
from serve_app.bundles.publishing import publish
from serve_app.domain.batches import MetadataBatch, RequestBatch
from serve_app.domain.item_changes import ItemChange
from serve_app.errors import StoreUnavailable
from serve_app.live.live_finder import LiveFinder
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.ranking.ordering import RankingConfig
from serve_app.serving.stages import ranker as ranking
from serve_app.serving.stages.candidate_generator import CandidateGenerator
from serve_app.serving.stages.feature_fetcher import FeatureFetcher
from serve_app.serving.stages.ranker import Ranker
from serve_app.stores.catalogue_follower import CatalogueFollower
from serve_app.stores.serving_readers import CacheTtls
from tests.support.in_memory_stores import InMemoryShop
from tests.support.in_process import new_cache, until
from tests.support.small_bundles import contents_of, location_of, publish_world
from tests.support.small_world import AT


@pytest.fixture
def published(tmp_path):
    root = tmp_path / "bundles"
    return location_of(root), publish_world(root).version


class Computation:
    """Stands for one that takes long: ends when the event loop has run beside it."""

    def __init__(self):
        self.has_begun, self.loop_has_run = threading.Event(), threading.Event()

    def __call__(self, *_, **__):
        self.has_begun.set()
        return self.loop_has_run.wait(5)

    def runs_beside_the_loop(self, stage):
        async def scenario():
            answer = asyncio.create_task(stage())
            await until(self.has_begun.is_set)
            self.loop_has_run.set()
            return await answer

        return asyncio.run(scenario())


@pytest.fixture
def computation():
    return Computation()


def stores_over(cache, shop):
    return SimpleNamespace(cache=cache, shop=shop, catalogue=CatalogueFollower(InMemoryShop()))


def test_ranking_leaves_the_loop_free(monkeypatch, published, computation):
    location, version = published
    monkeypatch.setattr(ranking, "rank", computation)
    batch = SimpleNamespace(bundle=version)

    assert computation.runs_beside_the_loop(lambda: Ranker(location, RankingConfig()).rank(batch))


def test_the_search_for_candidates_leaves_the_loop_free(monkeypatch, published, computation):
    location, version = published
    monkeypatch.setattr(LiveFinder, "find", computation)
    stores = stores_over(new_cache(), InMemoryShop())
    batch = RequestBatch(version, ("u",), np.ones(1, np.int32), (None,), np.array([AT]))

    def stage():
        return CandidateGenerator(stores, location, CacheTtls(), CandidatesConfig()).find(batch)

    assert computation.runs_beside_the_loop(stage)


def test_stages_of_one_process_share_an_opened_bundle(published):
    location, version = published

    async def scenario():
        first, second = (BundleShelf(location, stage, lambda bundle: bundle) for stage in "ab")
        return await first.at(version) is await second.at(version)

    assert asyncio.run(scenario())


class ByShop:
    """A store that can be read as that of a shop only; notes the ids that are asked for."""

    def __init__(self, store):
        self._store = store
        self.shops = []

    def of_shop(self, shop_id):
        self.shops.append(shop_id)
        return self._store


@pytest.mark.parametrize("read", ["users", "items", "find"])
def test_stages_read_the_stores_of_the_bundles_shop(published, read):
    location, version = published
    stores = stores_over(ByShop(new_cache()), ByShop(InMemoryShop()))
    batch = RequestBatch(
        version, ("u",), np.ones(1, np.int32), (None,), np.array([AT]), shop_id="a"
    )

    async def scenario():
        if read == "find":
            await CandidateGenerator(stores, location, CacheTtls(), CandidatesConfig()).find(batch)
        elif read == "users":
            await FeatureFetcher(stores, CacheTtls()).users(batch)
        else:
            await FeatureFetcher(stores, CacheTtls()).items(MetadataBatch(("i",), "a"))

    asyncio.run(scenario())

    assert stores.cache.shops == stores.shop.shops == ["a"]


def test_the_ranker_calls_highly_rated_by_the_scale_of_the_bundle(tmp_path):
    contents = replace(contents_of(), rating_scale=10.0)
    version = publish(str(tmp_path / "bundles"), contents, created_at=AT).version
    ranker = Ranker(location_of(tmp_path / "bundles"), RankingConfig())

    async def scenario():
        return await ranker._shelf.at(version)

    assert asyncio.run(scenario())[1] == RankingConfig(high_rating=8.6)


def test_a_new_replica_reads_the_changes_of_items_before_it_takes_requests(published):
    location, version = published
    shop = InMemoryShop()
    sold_out = ItemChange(5, 0, "i", "title", "unknown", in_stock=False)
    shop.changed.append(sold_out)
    stores = stores_over(new_cache(), InMemoryShop())
    stores.catalogue = CatalogueFollower(shop)
    batch = RequestBatch(version, ("u",), np.ones(1, np.int32), (None,), np.array([AT]))

    async def scenario():
        stage = CandidateGenerator(stores, location, CacheTtls(), CandidatesConfig())
        await stage.check_health()
        # From now on the shop is away.
        stores.catalogue._shop = InMemoryShop(failure=StoreUnavailable("postgres", "unreachable"))
        return await stage.find(batch)

    found = asyncio.run(scenario())

    assert (found.revision, found.is_behind) == (5, False)
    assert 0 not in found.rows
