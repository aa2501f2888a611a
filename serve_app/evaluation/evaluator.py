"""Fits and tunes all models on the past of a shop, and measures them on what came after."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.errors import NotEnoughData
from serve_app.evaluation.lists import best_items, fused
from serve_app.evaluation.measures import measured
from serve_app.evaluation.models import FUSED_SOURCES, MODELS
from serve_app.evaluation.protocol import EvaluationSplit, ProtocolConfig, split_at_share
from serve_app.evaluation.rivals import (
    FUSION_KS,
    Baseline,
    Keep,
    baseline_of,
    best_constant,
)
from serve_app.evaluation.served import Ours, OursConfig, answers_of, fit_past
from serve_app.evaluation.training_matrix import Rival, ScoreItems
from serve_app.fitting.run import Progress
from serve_app.loading.in_memory import LoadedFiles, read_shop
from serve_app.loading.load import LoadConfig, LoadFiles
from serve_app.measuring.bootstrap import Interval, interval, resampled_means
from serve_app.measuring.comparing import Comparison, comparisons, intervals
from serve_app.measuring.lists import Lists, hits_of
from serve_app.measuring.metrics import ndcg_at

OURS, OURS_DIVERSE, FUSED = "recserve", "recserve_diverse", "rrf"
FIT, ANSWERS = "recserve fit", "recserve answers"


class EvaluationConfig(Settings):
    """
    Attributes:
        ks: lengths of lists, ascending.
        max_points: of a model's grid that are tried on the inner split.
        max_tuning_users: of the inner split that they are tried for, chosen at random.
        n_resamples: of the bootstrap.
        seed: of the choice of points and of the bootstrap.
    """

    protocol: ProtocolConfig = ProtocolConfig()
    ks: tuple[int, ...] = Field(default=(10, 20), min_length=1)
    max_points: int = Field(default=60, ge=1)
    max_tuning_users: int = Field(default=2_000, ge=1)
    n_resamples: int = Field(default=1_000, ge=1)
    seed: int = Field(default=7, ge=0)
    reading: LoadConfig = LoadConfig()
    ours: OursConfig = OursConfig()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """
    Attributes:
        split: what was known, and what was asked.
        inner: the split of the past that parameters were chosen on.
        n_rejected: rows of the files that were left out, by kind of file.
        n_bare_items: known from interactions only, though a file of items was given.
        models: by name, measures such as ``ndcg@10``.
        comparisons: of ours with every other model, by name.
        sources: by name, the NDCG at the first k of the lists of each of our sources alone.
        best: the name of the best textbook model and of the best single model of any kind, both
            in hindsight.
        parameters: by name, what was chosen and its NDCG@10 on the inner split.
        skipped: why a model is missing, by name.
        seconds: by step.
    """

    config: EvaluationConfig
    split: EvaluationSplit
    inner: EvaluationSplit
    n_rejected: Mapping[str, int]
    n_bare_items: int
    models: Mapping[str, Mapping[str, Interval]]
    comparisons: Mapping[str, Mapping[str, Comparison]]
    sources: Mapping[str, Interval]
    best: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, Any]]
    skipped: Mapping[str, str]
    seconds: Mapping[str, float]


@dataclass(slots=True)
class _Run:
    """What has been found out so far."""

    config: EvaluationConfig
    split: EvaluationSplit
    inner: EvaluationSplit
    progress: Progress
    clock: Callable[[], float]
    keep: Keep
    lists: dict[str, Lists] = field(default_factory=dict)
    inner_lists: dict[str, Lists] = field(default_factory=dict)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        start_s = self.clock()
        yield
        self.seconds[step] = self.clock() - start_s


def evaluate(
    files: LoadFiles,
    config: EvaluationConfig,
    progress: Progress,
    *,
    now_at: float,
    clock: Callable[[], float],
    further: Mapping[str, Callable[[LoadedFiles, EvaluationSplit], ScoreItems]] = MappingProxyType(
        {}
    ),
    keep: Keep = lambda name, tuned: tuned(),
) -> Evaluation:
    """
    Args:
        files: in the format of ``recserve load``; interactions are required.
        progress: told the name of each step and which share of it is done.
        now_at: epoch seconds.
        clock: seconds from any moment, for the durations.
        further: by name, makes the scores of another model to compare with; it is not tuned.
        keep: gives the result of a model, by its name: computes it, or remembers it.

    Raises:
        DataRejected: a file that cannot be read or has too many bad rows.
        NotEnoughData: no past, or nobody to recommend to.
    """
    start_s = clock()
    shop = read_shop(files, config.reading, partial(progress, "reading"), now_at=now_at)
    split = split_at_share(shop.log, config.protocol)
    run = _Run(config, split, _inner(split, config), progress, clock, keep)
    run.seconds["reading"] = clock() - start_s
    for model in MODELS:
        _add_baseline(run, model)
    _add_fusion(run)
    for name, make in further.items():
        with run.timed(name):
            run.lists[name] = best_items(make(shop, split), split, max(config.ks))
    return _measure(run, _add_ours(run, shop), shop)


def _inner(split: EvaluationSplit, config: EvaluationConfig) -> EvaluationSplit:
    """The past parted as the whole was; the share is the same, the window where the past ends."""
    inner = {
        "max_users": config.max_tuning_users,
        "days_earlier": 0.0,
        "label": split.label.config,
    }
    try:
        return split_at_share(split.known, config.protocol.model_copy(update=inner))
    except NotEnoughData as error:
        raise NotEnoughData(f"the past parted for tuning: {error}") from error


def _add_baseline(run: _Run, model: Rival) -> None:
    n_items = run.split.past.n_items
    if model.max_items is not None and n_items > model.max_items:
        run.skipped[model.name] = f"{n_items} items, it takes at most {model.max_items}"
        return
    config, tell = run.config, partial(run.progress, model.name)

    def make() -> Baseline:
        start_s = run.clock()
        made = baseline_of(
            model, run.split, run.inner, max(config.ks), config.max_points, config.seed, tell
        )
        return made._replace(seconds=run.clock() - start_s)

    found = run.keep(model.name, make)
    run.lists[model.name] = found.lists
    if found.inner_lists is not None:
        run.inner_lists[model.name] = found.inner_lists
    run.parameters[model.name] = dict(found.parameters)
    run.seconds[model.name] = found.seconds
    tell(1.0)


def _add_fusion(run: _Run) -> None:
    sources = [name for name in FUSED_SOURCES if name in run.lists]
    with run.timed(FUSED):
        k, ndcg_inner = best_constant([run.inner_lists[name] for name in sources], run.inner)
        run.parameters[FUSED] = {
            "k": k,
            "sources": sources,
            "inner_ndcg@10": ndcg_inner,
            "points": len(FUSION_KS),
        }
        run.lists[FUSED] = fused(
            [run.lists[name] for name in sources],
            run.split.past.n_items,
            max(run.config.ks),
            k,
        )


def _add_ours(run: _Run, shop: LoadedFiles) -> Ours | None:
    config, width = run.config.ours, max(run.config.ks)

    def tell(step: str, share: float) -> None:
        run.progress(f"{OURS}: {step}", share)

    try:
        with run.timed(FIT):
            fitted = fit_past(shop, run.split, config, tell)
    except NotEnoughData as error:
        run.skipped[OURS] = str(error)
        return None
    with run.timed(ANSWERS):
        ours = answers_of(fitted, run.split, width, config, tell)
    run.lists[OURS], run.lists[OURS_DIVERSE] = ours.plain, ours.diverse
    run.parameters[OURS] = {"candidates": ours.n_candidates}
    return ours


def _measure(run: _Run, ours: Ours | None, shop: LoadedFiles) -> Evaluation:
    config = run.config
    with run.timed("measuring"):
        per_user = {
            name: dict(measured(lists, run.split, config.ks)) for name, lists in run.lists.items()
        }
        if ours is not None:
            per_user[OURS]["candidate_recall"] = ours.recall
        sources = _of_sources(run, ours.by_source) if ours is not None else {}
        models = intervals(
            per_user, run.lists, run.split.past.n_items, config.ks, config.n_resamples, config.seed
        )
        key = f"ndcg@{config.ks[0]}"
        best = _best({name: each[key].mean for name, each in models.items()})
        measures = tuple(f"ndcg@{k}" for k in config.ks)
        compared = {
            name: comparisons(name, per_user, measures, config.n_resamples, config.seed)
            for name in (OURS, OURS_DIVERSE)
            if name in per_user
        }
    return Evaluation(
        config=config,
        split=run.split,
        inner=run.inner,
        n_rejected=shop.n_rejected,
        n_bare_items=shop.n_bare_items,
        models=models,
        comparisons=compared,
        sources=sources,
        best=best,
        parameters=run.parameters,
        skipped=run.skipped,
        seconds=run.seconds,
    )


def _of_sources(run: _Run, by_source: Mapping[str, Lists]) -> dict[str, Interval]:
    split, config = run.split, run.config
    n_wanted, k = np.diff(split.wanted.offsets), config.ks[0]
    values = np.column_stack(
        [
            ndcg_at(hits_of(lists, split.wanted, split.past.n_items), n_wanted, k)
            for lists in by_source.values()
        ]
    )
    resampled = resampled_means(values, config.n_resamples, config.seed)
    means = values.mean(axis=0)
    return {name: interval(means[i], resampled[:, i]) for i, name in enumerate(by_source)}


def _best(means: Mapping[str, float]) -> dict[str, str]:
    """The best textbook model, and the best single model of any kind, both in hindsight."""
    single = [model for model in MODELS if model.name in means]
    return {
        "library": max((m.name for m in single if not m.uses_time), key=means.__getitem__),
        "single": max((m.name for m in single), key=means.__getitem__),
    }
