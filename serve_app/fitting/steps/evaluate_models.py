"""Step ``evaluate``: measures all orders of the latest window's candidates, and judges the fit.

The same users measure every order: the models that do not know the window, each source, popularity,
and the model that is served now. The gate decides by these results, and a report tells them.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from serve_app.domain.ranking.ordering import RankingConfig
from serve_app.domain.scoring.boosters import scoring_of
from serve_app.domain.scoring.model_features import SOURCES
from serve_app.fitting.data.windows import Outcomes
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.fit_source import ServedModels
from serve_app.fitting.judging.gate import GateVerdict, judge, why_not_comparable
from serve_app.fitting.judging.leaks import Leak, find_leaks
from serve_app.fitting.judging.measuring_window import Contest, measure_block
from serve_app.fitting.judging.window_results import (
    Order,
    WindowResults,
    concatenate_results,
    describe_items,
    mean_metrics,
    ndcg_by_order,
)
from serve_app.fitting.moments.examples import parts_of
from serve_app.fitting.moments.snapshot import Snapshot, SnapshotConfig
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.writing import write_report
from serve_app.fitting.run import Job
from serve_app.fitting.steps.check_data import CheckedData, load_data
from serve_app.fitting.steps.compute_features import load_settings
from serve_app.fitting.steps.find_candidates import (
    Shard,
    load_outcomes,
    load_shards,
    load_snapshot,
    load_source_ndcgs,
)
from serve_app.fitting.steps.train_models import calibrated_variants, read_booster
from serve_app.fitting.training.boosting import booster_from, columns_of
from serve_app.fitting.workspace.step_folders import Workspace, read_json, write_json

STEP = "evaluate"


class _Model(NamedTuple):
    """A booster as bytes: workers in other processes can be sent nothing else."""

    features: tuple[str, ...]
    booster: bytes

    def order(self) -> Order:
        scoring = scoring_of(booster_from(self.booster))
        return lambda candidates: scoring(columns_of(candidates.matrix, self.features))


class _Shared(NamedTuple):
    """Everything that measures a block of users, sent once to each machine."""

    snapshot: Snapshot
    found: Outcomes
    variants: Mapping[str, _Model]
    calibrated: tuple[str, ...]
    served: _Model | None
    ranking: RankingConfig


def evaluate_models(job: Job, folder: Path) -> None:
    config, data = job.config, load_data(job.work)
    served = job.source.load_served()
    absent = _why_absent(served, config.main, data.split.evaluate_at)
    latest = load_snapshot(job.work, data, "latest")
    results = _measure(job, latest, _served_model(served, config) if absent is None else None)
    n_items = int(latest.fitted.catalogue.listed.sum())
    write_json(folder / "metrics.json", mean_metrics(results, n_items))
    leaks = _find_leaks(job, results)
    verdict = judge(
        results, config.main, config.gate, config.seed, served_absent=absent or "", leaks=leaks
    )
    if served is None and not verdict.promoted:
        # Any lists are better than none.
        reason = f"nothing else is there to be served, although {verdict.reason}"
        verdict = replace(verdict, promoted=True, reason=reason)
    report = folder / "report"
    report.mkdir()
    write_report(_facts(job, data, latest, results, verdict, leaks, served), report)


def load_metrics(work: Workspace) -> dict[str, dict[str, float]]:
    """By order, then by metric."""
    metrics: dict[str, dict[str, float]] = read_json(work.folder_of(STEP) / "metrics.json")
    return metrics


def is_promoted(work: Workspace) -> bool:
    """Reads the verdict of the gate from the report."""
    return bool(read_json(report_folder(work) / "report.json")["verdict"]["promoted"])


def report_folder(work: Workspace) -> Path:
    return work.folder_of(STEP) / "report"


def tuned_settings(settings: SnapshotConfig) -> dict[str, float]:
    """The settings that the data chose, by name."""
    tables = settings.tables
    return {
        "votes_half_life_days": tables.votes_half_life_days,
        "trend_half_life_days": tables.trend_half_life_days,
        "trend_exponent": tables.trend_exponent,
        "regularization": tables.regularization,
        "content_weight": tables.content_weight,
        **{
            f"{source}_weight": weight
            for source, weight in zip(SOURCES, tables.source_weights, strict=True)
        },
        "popularity_half_life_days": settings.popularity.half_life_days,
    }


def _measure(job: Job, latest: Snapshot, served: _Model | None) -> WindowResults:
    config = job.config
    shared = _Shared(
        latest,
        load_outcomes(job.work, "latest"),
        {
            name: _Model(variant.feature_names, read_booster(job.work, "held_out", name))
            for name, variant in config.variants.items()
        },
        calibrated_variants(job.work),
        served,
        config.ranking,
    )
    shards = load_shards(job.work, "latest")
    parts = []
    users = parts_of(len(shared.found))
    for part in job.workers.map(_measure_shard, shared, zip(shards, users, strict=True)):
        parts.append(part)
        job.progress(0.8 * len(parts) / len(shards))
    return concatenate_results([part for part in parts if len(part)])


def _measure_shard(shared: _Shared, part: tuple[Shard, slice]) -> WindowResults:
    shard, users = part
    contest = Contest(
        {name: model.order() for name, model in shared.variants.items()},
        shared.calibrated,
        shared.served.order() if shared.served else None,
        shared.ranking,
    )
    return measure_block(shard.examples, shard.rows, users, shared.found, shared.snapshot, contest)


def _why_absent(served: ServedModels | None, main: str, window_at: float) -> str | None:
    if served is None:
        return "no model is served"
    manifest = served.manifest
    if main not in served.held_out:
        return "the served bundle holds no model of it that was measured"
    return why_not_comparable(manifest.models[main], manifest.measured_from_at, window_at)


def _served_model(served: ServedModels | None, config: FitConfig) -> _Model | None:
    if served is None:
        return None
    return _Model(served.manifest.models[config.main].features, served.held_out[config.main])


def _find_leaks(job: Job, latest: WindowResults) -> tuple[Leak, ...]:
    """Compares each source in the window ``past`` with the latest window."""
    config = job.config
    learnt = dict(zip(SOURCES, load_source_ndcgs(job.work, "past").T, strict=True))
    ndcg = ndcg_by_order(latest, 10)
    later = {source: ndcg[source] for source in SOURCES}
    return find_leaks(learnt, later, config.leaks, config.gate.n_resamples, config.seed)


def _facts(
    job: Job,
    data: CheckedData,
    latest: Snapshot,
    results: WindowResults,
    verdict: GateVerdict,
    leaks: tuple[Leak, ...],
    served: ServedModels | None,
) -> Facts:
    return Facts(
        results=results,
        items=describe_items(latest.fitted.catalogue, latest.at),
        verdict=verdict,
        leaks=leaks,
        first_at=float(data.log.at.min()),
        split=data.split,
        counted=data.label.hit,
        n_users=len(data.log.user_ids),
        n_items=int(data.items.listed.sum()),
        n_interactions=len(data.log),
        tuned=tuned_settings(load_settings(job.work)),
        gains=_gains(job),
        previous=None if served is None else served.manifest,
        n_resamples=job.config.gate.n_resamples,
        seed=job.config.seed,
    )


def _gains(job: Job) -> dict[str, dict[str, float]]:
    """By variant, how much each feature reduced the loss of the published model."""
    gains_by_variant: dict[str, dict[str, float]] = {}
    for name, variant in job.config.variants.items():
        booster = booster_from(read_booster(job.work, "published", name))
        gains: Mapping[str, Any] = booster.get_score(importance_type="total_gain")
        # Training gives XGBoost a matrix without names; it calls the columns f0, f1 ...
        gains_by_variant[name] = {
            variant.feature_names[int(column.removeprefix("f"))]: float(gain)
            for column, gain in gains.items()
        }
    return gains_by_variant
