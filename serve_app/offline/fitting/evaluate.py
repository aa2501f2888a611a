"""Step ``evaluate``: how good the lists of the latest window would have been."""

from pathlib import Path

import numpy as np

from serve_app.domain.scoring import predict
from serve_app.offline.fitting.candidates import outcomes_of, shards_of
from serve_app.offline.fitting.job import Job
from serve_app.offline.fitting.train import booster_of
from serve_app.offline.fitting.workspace import Workspace, read_json, write_json
from serve_app.offline.metrics import Hits, Order, baselines, hits_of, means_of, n_bought
from serve_app.offline.train import booster_from, columns_of

STEP = "evaluate"


def evaluate(job: Job, folder: Path) -> None:
    n_relevant = n_bought(outcomes_of(job.work, "latest"))
    orders = {**baselines(), **{name: _order(job, name) for name in job.config.variants}}
    hits: list[Hits] = []
    start = 0
    for shard in shards_of(job.work, "latest"):
        buyers = np.flatnonzero(n_relevant[start : start + len(shard.examples)])
        start += len(shard.examples)
        if len(buyers):
            hits.append(hits_of(shard.examples.lists(buyers), orders))
        job.progress(start / len(n_relevant))
    write_json(folder / "metrics.json", means_of(hits, n_relevant[n_relevant > 0]))


def metrics_of(work: Workspace) -> dict[str, dict[str, float]]:
    """By order, then by measure."""
    found: dict[str, dict[str, float]] = read_json(work.of(STEP) / "metrics.json")
    return found


def _order(job: Job, variant: str) -> Order:
    """Orders candidates by a model that does not know the latest window."""
    names = job.config.variants[variant].feature_names
    booster = booster_from(booster_of(job.work, "held_out", variant))
    return lambda candidates: predict(booster, columns_of(candidates.matrix, names))
