"""Step ``publish``: writes the learnt columns to the database, and the bundle to its root."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Texts
from serve_app.bundles.manifest import Order
from serve_app.bundles.promotions import promote
from serve_app.bundles.publishing import BundleContents, FittedModel, publish
from serve_app.database.fit_output import write_item_features, write_user_features
from serve_app.domain.fitted import Fitted
from serve_app.fitting.data.labels import rating_scale
from serve_app.fitting.data.user_numbers import find_favorite_categories, find_recent_views
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.fit_source import FitSource
from serve_app.fitting.judging.gate import POPULAR
from serve_app.fitting.moments.snapshot import build_archive
from serve_app.fitting.run import Job
from serve_app.fitting.steps import evaluate_models
from serve_app.fitting.steps.check_data import load_data
from serve_app.fitting.steps.compute_features import (
    known_at,
    load_catalogue_at,
    load_settings,
    load_users_at,
)
from serve_app.fitting.steps.find_candidates import load_tables
from serve_app.fitting.steps.train_models import load_objectives, read_booster
from serve_app.fitting.training.boosting import parse_booster
from serve_app.fitting.workspace.step_folders import Workspace, write_json
from serve_app.recommending.scoring.model_features import SOURCES, USER_COLUMNS

MANIFEST = "manifest.json"

Metrics = Mapping[str, float]

UserColumn = Sequence[Any] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FitResult:
    """All that a fit publishes: the contents of the bundle, and the columns of users.

    Attributes:
        users: columns of ``user_features`` by name, as long as ``user_ids``.
    """

    contents: BundleContents
    user_ids: Sequence[str] | Texts
    users: Mapping[str, UserColumn]


def publish_bundle(
    job: Job, folder: Path, *, target: FitSource, created_at: float, force: bool
) -> None:
    """Writes columns to the database, and the bundle to its root.

    Args:
        target: its database and its bundle root are written.
        created_at: epoch seconds, written into the manifest.
        force: promote the bundle whatever the gate says.
    """
    decision = evaluate_models.load_decision(job.work)
    order: Order = "model" if force else decision.order
    result = assemble_result(job.work, job.config, evaluate_models.load_metrics(job.work))
    # The bundle comes last. A fit that dies before has changed columns, which the next fit writes
    # again, but no bundle is served whose columns are missing.
    _write_columns(job, target, result)
    # A forced fit serves its models, whatever the gate would serve instead.
    passed = decision == (True, order)
    manifest = publish(
        target.bundle_root,
        replace(_ordered_by(order, result.contents), shop_id=target.shop_id),
        created_at=created_at,
        n_kept=job.config.n_versions_kept,
        promote=passed,
        report=evaluate_models.report_folder(job.work),
    )
    if force and not passed:
        promote(target.bundle_root, manifest.version, at=created_at, by="forced")
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))


def _ordered_by(order: Order, contents: BundleContents) -> BundleContents:
    if order == "model":
        return contents
    # The candidates too: a popular item that other sources pushed out could not be listed.
    tables = contents.fitted.tables
    alone = np.array([source == POPULAR for source in SOURCES], tables.source_weights.dtype)
    fitted = replace(contents.fitted, tables=replace(tables, source_weights=alone))
    return replace(contents, fitted=fitted, order=order)


def assemble_result(
    work: Workspace, config: FitConfig, metrics: Mapping[str, Metrics]
) -> FitResult:
    """Collects the results of the earlier steps; its arrays are memory-mapped.

    Args:
        metrics: by order; empty where nothing was measured.
    """
    data, settings = load_data(work), load_settings(work)
    catalogue = load_catalogue_at(work, "final")
    known = known_at(data, "final").log
    archive = build_archive(known, data.index, data.label, settings.max_events_per_user)
    contents = BundleContents(
        fitted=Fitted(catalogue, load_tables(work, "final"), archive),
        models={
            name: _load_model(work, config, name, metrics.get(name, {})) for name in config.variants
        },
        until_at=data.split.end_at,
        n_interactions=len(data.log),
        measured_from_at=data.split.evaluate_at,
        horizon_s=data.split.end_at - data.split.evaluate_at,
        revision=data.revision,
        metrics={
            **{name: values for name, values in metrics.items() if name not in config.variants},
            "tuning": evaluate_models.tuned_settings(settings),
        },
        rating_scale=rating_scale(data.log),
    )
    users = load_users_at(work, "final")
    columns: dict[str, UserColumn] = dict(zip(USER_COLUMNS, users.T, strict=True))
    # Loading owns this column. The fit knows no time for some users, and must not write NaN.
    del columns["created_at"]
    columns["favorite_categories"] = find_favorite_categories(catalogue, known)
    columns["recent_views"] = find_recent_views(catalogue, known)
    return FitResult(contents, data.log.user_ids, columns)


def _load_model(work: Workspace, config: FitConfig, variant: str, metrics: Metrics) -> FittedModel:
    booster = read_booster(work, "published", variant)
    return FittedModel(
        features=config.variants[variant].feature_names,
        objective=" + ".join(load_objectives(work)[variant]),
        booster=booster,
        n_trees=parse_booster(booster).num_boosted_rounds(),
        metrics=metrics,
        held_out=read_booster(work, "held_out", variant) if metrics else None,
    )


def _write_columns(job: Job, target: FitSource, result: FitResult) -> None:
    catalogue = result.contents.fitted.catalogue
    rows = np.flatnonzero(catalogue.listed).astype(np.int32)
    columns = (catalogue.number(name)[rows] for name in ("popularity", "avg_rating", "num_ratings"))
    write_item_features(target.conn, rows, *columns)
    job.progress(0.2)
    write_user_features(target.conn, result.user_ids, result.users)
    job.progress(0.7)
