"""Tests that the stages and the fit compute equal features and scores for the same users."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_app.bundles.roots import BundleLocation
from serve_app.database.schema import Connection
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.domain.batches import RequestBatch, ScoringBatch
from serve_app.embedded.lease import StoreUrls
from serve_app.fitting.data.moments import moments_at
from serve_app.fitting.data.outcomes import Outcomes
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.fit_source import FitSource
from serve_app.fitting.moments.examples import make_block
from serve_app.fitting.pipeline import fit_and_publish, load_published
from serve_app.fitting.steps.check_data import load_data
from serve_app.fitting.steps.find_candidates import load_snapshot
from serve_app.fitting.steps.train_models import read_booster
from serve_app.fitting.training.boosting import VariantConfig, parse_booster, select_columns
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import LocalWorkers
from serve_app.loading.load import InputFiles, LoadConfig, load
from serve_app.operations.fits.metering import metered
from serve_app.recommending.candidates.finding import CandidatesConfig
from serve_app.recommending.scoring.boosters import predict
from serve_app.serving.stages.candidate_generator import CandidateGenerator
from serve_app.serving.stages.feature_fetcher import FeatureFetcher
from serve_app.serving.stages.scorer import Scorer
from serve_app.stores.connections import StoreLocation, Stores, StoresConfig
from serve_app.stores.serving_readers import CacheTtls

# The fit ignores stock, because past stock is not known.
DEMO = DemoConfig(n_users=200, n_items=300, n_interactions=8_000, n_days=180)
CONFIG = FitConfig(variants={"main": VariantConfig(n_trees=30, min_ranking_users=0)})
USERS = 40


@pytest.fixture
def work(conn: Connection, tmp_path: Path) -> Workspace:
    """A whole fit of what was loaded into a real PostgreSQL."""
    files = write_demo(make_demo(DEMO), tmp_path / "demo")
    given = InputFiles(files.items, files.users, files.interactions)
    load(conn, given, LoadConfig(), lambda file, share: None, now_at=DEMO.end_at)
    conn.execute("UPDATE item_features SET in_stock = true")
    work = Workspace(tmp_path / "fit")
    work.folder.mkdir()
    shop = FitSource(conn, str(tmp_path / "bundles"), tmp_path / "cache")
    for _ in fit_and_publish(
        shop,
        work,
        CONFIG,
        LocalWorkers(),
        lambda step, share: None,
        metered,
        created_at=1.0,
        force=True,
    ):
        pass
    return work


async def served(
    work: Workspace, urls: StoreUrls, user_ids: tuple[str, ...], at: float
) -> tuple[ScoringBatch, np.ndarray]:
    """The candidates of a batch from the stages, with their features and scores."""
    root = work.folder.with_name("bundles")
    bundles = BundleLocation(str(root), root.with_name("copies"))
    stores = Stores(StoreLocation(root.parent, urls.database, urls.redis), StoresConfig())
    batch = RequestBatch.unfiltered(user_ids, 10, at, load_published(work).version)
    ttls = CacheTtls()
    users = await FeatureFetcher(stores, ttls).users(batch)
    found = await CandidateGenerator(stores, bundles, ttls, CandidatesConfig()).find(batch)
    assert not users.defaulted.any()
    assert not found.stale.any()
    scoring = ScoringBatch.of(found, users.values, batch.at)
    return scoring, await Scorer("main", bundles).score(scoring)


def test_requests_replayed_through_the_fit_have_equal_scores(
    work: Workspace, store_urls: StoreUrls, database_url: str, run: Callable[..., Any]
) -> None:
    data = load_data(work)
    world = load_snapshot(work, data, "final")
    users = np.arange(USERS, dtype=np.int32)
    # The last interaction of all happened at the moment itself, and the bundle knows it.
    moments = moments_at(data.log, users, np.nextafter(world.at, np.inf))
    viewed = Outcomes(
        replace(moments, at=np.full(USERS, world.at)),
        np.arange(USERS + 1),
        np.zeros(USERS, np.int32),
        np.ones(USERS, np.uint8),
        np.zeros(USERS, np.int32),
    )
    urls = replace(store_urls, database=database_url)

    batch, scores = run(
        served(work, urls, tuple(data.log.user_ids[user] for user in range(USERS)), world.at)
    )
    replayed = make_block(world, data.log, viewed, slice(0, USERS), CONFIG.candidates)

    np.testing.assert_array_equal(batch.offsets, replayed.candidates.offsets)
    np.testing.assert_array_equal(batch.rows, replayed.candidates.rows)
    np.testing.assert_array_equal(batch.candidate_features, replayed.candidates.features)
    matrix = select_columns(replayed.examples.matrix, CONFIG.variants["main"].feature_names)
    expected = predict(parse_booster(read_booster(work, "published", "main")), matrix)
    # PostgreSQL keeps some numbers of a user in single precision.
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
