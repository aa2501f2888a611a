"""Step ``publish``: all that was fitted, as one bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Texts
from serve_app.bundles.publishing import BundleContents, FittedModel
from serve_app.domain.fitted import Fitted
from serve_app.domain.scoring.model_features import USER_COLUMNS
from serve_app.fitting.data.numbers import favorite_categories, recent_views
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.moments.snapshot import archive_of
from serve_app.fitting.steps.check_data import checked
from serve_app.fitting.steps.compute_features import catalogue_at, settings_of, users_at
from serve_app.fitting.steps.evaluate_models import tuned_by
from serve_app.fitting.steps.find_candidates import tables_at
from serve_app.fitting.steps.train_models import booster_of, objectives_of
from serve_app.fitting.training.boosting import booster_from
from serve_app.fitting.workspace.step_folders import Workspace

Measures = Mapping[str, float]

UserColumn = Sequence[Any] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FitResult:
    """
    Attributes:
        contents: of the bundle.
        user_ids: of all users.
        users: columns of ``user_features`` by name, as long as ``user_ids``.
    """

    contents: BundleContents
    user_ids: Sequence[str] | Texts
    users: Mapping[str, UserColumn]


def fitted(work: Workspace, config: FitConfig, metrics: Mapping[str, Measures]) -> FitResult:
    """
    What the steps before have left; its arrays are memory-mapped.

    Args:
        metrics: by variant or other order; of those that were measured.
    """
    data, settings = checked(work), settings_of(work)
    catalogue = catalogue_at(work, "final")
    contents = BundleContents(
        fitted=Fitted(
            catalogue,
            tables_at(work, "final"),
            archive_of(data.log, data.index, settings.max_events_per_user),
        ),
        models={
            name: _model(work, config, name, metrics.get(name, {})) for name in config.variants
        },
        until_at=data.split.end_at,
        n_interactions=len(data.log),
        measured_from_at=data.split.evaluate_at,
        horizon_s=data.split.end_at - data.split.evaluate_at,
        metrics={
            **{name: each for name, each in metrics.items() if name not in config.variants},
            "tuning": tuned_by(settings),
        },
    )
    columns: dict[str, UserColumn] = dict(zip(USER_COLUMNS, users_at(work, "final").T, strict=True))
    # When a user came is not learnt, and where it is not known nothing may overwrite it.
    del columns["created_at"]
    columns["favorite_categories"] = favorite_categories(catalogue, data.log)
    columns["recent_views"] = recent_views(catalogue, data.log)
    return FitResult(contents, data.log.user_ids, columns)


def _model(work: Workspace, config: FitConfig, variant: str, metrics: Measures) -> FittedModel:
    booster = booster_of(work, "published", variant)
    return FittedModel(
        features=config.variants[variant].feature_names,
        objective=" + ".join(objectives_of(work)[variant]),
        booster=booster,
        n_trees=booster_from(booster).num_boosted_rounds(),
        metrics=metrics,
        held_out=booster_of(work, "held_out", variant) if metrics else None,
    )
