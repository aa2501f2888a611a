"""Step ``evaluate``: measures all orders of the latest window's candidates, and judges the fit.

The same users measure every order: the models that do not know the window, each source, popularity,
and the model that is served now. The gate decides by these results, and a report tells them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.bundles.manifest import Order, unusable_variants
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.outcomes import Outcomes
from serve_app.fitting.fit_source import ServedModels
from serve_app.fitting.judging import window_results
from serve_app.fitting.judging.gate import (
    NOTHING_SERVED,
    GateVerdict,
    beats_popularity,
    judge,
    why_not_comparable,
)
from serve_app.fitting.judging.lacks import describe_lack, facts_of
from serve_app.fitting.judging.leaks import Leak, find_leaks
from serve_app.fitting.judging.measuring_window import Contest, measure_block
from serve_app.fitting.judging.untried_items import UntriedItems, count_untried
from serve_app.fitting.judging.window_results import WindowResults
from serve_app.fitting.moments.examples import Examples, cut_parts
from serve_app.fitting.moments.snapshot import Snapshot, SnapshotConfig
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.writing import write_report
from serve_app.fitting.run import Job
from serve_app.fitting.steps import find_candidates
from serve_app.fitting.steps.check_data import CheckedData, load_data
from serve_app.fitting.steps.compute_features import load_settings
from serve_app.fitting.steps.train_models import calibrated_variants, read_booster
from serve_app.fitting.training.boosting import parse_booster, select_columns
from serve_app.fitting.workspace.step_folders import Workspace, read_json, write_json
from serve_app.recommending.scoring.boosters import scoring_of
from serve_app.recommending.scoring.model_features import SOURCES

STEP = "evaluate"

_VERDICT = "verdict.json"


@dataclass(frozen=True, slots=True)
class _Model:
    """An order by a booster as bytes: workers in other processes can be sent nothing else."""

    features: tuple[str, ...]
    booster: bytes

    def __call__(self, examples: Examples) -> NDArray[np.float32]:
        scoring = scoring_of(parse_booster(self.booster))
        return scoring(select_columns(examples.matrix, self.features))


def evaluate_models(job: Job, folder: Path) -> None:
    config, data = job.config, load_data(job.work)
    served = job.source.load_served()
    served_model, served_absent = _served_model(served, config.main, data.split.evaluate_at)
    latest = find_candidates.load_snapshot(job.work, data, "latest")
    results = _measure(job, latest, data.log, served_model)
    n_items = int(latest.fitted.catalogue.listed.sum())
    write_json(folder / "metrics.json", window_results.mean_metrics(results, n_items))
    leaks = _find_leaks(job, results)
    verdict = judge(
        results,
        config.main,
        config.gate,
        config.seed,
        served_absent=served_absent,
        leaks=leaks,
        nothing_served=_serves_no_model(served, config.main),
    )
    if not beats_popularity(verdict.judgements):
        verdict = replace(verdict, lack=describe_lack(facts_of(results), data.label.hit))
    write_json(folder / _VERDICT, {"promoted": verdict.promoted, "order": verdict.order})
    report = folder / "report"
    report.mkdir()
    write_report(_collect_facts(job, data, latest, results, verdict, leaks, served), report)


def load_metrics(work: Workspace) -> dict[str, dict[str, float]]:
    """By order, then by metric."""
    metrics: dict[str, dict[str, float]] = read_json(work.folder_of(STEP) / "metrics.json")
    return metrics


class Decision(NamedTuple):
    """The gate's decision on a fit: whether it is promoted, and what then orders its lists."""

    promoted: bool
    order: Order


def load_decision(work: Workspace) -> Decision:
    return Decision(**read_json(work.folder_of(STEP) / _VERDICT))


def report_folder(work: Workspace) -> Path:
    return work.folder_of(STEP) / "report"


def tuned_settings(settings: SnapshotConfig) -> dict[str, float]:
    """The settings that the data chose, by name."""
    tables = settings.tables
    weights = zip(SOURCES, tables.source_weights, strict=True)
    return {
        "votes_half_life_days": tables.votes_half_life_days,
        "trend_half_life_days": tables.trend_half_life_days,
        "trend_exponent": tables.trend_exponent,
        "regularization": tables.regularization,
        "content_weight": tables.content_weight,
        **{f"{source}_weight": weight for source, weight in weights},
        "popularity_half_life_days": settings.popularity.half_life_days,
    }


def _measure(
    job: Job, latest: Snapshot, log: InteractionLog, served: _Model | None
) -> WindowResults:
    variants = {
        name: _Model(variant.feature_names, read_booster(job.work, "held_out", name))
        for name, variant in job.config.variants.items()
    }
    contest = Contest(variants, calibrated_variants(job.work), served, job.config.ranking)
    outcomes = find_candidates.load_outcomes(job.work, "latest")
    shards = find_candidates.load_shards(job.work, "latest")
    blocks = zip(shards, cut_parts(len(outcomes)), strict=True)
    parts = []
    for part in job.workers.map(_measure_shard, (latest, log, outcomes, contest), blocks):
        parts.append(part)
        job.progress(0.8 * len(parts) / len(shards))
    return window_results.concatenate_results([part for part in parts if len(part)])


def _measure_shard(
    shared: tuple[Snapshot, InteractionLog, Outcomes, Contest],
    block: tuple[find_candidates.Shard, slice],
) -> WindowResults:
    (snapshot, log, outcomes, contest), (shard, users) = shared, block
    return measure_block(shard.examples, shard.rows, users, outcomes, snapshot, log, contest)


def _serves_no_model(served: ServedModels | None, main: str) -> bool:
    """Tells whether no model of the main variant is served that this build can use."""
    return (
        served is None
        or served.manifest.order != "model"
        or bool(unusable_variants(served.manifest, (main,)))
    )


def _served_model(
    served: ServedModels | None, main: str, window_at: float
) -> tuple[_Model | None, str]:
    """Finds the served model, or the reason why it cannot be measured on the window."""
    if served is None:
        return None, NOTHING_SERVED
    if served.manifest.order != "model":
        return None, f"the served bundle is ordered by {served.manifest.order}"
    if main not in served.held_out:
        return None, "the served bundle holds no model of it that was measured"
    model = served.manifest.models[main]
    reason = why_not_comparable(model, served.manifest.measured_from_at, window_at)
    if reason is not None:
        return None, reason
    return _Model(model.features, served.held_out[main]), ""


def _find_leaks(job: Job, latest: WindowResults) -> tuple[Leak, ...]:
    """Compares each source in the window ``past`` with the latest window."""
    config = job.config
    ndcgs = find_candidates.load_source_ndcgs(job.work, "past")
    learnt = dict(zip(SOURCES, ndcgs.T, strict=True))
    ndcg = window_results.ndcg_by_order(latest, 10)
    later = {source: ndcg[source] for source in SOURCES}
    return find_leaks(learnt, later, config.leaks, config.gate.n_resamples, config.seed)


def _collect_facts(
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
        items=window_results.describe_items(latest.fitted.catalogue, latest.at),
        verdict=verdict,
        leaks=leaks,
        untried=_count_untried(job, data),
        first_at=float(data.log.at.min()),
        split=data.split,
        counted=data.label.hit,
        n_users=len(data.log.user_ids),
        n_items=int(data.items.listed.sum()),
        n_interactions=len(data.log),
        tuned=tuned_settings(load_settings(job.work)),
        gains=_read_gains(job),
        previous=None if served is None else served.manifest,
        n_resamples=job.config.gate.n_resamples,
        seed=job.config.seed,
    )


def _count_untried(job: Job, data: CheckedData) -> UntriedItems:
    config = job.config
    booster = parse_booster(read_booster(job.work, "published", config.main))
    return count_untried(
        find_candidates.load_snapshot(job.work, data, "final"),
        scoring_of(booster),
        config.variants[config.main].feature_names,
        config.candidates,
        config.ranking,
        config.seed,
    )


def _read_gains(job: Job) -> dict[str, dict[str, float]]:
    """Reads the published models; by variant, how much each feature reduced the loss."""
    gains_by_variant: dict[str, dict[str, float]] = {}
    for name, variant in job.config.variants.items():
        booster = parse_booster(read_booster(job.work, "published", name))
        gains: Mapping[str, Any] = booster.get_score(importance_type="total_gain")
        # Training gives XGBoost a matrix without names; it calls the columns f0, f1 ...
        gains_by_variant[name] = {
            variant.feature_names[int(column.removeprefix("f"))]: float(gain)
            for column, gain in gains.items()
        }
    return gains_by_variant
