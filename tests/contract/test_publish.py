"""Tests a fit from loaded files to a published bundle, through a real PostgreSQL."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from serve_app.bundles.bundle import Bundle, current_version, open_bundle, versions
from serve_app.bundles.promotions import promotions
from serve_app.bundles.version_reports import read_verdict
from serve_app.database.schema import Connection, connect
from serve_app.demo.demo_shop import DemoConfig, make_demo, write_demo
from serve_app.embedded.lease import StoreUrls
from serve_app.errors import NotEnoughData, SchemaMismatch
from serve_app.fitting import pipeline as publish
from serve_app.fitting.fit_config import STEP_SETTINGS, FitConfig
from serve_app.fitting.fit_source import FitSource
from serve_app.fitting.pipeline import fit_and_publish, load_published
from serve_app.fitting.run import ALWAYS_AGAIN, StepRun
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import LocalWorkers
from serve_app.loading.load import InputFiles, LoadConfig, load
from serve_app.operations.fits.metering import metered
from tests.contract.conftest import copy_database, temporary_database, url_of
from tests.support.few_examples import FEW_EXAMPLES

CONFIG = FitConfig(variants={"main": VariantConfig(n_trees=5)}, **FEW_EXAMPLES)
DEMO = DemoConfig(n_users=200, n_items=300, n_interactions=8_000, n_days=180)


def ran_by(
    conn: Connection, root: Path, config: FitConfig = CONFIG, *, force: bool = False
) -> list[StepRun]:
    work = Workspace(root.with_name("fit"))
    work.folder.mkdir(exist_ok=True)
    shop = FitSource(conn, str(root), root / "cache")
    return list(
        fit_and_publish(
            shop,
            work,
            config,
            LocalWorkers(),
            lambda step, share: None,
            metered,
            created_at=1.0,
            force=force,
        )
    )


def fit(conn: Connection, root: Path, config: FitConfig = CONFIG, *, force: bool = False) -> str:
    ran = ran_by(conn, root, config, force=force)
    assert [each.step for each in ran] == list(STEP_SETTINGS)
    return load_published(Workspace(root.with_name("fit"))).version


@pytest.fixture(scope="module")
def loaded(store_urls: StoreUrls, template: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name of a database that holds the demo shop; no connection to it is open."""
    files = write_demo(make_demo(DEMO), tmp_path_factory.mktemp("demo"))
    given = InputFiles(files.items, files.users, files.interactions)
    name = copy_database(store_urls, template, "recserve_publish")
    with connect(url_of(store_urls, name)) as conn:
        load(conn, given, LoadConfig(), lambda file, share: None, now_at=DEMO.end_at)
    return name


@pytest.fixture(scope="module")
def workspace(store_urls: StoreUrls, loaded: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a fit of the demo shop leaves: later fits go on with its steps."""
    root = tmp_path_factory.mktemp("publish") / "bundles"
    name = copy_database(store_urls, loaded, "recserve_publish_fitted")
    with connect(url_of(store_urls, name)) as conn:
        fit(conn, root)
    return root.with_name("fit")


@pytest.fixture
def shop(
    store_urls: StoreUrls, loaded: str, workspace: Path, tmp_path: Path
) -> Iterator[Connection]:
    shutil.copytree(workspace, tmp_path / "fit")
    for url in temporary_database(store_urls, loaded):
        with connect(url) as conn:
            yield conn


def opened(root: Path) -> Bundle:
    version = current_version(str(root))
    assert version is not None
    return open_bundle(str(root), version, cache_dir=root / "cache", verify=True)


def test_publishes_what_was_loaded(shop: Connection, tmp_path: Path) -> None:
    version = fit(shop, tmp_path / "bundles")

    bundle = opened(tmp_path / "bundles")
    assert bundle.manifest.version == version
    assert bundle.manifest.n_interactions == DEMO.n_interactions
    assert bundle.manifest.n_items == DEMO.n_items
    assert "brand" in bundle.fitted.catalogue.columns


def test_writes_the_numbers_of_items_back(shop: Connection, tmp_path: Path) -> None:
    fit(shop, tmp_path / "bundles")

    catalogue = opened(tmp_path / "bundles").fitted.catalogue
    found = shop.execute(
        "SELECT popularity_score, avg_rating, num_ratings FROM item_features ORDER BY item_row"
    ).fetchall()
    columns = [catalogue.number(name) for name in ("popularity", "avg_rating", "num_ratings")]
    described = np.column_stack(columns)[catalogue.listed]
    np.testing.assert_allclose(np.array(found, float), described, rtol=1e-6)


def test_writes_the_numbers_of_users_back(shop: Connection, tmp_path: Path) -> None:
    fit(shop, tmp_path / "bundles")

    differing = shop.execute("""
        SELECT user_id FROM user_features JOIN
          (SELECT user_id, count(*) FILTER (WHERE type = 3) AS n, max(at) AS latest_at
           FROM interactions GROUP BY user_id) AS truth USING (user_id)
        WHERE total_purchases <> n OR abs(extract(epoch FROM last_at - latest_at)) > 0.001
    """).fetchall()
    assert differing == []
    longest = shop.execute("""
        SELECT max(cardinality(recent_views)), max(cardinality(favorite_categories))
        FROM user_features
    """).fetchone()
    assert longest == (10, 3)


def test_fitting_again_changes_nothing(shop: Connection, tmp_path: Path) -> None:
    stamps = """
        SELECT (SELECT max(updated_at) FROM item_features), max(updated_at) FROM user_features
    """
    first = fit(shop, tmp_path / "bundles")
    before = shop.execute(stamps).fetchone()

    assert fit(shop, tmp_path / "bundles") == first
    assert shop.execute(stamps).fetchone() == before


def test_another_build_does_not_go_on_with_what_this_one_left(
    shop: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {each.step for each in ran_by(shop, tmp_path / "bundles") if each.again} == set(
        ALWAYS_AGAIN
    )

    monkeypatch.setattr(publish, "compute_code_key", lambda: "of another build")

    assert all(each.again for each in ran_by(shop, tmp_path / "bundles"))


def test_leaves_the_served_bundle_alone_when_there_is_too_little(
    shop: Connection, tmp_path: Path
) -> None:
    version = fit(shop, tmp_path / "bundles")
    shop.execute("DELETE FROM interactions")

    with pytest.raises(NotEnoughData, match="there are no interactions"):
        fit(shop, tmp_path / "bundles")

    assert current_version(str(tmp_path / "bundles")) == version


def test_says_that_nothing_was_ever_loaded(bare_database_url: str, tmp_path: Path) -> None:
    with connect(bare_database_url) as conn, pytest.raises(SchemaMismatch, match="recserve load"):
        fit(conn, tmp_path / "bundles")


WORSE = CONFIG.model_copy(
    update={"variants": {"main": VariantConfig(n_trees=1, features=("cross",))}}
)
"""Orders candidates by their age and price: worse than what the sources say."""


def test_a_fit_that_is_worse_is_kept_back_with_its_report(shop: Connection, tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    first = fit(shop, root)

    worse = fit(shop, root, WORSE)

    assert worse != first
    assert current_version(str(root)) == first
    assert set(versions(str(root))) == {first, worse}
    verdict = read_verdict(str(root), worse)
    assert verdict is not None
    assert not verdict.promoted
    assert "main is not better than" in verdict.reason
    assert (root / "reports" / worse / "report.html").exists()


def test_a_fit_that_is_kept_back_can_be_forced(shop: Connection, tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    fit(shop, root)

    worse = fit(shop, root, WORSE, force=True)

    assert current_version(str(root)) == worse
    assert promotions(str(root))[-1].by == "forced"


def test_a_served_bundle_of_another_build_is_fitted_over(shop: Connection, tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    old = root / fit(shop, root)
    manifest = json.loads((old / "manifest.json").read_text())
    (old / "manifest.json").write_text(json.dumps({**manifest, "format": 1}))

    version = fit(shop, root, WORSE)

    assert current_version(str(root)) == version


def test_a_fit_takes_the_place_of_what_no_longer_names_a_version(
    shop: Connection, tmp_path: Path
) -> None:
    root = tmp_path / "bundles"
    fit(shop, root)
    (root / "current").write_text("main")

    version = fit(shop, root, WORSE)

    assert current_version(str(root)) == version
