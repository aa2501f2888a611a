"""Fits shops with unusual data, from files to a published bundle, through a real PostgreSQL."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve_app.arrays.units import DAY_S
from serve_app.bundles.bundle import current_version, open_bundle
from serve_app.bundles.manifest import Manifest
from serve_app.bundles.models.loading import load_model
from serve_app.bundles.version_reports import read_verdict
from serve_app.database.schema import Connection
from serve_app.domain.batches import RequestBatch
from serve_app.errors import NotEnoughData
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.fit_source import FitSource
from serve_app.fitting.pipeline import fit_and_publish, load_published
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import LocalWorkers
from serve_app.loading.load import InputFiles, LoadConfig, load
from serve_app.operations.fits.fit_ending import describe_ending
from serve_app.operations.fits.metering import metered
from serve_app.recommending.candidates.finding import CandidateFinder, CandidatesConfig
from serve_app.recommending.ranking.diversity import DiversityConfig
from serve_app.recommending.ranking.ordering import RankingConfig
from serve_app.recommending.recommend_batch import recommend_batch
from serve_app.recommending.scoring.model_features import unknown_user, user_features
from tests.support.few_examples import FEW_EXAMPLES
from tests.support.small_bundles import of_other_features, publish_world

CONFIG = FitConfig(
    variants={"main": VariantConfig(n_trees=5, n_models=1)}, **FEW_EXAMPLES, min_users=5
)
BEGIN_AT, NOW_AT = 1.70e9, 1.79e9
Event = tuple[str, str, str, Any, float]
Rows = Iterable[Mapping[str, Any]]


def purchases(
    n_users: int = 60, n_items: int = 40, days: float = 90, kind: str = "purchase", name: str = ""
) -> list[Event]:
    """1,500 events of users with tastes, at equal distances."""
    rng = np.random.default_rng(1)
    users = rng.integers(0, n_users, 1_500)
    items = (users * 7 + rng.geometric(0.1, 1_500)) % n_items
    at = BEGIN_AT + days * DAY_S * np.arange(1_500) / 1_500
    return [
        (f"{name}u{user}", f"{name}i{item}", kind, "", moment)
        for user, item, moment in zip(users, items, at.tolist(), strict=True)
    ]


def items(n: int = 40, name: str = "", **columns: Any) -> Rows:
    return [{"item_id": f"{name}i{i}", **columns} for i in range(n)]


OLD = [
    ("u0", f"old{days}", "purchase", "", BEGIN_AT - days * DAY_S) for days in range(60, 12_000, 60)
]
GUEST: list[Event] = [
    ("guest", f"i{i % 40}", "purchase", "", BEGIN_AT + 100 * i) for i in range(5_000)
]
ODD = "ü🦊 ,\"'"

SHOPS: Mapping[str, tuple[list[Event], Rows]] = {
    "items that sold last years ago": ([*OLD, *purchases()], items()),
    "one minute of views": (purchases(days=1 / 1_440, kind="view"), items(price=0)),
    "ids of any characters": (purchases(name=ODD), items(name=ODD, price=1e12)),
    "items without any word": (purchases(), items(title="", category="", tags="")),
    "a user who buys everything": ([*GUEST, *purchases()], items(in_stock="false")),
}


def write(file: Path, rows: Rows) -> Path:
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, fieldnames=[*next(iter(rows))])
        writer.writeheader()
        writer.writerows(rows)
    return file


def fit(
    conn: Connection, folder: Path, events: list[Event], described: Rows, now_at: float = NOW_AT
) -> Manifest:
    names = ("user_id", "item_id", "type", "value", "timestamp")
    log = [dict(zip(names, event, strict=True)) for event in events]
    files = InputFiles(
        write(folder / "items.csv", described), None, write(folder / "interactions.csv", log)
    )
    load(conn, files, LoadConfig(), lambda file, share: None, now_at=now_at)
    work = Workspace(folder / "fit")
    work.folder.mkdir(exist_ok=True)
    for _ in fit_and_publish(
        FitSource(conn, str(folder / "bundles"), folder / "cache", now_at),
        work,
        CONFIG,
        LocalWorkers(),
        lambda step, share: None,
        metered,
        created_at=NOW_AT,
    ):
        pass
    return load_published(work)


@pytest.mark.parametrize("name", SHOPS)
def test_publishes_a_bundle_of(conn: Connection, tmp_path: Path, name: str) -> None:
    events, described = SHOPS[name]

    manifest = fit(conn, tmp_path, events, described)

    root, cache = str(tmp_path / "bundles"), tmp_path / "cache"
    assert open_bundle(root, manifest.version, cache_dir=cache, verify=True).manifest == manifest
    assert manifest.n_interactions == len(set(events))


def test_an_event_that_is_dated_ahead_waits_for_a_later_fit(
    conn: Connection, tmp_path: Path
) -> None:
    at = BEGIN_AT + 90 * DAY_S
    ahead = ("u0", "i0", "purchase", "", at + 20 * 3_600)
    early = fit(conn, tmp_path, [*purchases(), ahead], items(), now_at=at)
    late = fit(conn, tmp_path, [ahead], items(), now_at=at + DAY_S)

    assert early.n_interactions == late.n_interactions - 1
    assert early.until_at <= at
    assert late.until_at == ahead[-1]


def fashions() -> list[Event]:
    """Purchases without tastes: all users buy what all buy."""
    rng = np.random.default_rng(2)
    users = rng.integers(0, 300, 3_000)
    items = np.minimum(rng.geometric(0.05, 3_000), 99)
    at = BEGIN_AT + 1_000.0 * np.arange(3_000)
    return [
        (f"u{user}", f"i{item}", "purchase", "", moment)
        for user, item, moment in zip(users, items, at.tolist(), strict=True)
    ]


def lists_of(root: Path, manifest: Manifest, users: tuple[str, ...]) -> list[list[int]]:
    """The answers of replicas without diversity."""
    bundle = open_bundle(str(root), manifest.version, cache_dir=root / "cache")
    finder = CandidateFinder.of(bundle.fitted, CandidatesConfig())
    batch = RequestBatch.unfiltered(users, 10, manifest.until_at)
    histories = bundle.fitted.archive.read(users, stale=False)
    features = user_features(np.tile(unknown_user(), (len(users), 1)), batch.at)
    ranking = RankingConfig(diversity=DiversityConfig(mmr_lambda=1.0, max_per_category=None))
    model = load_model(bundle, "main")
    ranked = recommend_batch(batch, histories, features, finder, model, ranking).ranked
    return [part.tolist() for part in np.split(ranked.rows, ranked.offsets[1:-1])]


def test_popularity_orders_the_lists_where_no_model_is_better(
    conn: Connection, tmp_path: Path
) -> None:
    manifest = fit(conn, tmp_path, fashions(), items(100))

    assert manifest.order == "popularity"
    root = tmp_path / "bundles"
    fitted = open_bundle(str(root), manifest.version, cache_dir=root / "cache").fitted
    done = fitted.archive.read(("u1",), stale=False).events["row"]
    popular = fitted.tables.popular_rows
    nobody, somebody = lists_of(root, manifest, ("nobody", "u1"))
    assert nobody == popular[:10].tolist()
    assert somebody == popular[~np.isin(popular, done)][:10].tolist()
    verdict = read_verdict(str(root), manifest.version)
    assert verdict is not None
    assert verdict.promoted
    assert verdict.reason.startswith("popularity orders the lists until a model is better: main is")
    ending = describe_ending(str(root), manifest)
    assert ending is not None
    assert ending.startswith(
        "Nothing was better than popularity, so lists are ordered by popularity"
    )
    assert ending.endswith(f": {verdict.lack}.")


def test_popularity_replaces_a_model_that_this_build_cannot_use(
    conn: Connection, tmp_path: Path
) -> None:
    root = tmp_path / "bundles"
    of_other_features(root, publish_world(root).version, "main")

    manifest = fit(conn, tmp_path, fashions(), items(100))

    assert manifest.order == "popularity"
    assert current_version(str(root)) == manifest.version


def test_a_later_fit_replaces_popularity_by_newer_popularity(
    conn: Connection, tmp_path: Path
) -> None:
    first = fit(conn, tmp_path, fashions(), items(100))
    later = [("u7", f"i{i}", "purchase", "", BEGIN_AT + 3_100_000.0 + i) for i in range(40)]

    second = fit(conn, tmp_path, later, items(100))

    assert second.version != first.version
    assert second.order == "popularity"
    assert current_version(str(tmp_path / "bundles")) == second.version


@pytest.mark.parametrize(
    "events",
    [purchases(n_users=1), purchases(n_items=1), purchases(days=0), purchases()[:3]],
    ids=["one user", "one item", "one moment", "three events"],
)
def test_says_what_is_missing(conn: Connection, tmp_path: Path, events: list[Event]) -> None:
    with pytest.raises(NotEnoughData, match=r"too close in time|at least 5 are needed"):
        fit(conn, tmp_path, events, items())
