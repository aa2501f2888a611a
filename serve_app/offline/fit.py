"""Fits everything that a bundle holds, and measures it on the latest past."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, field_validator

from serve_app.domain.candidates import CandidatesConfig
from serve_app.domain.features import USER_COLUMNS
from serve_app.domain.manifest import NAME_PATTERN
from serve_app.domain.scoring import predict
from serve_app.domain.settings import Settings
from serve_app.errors import NotEnoughData
from serve_app.offline.examples import Examples, blocks, joined, thinned
from serve_app.offline.features import favorite_categories, recent_views
from serve_app.offline.items import catalogue_of
from serve_app.offline.labels import CLICKED, LabelConfig, label_of
from serve_app.offline.metrics import (
    CANDIDATES,
    Hits,
    Order,
    baselines,
    hits_of,
    means_of,
    n_bought,
)
from serve_app.offline.snapshot import Snapshot, SnapshotConfig, listed_at, snapshot
from serve_app.offline.train import VariantConfig, columns_of, train
from serve_app.offline.tuning import tuned
from serve_app.offline.windows import Split, before, outcomes, sample, split_of
from serve_app.stores.bundle_publishing import BundleContents, FittedModel
from serve_app.stores.warehouse import InteractionLog

Progress = Callable[[str, float], None]
"""Told the name of the step that runs and which share of it is done."""


class FitConfig(Settings):
    """
    Attributes:
        label_share: of the interactions, the latest are used to measure, and as many before them to
            learn from (moments are quantiles of the interactions' times).
        label: what users are to be led to.
        variants: what is fitted, by name.
        max_examples_users: users of a window that are used, chosen at random.
        max_negatives: candidates of a user that he did nothing with and that are learnt from.
        n_tuning_users: that half-lives and the like are chosen with.
        min_users: in each window, with something to learn from.
        n_threads: of XGBoost. Its threads spin while they wait: beside other work, two are slower
            than one.
        n_versions_kept: bundles that stay under the root, besides the current one.
        seed: of all that is chosen at random.
    """

    label_share: float = Field(default=0.15, gt=0, lt=0.5)
    label: LabelConfig = LabelConfig()
    variants: Mapping[Annotated[str, StringConstraints(pattern=NAME_PATTERN)], VariantConfig] = (
        Field(
            default={"main": VariantConfig(), "challenger": VariantConfig(objective="rank:ndcg")},
            min_length=1,
        )
    )
    snapshot: SnapshotConfig = SnapshotConfig()
    candidates: CandidatesConfig = CandidatesConfig()
    max_examples_users: int = Field(default=20_000, ge=1)
    max_negatives: int = Field(default=150, ge=1)
    n_tuning_users: int = Field(default=500, ge=1)
    min_users: int = Field(default=20, ge=1)
    n_threads: int = Field(default=1, ge=1)
    n_versions_kept: int = Field(default=5, ge=1)
    seed: int = Field(default=7, ge=0)

    @field_validator("variants")
    @classmethod
    def _named_apart(cls, variants: Mapping[str, VariantConfig]) -> Mapping[str, VariantConfig]:
        taken = variants.keys() & {*baselines(), CANDIDATES}
        if taken:
            raise ValueError(f"{sorted(taken)} name what the variants are compared with")
        return variants


UserColumn = Sequence[Any] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """
    Attributes:
        contents: of the bundle.
        users: columns of ``user_features`` by name, as long as the log's ``user_ids``.
    """

    contents: BundleContents
    users: Mapping[str, UserColumn]


@dataclass(frozen=True, slots=True)
class _Window:
    """What is learnt and measured in one window."""

    examples: Examples
    hits: list[Hits]
    n_relevant: NDArray[np.int64]


def fit(
    items: pd.DataFrame,
    users: pd.DataFrame,
    log: InteractionLog,
    config: FitConfig,
    progress: Progress,
) -> Fitted:
    """
    Learns in one window, measures in the next, then learns again in both for what is published.

    The metrics are those of the models that did not see what they were measured on. The published
    ones learnt from the latest window too: on Online Retail, where Christmas comes, models from the
    window before it alone lose 15 % of NDCG@10; on the demo shop it makes no difference.

    Args:
        items: as ``stores.warehouse.read_items`` gives them.
        users: as ``read_users``; users that only the log knows need not be there.

    Raises:
        NotEnoughData: no items, too few interactions, or too few users who wanted anything new.
    """
    split = split_of(log, config.label_share)
    label = label_of(log, config.label)
    all_items = catalogue_of(items, log, config.snapshot.embedding_dim)
    created_at = _created_at(users, log.user_ids)

    def world_at(at: float, settings: SnapshotConfig) -> Snapshot:
        known = before(log, at)
        return snapshot(all_items, known, at, listed_at(all_items, at), created_at, settings, label)

    settings = _tuned(world_at(split.train_at, config.snapshot), log, split, config)
    progress("tuning", 1.0)

    def window(at: float, until: float, orders: Mapping[str, Order], step: str) -> _Window:
        known = before(log, until) if until < split.end_at else log
        return _window(
            world_at(at, settings), known, until, orders, config, partial(progress, step)
        )

    past = window(split.train_at, split.evaluate_at, {}, "learning")
    orders = {name: _order(past.examples, each, config) for name, each in config.variants.items()}
    latest = window(split.evaluate_at, split.end_at, {**baselines(), **orders}, "measuring")
    metrics = means_of(latest.hits, latest.n_relevant)
    progress("finishing", 0.0)
    final = snapshot(all_items, log, split.end_at, all_items.listed, created_at, settings, label)
    examples = joined([past.examples, latest.examples])
    models = {
        name: _fitted_model(examples, each, metrics[name], config)
        for name, each in config.variants.items()
    }
    progress("finishing", 1.0)
    return Fitted(
        _contents(final, models, split, {**metrics, "tuning": _chosen(settings)}),
        _user_table(final, log),
    )


def _window(
    world: Snapshot,
    log: InteractionLog,
    until_at: float,
    orders: Mapping[str, Order],
    config: FitConfig,
    progress: Callable[[float], None],
) -> _Window:
    """
    Args:
        world: at the beginning of the window.
        log: until the end of the window.
        orders: what is measured; nothing when empty.
    """
    found = outcomes(log, world.at, until_at, world.catalogue.listed, world.label, least=CLICKED)
    found = sample(found, config.max_examples_users, config.seed)
    n_relevant = n_bought(found)
    _check_enough(int((n_relevant > 0).sum()), "wanted anything new", world.at, config)
    rng = np.random.default_rng(config.seed)
    examples: list[Examples] = []
    hits: list[Hits] = []
    for block in blocks(world, found, log.user_ids, config.candidates):
        examples.append(thinned(block.examples, config.max_negatives, rng))
        buyers = np.flatnonzero(n_relevant[block.users])
        if orders and len(buyers):
            hits.append(hits_of(block.examples.lists(buyers), orders))
        progress(block.users.stop / len(found))
    window = _Window(joined(examples), hits, n_relevant[n_relevant > 0])
    _check_enough(len(window.examples), "wanted any of their candidates", world.at, config)
    return window


def _tuned(world: Snapshot, log: InteractionLog, split: Split, config: FitConfig) -> SnapshotConfig:
    known = before(log, split.evaluate_at)
    found = outcomes(known, world.at, split.evaluate_at, world.catalogue.listed, world.label)
    return tuned(
        world,
        before(log, world.at),
        found,
        config.snapshot,
        config.candidates,
        config.n_tuning_users,
        config.seed,
    )


def _chosen(settings: SnapshotConfig) -> dict[str, float]:
    """What was tuned, by name."""
    tables = settings.tables
    return {
        "votes_half_life_days": tables.votes_half_life_days,
        "trend_half_life_days": tables.trend_half_life_days,
        "trend_exponent": tables.trend_exponent,
        "regularization": tables.regularization,
        "popularity_half_life_days": settings.popularity.half_life_days,
    }


def _check_enough(n_users: int, who: str, at: float, config: FitConfig) -> None:
    if n_users < config.min_users:
        day = datetime.fromtimestamp(at, UTC).date()
        raise NotEnoughData(
            f"only {n_users} users {who} in the window from {day}: at least {config.min_users} are"
            " needed"
        )


def _order(examples: Examples, variant: VariantConfig, config: FitConfig) -> Order:
    """Orders candidates by a model that learnt from the examples."""
    booster = train(examples, variant, config.seed, config.n_threads)
    names = variant.feature_names
    return lambda candidates: predict(booster, columns_of(candidates.matrix, names))


def _fitted_model(
    examples: Examples, variant: VariantConfig, metrics: Mapping[str, float], config: FitConfig
) -> FittedModel:
    booster = train(examples, variant, config.seed, config.n_threads)
    return FittedModel(
        features=variant.feature_names,
        objective=variant.objective,
        booster=bytes(booster.save_raw("ubj")),
        n_trees=booster.num_boosted_rounds(),
        metrics=metrics,
    )


def _contents(
    world: Snapshot,
    models: Mapping[str, FittedModel],
    split: Split,
    metrics: Mapping[str, Mapping[str, float]],
) -> BundleContents:
    return BundleContents(
        catalogue=world.catalogue,
        tables=world.tables,
        archive=world.archive,
        models=models,
        until_at=split.end_at,
        horizon_s=split.end_at - split.evaluate_at,
        metrics={name: each for name, each in metrics.items() if name not in models},
    )


def _user_table(world: Snapshot, log: InteractionLog) -> dict[str, UserColumn]:
    columns: dict[str, UserColumn] = dict(zip(USER_COLUMNS, world.users.T, strict=True))
    # When a user came is not learnt, and where it is not known nothing may overwrite it.
    del columns["created_at"]
    columns["favorite_categories"] = favorite_categories(world.catalogue, log)
    columns["recent_views"] = recent_views(world.catalogue, log)
    return columns


def _created_at(users: pd.DataFrame, user_ids: Sequence[str]) -> NDArray[np.float64]:
    known = dict(zip(users["user_id"], users["created_at"], strict=True))
    return np.array([known.get(user_id, np.nan) for user_id in user_ids], np.float64)
