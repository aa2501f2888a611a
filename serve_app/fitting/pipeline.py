"""The fit's shell: reads the warehouse, runs the steps, writes back what was learnt, publishes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from serve_app.bundles.bundle import open_current
from serve_app.bundles.manifest import Manifest
from serve_app.bundles.promotions import promote
from serve_app.bundles.publishing import publish
from serve_app.domain.interactions import InteractionLog
from serve_app.errors import BundleError
from serve_app.fitting.fit_config import STEP_SETTINGS, FitConfig
from serve_app.fitting.in_process import LEARNING
from serve_app.fitting.job import Job
from serve_app.fitting.run import Meter, Progress, Ran, Step, run
from serve_app.fitting.steps.check_data import check
from serve_app.fitting.steps.evaluate_models import (
    Served,
    evaluate,
    is_promoted,
    metrics_of,
    report_of,
)
from serve_app.fitting.steps.publish import fitted
from serve_app.fitting.workspace.step_folders import Workspace, code_key, read_json, write_json
from serve_app.fitting.workspace.workers import Workers
from serve_app.stores.postgres.fit_input import (
    data_state,
    read_interactions,
    read_items,
    read_users,
)
from serve_app.stores.postgres.fit_output import write_item_features, write_user_features
from serve_app.stores.postgres.schema import Connection, check_schema

PUBLISH = "publish"

_PUBLISHED = "manifest.json"


@dataclass(frozen=True, slots=True)
class FitSource:
    """
    Where a fit reads from and where it publishes.

    Attributes:
        bundle_root: local folder, or URI of an object store.
        cache_dir: where copies of bundles go.
    """

    conn: Connection
    bundle_root: str
    cache_dir: Path


def fit_and_publish(
    shop: FitSource,
    work: Workspace,
    config: FitConfig,
    workers: Workers,
    progress: Progress,
    meter: Meter,
    *,
    created_at: float,
    only: str | None = None,
    force: bool = False,
) -> Iterator[Ran]:
    """
    Args:
        created_at: epoch seconds.
        only: a step that runs alone.
        force: serve it whatever the gate says.

    Yields:
        Each step when it is done.

    Raises:
        NotEnoughData: too little to learn from; what is served stays.
        SchemaMismatch: nothing was ever loaded into this database.
        StepMissing: a step that the only one needs is not done.
    """
    check_schema(shop.conn)
    steps: Mapping[str, Step] = {
        **LEARNING,
        "check": partial(check, read=partial(_read, shop.conn)),
        "evaluate": partial(evaluate, find_served=partial(_served, shop)),
        PUBLISH: partial(_publish, shop=shop, created_at=created_at, force=force),
    }
    steps = {name: steps[name] for name in STEP_SETTINGS}
    sources = [code_key(), data_state(shop.conn)]
    return run(steps, work, config, sources, workers, progress, meter, only=only)


def published(work: Workspace) -> Manifest:
    """What the last step published."""
    return Manifest.model_validate(read_json(work.of(PUBLISH) / _PUBLISHED))


def _read(conn: Connection) -> tuple[pd.DataFrame, pd.DataFrame, InteractionLog]:
    # Interactions first: an item that is loaded meanwhile may lack interactions, but no interaction
    # its item.
    log = read_interactions(conn)
    return read_items(conn), read_users(conn), log


def _served(shop: FitSource) -> Served | None:
    """
    The bundle that is served.

    One that this build cannot read is as good as none, and so is one whose name is damaged: the
    fit takes its place.
    """
    try:
        bundle = open_current(shop.bundle_root, cache_dir=shop.cache_dir)
    except BundleError:
        return None
    if bundle is None:
        return None
    paths = {name: bundle.held_out_path(name) for name in bundle.manifest.models}
    models = {name: path.read_bytes() for name, path in paths.items() if path is not None}
    return Served(bundle.manifest, models)


def _publish(job: Job, folder: Path, shop: FitSource, created_at: float, force: bool) -> None:
    made = fitted(job.work, job.config, metrics_of(job.work))
    catalogue = made.contents.fitted.catalogue
    rows = np.flatnonzero(catalogue.listed).astype(np.int32)
    numbers = (catalogue.number(name)[rows] for name in ("popularity", "avg_rating", "num_ratings"))
    write_item_features(shop.conn, rows, *numbers)
    job.progress(0.2)
    write_user_features(shop.conn, made.user_ids, made.users)
    job.progress(0.7)
    passed = is_promoted(job.work)
    manifest = publish(
        shop.bundle_root,
        made.contents,
        created_at=created_at,
        n_kept=job.config.n_versions_kept,
        promote=passed,
        report=report_of(job.work),
    )
    if force and not passed:
        promote(shop.bundle_root, manifest.version, at=created_at, by="forced")
    write_json(folder / _PUBLISHED, manifest.model_dump(mode="json"))
