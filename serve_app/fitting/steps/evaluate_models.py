"""Step ``evaluate``: how good the lists of the latest window would have been, and what follows.

Every order of the candidates is measured by the same users: the models that do not know the window,
each source, popularity, and the model that is served now. A gate decides by it whether the fit may
be served, and a report tells why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from serve_app.bundles.manifest import Manifest
from serve_app.domain.ranking.ranking import RankingConfig
from serve_app.domain.scoring.boosters import scoring_of
from serve_app.domain.scoring.model_features import SOURCES
from serve_app.fitting.data.windows import Outcomes
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.job import Job
from serve_app.fitting.judging.gate import GateVerdict, judge, why_not_comparable
from serve_app.fitting.judging.leaks import Leak, leaks_of
from serve_app.fitting.judging.measuring_window import Contest, measure
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
from serve_app.fitting.report.figures import Facts
from serve_app.fitting.steps.check_data import Checked, checked
from serve_app.fitting.steps.compute_features import settings_of
from serve_app.fitting.steps.find_candidates import (
    Shard,
    outcomes_of,
    shards_of,
    source_ndcgs_of,
    world_at,
)
from serve_app.fitting.steps.train_models import booster_of, calibrated_of
from serve_app.fitting.training.boosting import booster_from, columns_of
from serve_app.fitting.workspace.step_folders import Workspace, read_json, write_json

STEP = "evaluate"


@dataclass(frozen=True, slots=True)
class Served:
    """
    What is served now.

    Attributes:
        models: by variant, in XGBoost's own binary form, what had not learnt from the window that
            the manifest's figures come from.
    """

    manifest: Manifest
    models: Mapping[str, bytes]


FindServed = Callable[[], Served | None]


class _Model(NamedTuple):
    features: tuple[str, ...]
    booster: bytes

    def order(self) -> Order:
        scoring = scoring_of(booster_from(self.booster))
        return lambda candidates: scoring(columns_of(candidates.matrix, self.features))


class _Shared(NamedTuple):
    """What the measuring of every block of users needs."""

    world: Snapshot
    found: Outcomes
    variants: Mapping[str, _Model]
    calibrated: tuple[str, ...]
    served: _Model | None
    ranking: RankingConfig


def evaluate(job: Job, folder: Path, find_served: FindServed = lambda: None) -> None:
    config, data = job.config, checked(job.work)
    served = find_served()
    absent = _why_absent(served, config.main, data.split.evaluate_at)
    world = world_at(job.work, data, "latest")
    measured = _measured(job, world, _served_model(served, config) if absent is None else None)
    n_items = int(world.fitted.catalogue.listed.sum())
    write_json(folder / "metrics.json", mean_metrics(measured, n_items))
    leaks = _leaks(job, measured)
    verdict = judge(
        measured, config.main, config.gate, config.seed, served_absent=absent or "", leaks=leaks
    )
    if served is None and not verdict.promoted:
        reason = f"nothing else is there to be served, although {verdict.reason}"
        verdict = replace(verdict, promoted=True, reason=reason)
    # Drawing takes long to import, and only this step draws.
    from serve_app.fitting.report.writing import write_report

    report = folder / "report"
    report.mkdir()
    write_report(_facts(job, data, world, measured, verdict, leaks, served), report)


def metrics_of(work: Workspace) -> dict[str, dict[str, float]]:
    """By order, then by measure."""
    found: dict[str, dict[str, float]] = read_json(work.of(STEP) / "metrics.json")
    return found


def is_promoted(work: Workspace) -> bool:
    """Whether the gate lets it be served, as the report says."""
    return bool(read_json(report_of(work) / "report.json")["verdict"]["promoted"])


def report_of(work: Workspace) -> Path:
    """Folder with the report."""
    return work.of(STEP) / "report"


def tuned_by(settings: SnapshotConfig) -> dict[str, float]:
    """What the data chose, by name."""
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


def _measured(job: Job, world: Snapshot, served: _Model | None) -> WindowResults:
    config = job.config
    shared = _Shared(
        world,
        outcomes_of(job.work, "latest"),
        {
            name: _Model(variant.feature_names, booster_of(job.work, "held_out", name))
            for name, variant in config.variants.items()
        },
        calibrated_of(job.work),
        served,
        config.ranking,
    )
    shards = shards_of(job.work, "latest")
    parts = []
    users = parts_of(len(shared.found))
    for part in job.workers.map(_measure, shared, zip(shards, users, strict=True)):
        parts.append(part)
        job.progress(0.8 * len(parts) / len(shards))
    return concatenate_results([part for part in parts if len(part)])


def _measure(shared: _Shared, part: tuple[Shard, slice]) -> WindowResults:
    shard, users = part
    contest = Contest(
        {name: model.order() for name, model in shared.variants.items()},
        shared.calibrated,
        shared.served.order() if shared.served else None,
        shared.ranking,
    )
    return measure(shard.examples, shard.rows, users, shared.found, shared.world, contest)


def _why_absent(served: Served | None, main: str, window_at: float) -> str | None:
    if served is None:
        return "no model is served"
    manifest = served.manifest
    if main not in served.models:
        return "the served bundle holds no model of it that was measured"
    return why_not_comparable(manifest.models[main], manifest.measured_from_at, window_at)


def _served_model(served: Served | None, config: FitConfig) -> _Model | None:
    if served is None:
        return None
    return _Model(served.manifest.models[config.main].features, served.models[config.main])


def _leaks(job: Job, latest: WindowResults) -> tuple[Leak, ...]:
    """Each source in the window that is learnt from, against the latest."""
    config = job.config
    learnt = dict(zip(SOURCES, source_ndcgs_of(job.work, "past").T, strict=True))
    found = ndcg_by_order(latest, 10)
    later = {source: found[source] for source in SOURCES}
    return leaks_of(learnt, later, config.leaks, config.gate.n_resamples, config.seed)


def _facts(
    job: Job,
    data: Checked,
    world: Snapshot,
    measured: WindowResults,
    verdict: GateVerdict,
    leaks: tuple[Leak, ...],
    served: Served | None,
) -> Facts:
    return Facts(
        results=measured,
        items=describe_items(world.fitted.catalogue, world.at),
        verdict=verdict,
        leaks=leaks,
        first_at=float(data.log.at.min()),
        split=data.split,
        n_users=len(data.log.user_ids),
        n_items=int(data.items.listed.sum()),
        n_interactions=len(data.log),
        tuned=tuned_by(settings_of(job.work)),
        gains=_gains(job),
        previous=None if served is None else served.manifest,
        n_resamples=job.config.gate.n_resamples,
        seed=job.config.seed,
    )


def _gains(job: Job) -> dict[str, dict[str, float]]:
    """By variant, how much each feature reduced the loss of the published model."""
    found: dict[str, dict[str, float]] = {}
    for name, variant in job.config.variants.items():
        booster = booster_from(booster_of(job.work, "published", name))
        gains: Mapping[str, Any] = booster.get_score(importance_type="total_gain")
        # A matrix without names: its columns are called f0, f1 ...
        found[name] = {
            variant.feature_names[int(column.removeprefix("f"))]: float(gain)
            for column, gain in gains.items()
        }
    return found
