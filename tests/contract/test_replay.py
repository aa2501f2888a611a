"""Tests that the stages and the fit compute equal features and scores for the same users."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from serve_app.arrays.columns import Texts
from serve_app.arrays.units import DAY_S
from serve_app.bundles.roots import BundleLocation
from serve_app.database.schema import Connection, shop_id
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.domain.batches import RequestBatch, ScoringBatch
from serve_app.domain.interactions import TYPE_CODES, TYPES, InteractionLog
from serve_app.embedded.lease import StoreUrls
from serve_app.fitting.data.moments import Moments, moments_at
from serve_app.fitting.data.outcomes import Outcomes
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.fit_source import FitSource
from serve_app.fitting.moments.examples import Block, make_block
from serve_app.fitting.moments.snapshot import Snapshot
from serve_app.fitting.pipeline import fit_and_publish, load_published
from serve_app.fitting.steps.check_data import load_data
from serve_app.fitting.steps.find_candidates import load_snapshot
from serve_app.fitting.steps.train_models import read_booster
from serve_app.fitting.training.boosting import VariantConfig, parse_booster, select_columns
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import LocalWorkers
from serve_app.loading.load import InputFiles, LoadConfig, load
from serve_app.operations.command_cache import begin_new_epoch
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
WAYS = ("view", "click", "cart", "purchase")


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


def replay(snapshot: Snapshot, log: InteractionLog, moments: Moments) -> Block:
    """The candidates of the fit's own code at the moments, with their features."""
    viewed = Outcomes(
        moments,
        np.arange(USERS + 1),
        np.zeros(USERS, np.int32),
        np.ones(USERS, np.uint8),
        np.zeros(USERS, np.int32),
    )
    return make_block(snapshot, log, viewed, slice(0, USERS), CONFIG.candidates)


def check_equal(work: Workspace, batch: ScoringBatch, scores: np.ndarray, block: Block) -> None:
    np.testing.assert_array_equal(batch.offsets, block.candidates.offsets)
    np.testing.assert_array_equal(batch.rows, block.candidates.rows)
    np.testing.assert_array_equal(batch.candidate_features, block.candidates.features)
    matrix = select_columns(block.examples.matrix, CONFIG.variants["main"].feature_names)
    expected = predict(parse_booster(read_booster(work, "published", "main")), matrix)
    # PostgreSQL keeps some numbers of a user in single precision.
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def events_after(log: InteractionLog, at: float) -> InteractionLog:
    """0 to 3 events of each of the first users, minutes after the fit."""
    rng = np.random.default_rng(4)
    users = np.repeat(np.arange(USERS), np.arange(USERS) % 4)
    times = np.floor(at) + 60.0 * (1 + np.arange(len(users)))
    types = np.array([TYPE_CODES[name] for name in WAYS])
    return InteractionLog(
        log.user_ids,
        users.astype(np.int32),
        rng.choice(log.rows, len(users)),
        types[np.arange(len(users)) % len(types)].astype(np.uint8),
        np.full(len(users), np.nan, np.float32),
        times,
    )


def both(log: InteractionLog, later: InteractionLog) -> InteractionLog:
    order = np.argsort(np.concatenate((log.users, later.users)), kind="stable")
    names = ("users", "rows", "types", "values", "at")
    columns = (np.concatenate((getattr(log, n), getattr(later, n)))[order] for n in names)
    return InteractionLog(log.user_ids, *columns)


def load_events(conn: Connection, later: InteractionLog, item_ids: Texts, file: Path) -> None:
    pd.DataFrame(
        {
            "user_id": [later.user_ids[user] for user in later.users],
            "item_id": [item_ids[row] for row in later.rows],
            "type": [TYPES[code].name for code in later.types],
            "timestamp": later.at,
        }
    ).to_csv(file, index=False)
    files = InputFiles(None, None, file)
    load(conn, files, LoadConfig(), lambda file, share: None, now_at=later.at.max() + DAY_S)


def test_requests_replayed_through_the_fit_have_equal_scores(
    conn: Connection,
    work: Workspace,
    store_urls: StoreUrls,
    database_url: str,
    run: Callable[..., Any],
) -> None:
    data = load_data(work)
    snapshot = load_snapshot(work, data, "final")
    end_at, users = snapshot.at, np.arange(USERS, dtype=np.int32)
    names = tuple(data.log.user_ids[user] for user in range(USERS))
    urls = replace(store_urls, database=database_url)
    # The last interaction of all happened at the moment itself, and the bundle knows it.
    ends = moments_at(data.log, users, np.nextafter(end_at, np.inf))

    at_end = replay(snapshot, data.log, replace(ends, at=np.full(USERS, end_at)))
    batch, scores = run(served(work, urls, names, end_at))
    check_equal(work, batch, scores, at_end)

    # At a moment within a window, histories are newer than the tables.
    later = events_after(data.log, end_at)
    load_events(conn, later, snapshot.fitted.catalogue.item_ids, work.folder / "later.csv")
    begin_new_epoch(urls.redis, str(shop_id(conn)))
    log, inside_at = both(data.log, later), later.at.max() + 60.0

    inside = replay(snapshot, log, moments_at(log, users, inside_at))
    batch, scores = run(served(work, urls, names, inside_at))
    check_equal(work, batch, scores, inside)
    assert not np.array_equal(inside.candidates.rows, at_end.candidates.rows)
