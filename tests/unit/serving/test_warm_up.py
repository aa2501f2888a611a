import asyncio
from dataclasses import replace

import pytest

from serve_app.errors import FingerprintMismatch, ModelsUnusable, StageFailed, StoreUnavailable
from serve_app.serving import warm_up as warm_up_module
from serve_app.serving.config import AppConfig
from serve_app.serving.current_bundle import BundleFollower
from serve_app.serving.warm_up import WarmUp
from serve_app.stores.catalogue_follower import CatalogueFollower
from tests.support.in_memory_stores import InMemoryShop
from tests.support.in_process import down, stages_over, until
from tests.support.small_bundles import location_of, publish_world

CONFIG = AppConfig()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "bundles"
    publish_world(folder)
    return folder


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(warm_up_module, "PAUSE_S", 0.005)


async def warmed(root, **replaced):
    """A warm-up that has tried at least once."""
    in_use = BundleFollower(
        location_of(root), CONFIG.candidates, CONFIG.ranking, CatalogueFollower(InMemoryShop())
    )
    await in_use.look()
    whole = stages_over(location_of(root), CONFIG)
    warm_up = WarmUp(in_use, replace(whole, **replaced), CONFIG.variants)
    warm_up.start()
    await until(lambda: warm_up.missing() != ["every stage"])
    return warm_up


def missing_after(root, **replaced):
    async def scenario():
        return (await warmed(root, **replaced)).missing()

    return asyncio.run(scenario())


def test_nothing_is_missing_once_every_stage_has_answered(root):
    assert missing_after(root) == []


def test_asks_for_a_bundle_first(tmp_path):
    in_use = BundleFollower(
        location_of(tmp_path / "none"),
        CONFIG.candidates,
        CONFIG.ranking,
        CatalogueFollower(InMemoryShop()),
    )
    stages = stages_over(location_of(tmp_path / "none"), CONFIG)

    missing = WarmUp(in_use, stages, CONFIG.variants).missing()

    assert missing == ["bundle: publish one with `recserve fit`"]


def test_names_the_scorer_that_does_not_answer(root):
    scorers = stages_over(location_of(root), CONFIG).scorers

    missing = missing_after(root, scorers={**scorers, "challenger": down})

    assert missing == ["scorer-challenger: connection_refused"]


def test_names_every_stage_that_does_not_answer(root):
    missing = missing_after(root, users=down, candidates=down, rank=down)

    assert sorted(missing) == [
        "candidates: connection_refused",
        "features: connection_refused",
        "ranker: connection_refused",
    ]


def test_does_not_wait_for_a_store_that_a_stage_can_do_without(root):
    async def without_store(_):
        raise StoreUnavailable("features", "store_unavailable")

    assert missing_after(root, users=without_store) == []


@pytest.mark.parametrize("error", [FingerprintMismatch, ModelsUnusable])
def test_does_not_wait_for_a_model_that_only_a_fit_can_bring(root, error):
    async def without_model(_):
        raise StageFailed("scorer-main", error.__name__)

    assert missing_after(root, rank=without_model) == []


def test_a_stage_that_comes_later_makes_it_ready(root):
    stages = stages_over(location_of(root), CONFIG)
    is_up = asyncio.Event()

    async def late(batch):
        if not is_up.is_set():
            raise StageFailed("ranker", "starting")
        return await stages.rank(batch)

    async def scenario():
        warm_up = await warmed(root, rank=late)
        before = warm_up.missing()
        is_up.set()
        await until(lambda: not warm_up.missing())
        return before

    assert asyncio.run(scenario()) == ["ranker: starting"]


def test_stays_ready_when_a_stage_fails_later(root):
    stages = stages_over(location_of(root), CONFIG)
    n_asked = 0

    async def once(batch):
        nonlocal n_asked
        n_asked += 1
        if n_asked > 1:
            raise StageFailed("ranker", "died")
        return await stages.rank(batch)

    async def scenario():
        warm_up = await warmed(root, rank=once)
        warm_up.start()
        return warm_up.missing(), n_asked

    assert asyncio.run(scenario()) == ([], 1)
