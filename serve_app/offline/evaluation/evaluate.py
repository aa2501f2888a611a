"""Fits and tunes all models on the past of a shop, and measures them on what came after."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.errors import NotEnoughData
from serve_app.offline.evaluation.bootstrap import Interval
from serve_app.offline.evaluation.comparing import Comparison, comparisons, intervals
from serve_app.offline.evaluation.lists import Lists, best_items, fused
from serve_app.offline.evaluation.measures import hits_of, measured, ndcg
from serve_app.offline.evaluation.models import FUSED_SOURCES, MODELS
from serve_app.offline.evaluation.ours import OursConfig, served_lists
from serve_app.offline.evaluation.past import Model
from serve_app.offline.evaluation.protocol import ProtocolConfig, Split, split_at_share
from serve_app.offline.evaluation.reading import Shop, read_shop
from serve_app.offline.evaluation.tuning import K, tune
from serve_app.offline.fit import Progress
from serve_app.offline.load import LoadConfig, LoadFiles

OURS, OURS_DIVERSE, FUSED = "recserve", "recserve_diverse", "rrf"

_FUSION_DEPTH = 200
_FUSION_KS = (5.0, 10.0, 20.0, 60.0)


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
        models: by name, measures such as ``ndcg@10``.
        comparisons: of ours with every other model, by name.
        best: the name of the best textbook model and of the best single model of any kind, both
            in hindsight.
        parameters: by name, what was chosen and its NDCG@10 on the inner split.
        skipped: why a model is missing, by name.
        seconds: by step.
    """

    config: EvaluationConfig
    split: Split
    inner: Split
    n_rejected: Mapping[str, int]
    models: Mapping[str, Mapping[str, Interval]]
    comparisons: Mapping[str, Mapping[str, Comparison]]
    best: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, Any]]
    skipped: Mapping[str, str]
    seconds: Mapping[str, float]


@dataclass(slots=True)
class _Run:
    """What has been found out so far."""

    config: EvaluationConfig
    split: Split
    inner: Split
    progress: Progress
    clock: Callable[[], float]
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
) -> Evaluation:
    """
    Args:
        files: in the format of ``recserve load``; interactions are required.
        progress: told the name of each step and which share of it is done.
        now_at: epoch seconds.
        clock: seconds from any moment, for the durations.

    Raises:
        DataRejected: a file that cannot be read or has too many bad rows.
        NotEnoughData: no past, or nobody to recommend to.
    """
    start_s = clock()
    shop = read_shop(files, config.reading, partial(progress, "reading"), now_at=now_at)
    split = split_at_share(shop.log, config.protocol)
    run = _Run(config, split, _inner(split, config), progress, clock)
    run.seconds["reading"] = clock() - start_s
    for model in MODELS:
        _add_baseline(run, model)
    _add_fusion(run)
    extra = _add_ours(run, shop)
    return _measure(run, extra, shop)


def _inner(split: Split, config: EvaluationConfig) -> Split:
    """The past parted as the whole was; the share is the same, the window where the past ends."""
    inner = {
        "max_users": config.max_tuning_users,
        "days_earlier": 0.0,
        "label": split.label.config,
    }
    return split_at_share(split.known, config.protocol.model_copy(update=inner))


def _add_baseline(run: _Run, model: Model) -> None:
    n_items = run.split.past.n_items
    if model.max_items is not None and n_items > model.max_items:
        run.skipped[model.name] = f"{n_items} items, it takes at most {model.max_items}"
        return
    config = run.config
    tell = partial(run.progress, model.name)
    with run.timed(model.name):
        tuned = tune(model, run.inner, config.max_points, config.seed, lambda s: tell(0.9 * s))
        run.parameters[model.name] = {
            **tuned.point,
            "inner_ndcg@10": tuned.ndcg,
            "points": tuned.n_points,
        }
        depth = max(_FUSION_DEPTH, *config.ks)
        [scorer] = model.fits(run.split.past, [tuned.point])
        run.lists[model.name] = best_items(scorer, run.split, depth)
        if model.name in FUSED_SOURCES:
            [scorer] = model.fits(run.inner.past, [tuned.point])
            run.inner_lists[model.name] = best_items(scorer, run.inner, depth)
    tell(1.0)


def _add_fusion(run: _Run) -> None:
    """Fuses the tuned sources; the constant is chosen on the inner split as well."""
    sources = [name for name in FUSED_SOURCES if name in run.lists]
    with run.timed(FUSED):
        n_wanted = np.diff(run.inner.wanted.offsets)
        n_items = run.inner.past.n_items
        scores = []
        for k in _FUSION_KS:
            lists = fused([run.inner_lists[name] for name in sources], n_items, K, k)
            hits = hits_of(lists, run.inner.wanted, n_items)
            scores.append(float(ndcg(hits, n_wanted, K).mean()))
        best = int(np.argmax(scores))
        run.parameters[FUSED] = {
            "k": _FUSION_KS[best],
            "sources": sources,
            "inner_ndcg@10": scores[best],
            "points": len(_FUSION_KS),
        }
        run.lists[FUSED] = fused(
            [run.lists[name] for name in sources],
            run.split.past.n_items,
            max(run.config.ks),
            _FUSION_KS[best],
        )


def _add_ours(run: _Run, shop: Shop) -> dict[str, NDArray[np.float64]]:
    with run.timed(OURS):
        try:
            ours = served_lists(
                shop,
                run.split,
                max(run.config.ks),
                run.config.ours,
                lambda step, share: run.progress(f"{OURS}: {step}", share),
            )
        except NotEnoughData as error:
            run.skipped[OURS] = str(error)
            return {}
    run.lists[OURS], run.lists[OURS_DIVERSE] = ours.plain, ours.diverse
    run.parameters[OURS] = {"candidates": ours.n_candidates}
    return {"candidate_recall": ours.recall}


def _measure(run: _Run, of_ours: Mapping[str, NDArray[np.float64]], shop: Shop) -> Evaluation:
    config = run.config
    with run.timed("measuring"):
        per_user = {
            name: dict(measured(lists, run.split, config.ks)) for name, lists in run.lists.items()
        }
        if of_ours:
            per_user[OURS].update(of_ours)
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
        models=models,
        comparisons=compared,
        best=best,
        parameters=run.parameters,
        skipped=run.skipped,
        seconds=run.seconds,
    )


def _best(means: Mapping[str, float]) -> dict[str, str]:
    """The best textbook model, and the best single model of any kind, both in hindsight."""
    single = [model for model in MODELS if model.name in means]
    return {
        "library": max((m.name for m in single if not m.uses_time), key=means.__getitem__),
        "single": max((m.name for m in single), key=means.__getitem__),
    }
