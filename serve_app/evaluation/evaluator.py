"""Fits and tunes all models on the interactions before a moment; measures them on those after."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.errors import NotEnoughData
from serve_app.evaluation.baselines.als import import_libraries
from serve_app.evaluation.best_lists import best_items, fuse
from serve_app.evaluation.list_measures import measure_lists, source_intervals
from serve_app.evaluation.protocol import EvaluationSplit, ProtocolConfig, split_at_share
from serve_app.evaluation.rivals import (
    FUSED_SOURCES,
    FUSION_KS,
    RIVALS,
    Keep,
    RivalLists,
    best_fusion_constant,
    make_rival_lists,
)
from serve_app.evaluation.served import ServedConfig, ServedLists, fit_on_training, list_from_bundle
from serve_app.evaluation.training_matrix import Rival, ScoreItems
from serve_app.fitting.run import Progress
from serve_app.loading.in_memory import LoadedFiles, read_files
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.measuring.bootstrap import Interval
from serve_app.measuring.comparing import Comparison, comparisons, intervals
from serve_app.measuring.lists import Lists

OURS, OURS_DIVERSE, FUSED = "recserve", "recserve_diverse", "rrf"
FIT, ANSWERS = "recserve fit", "recserve answers"

MAX_K = 1_000
"""Longest lists. All lists of all models are in memory together, 4 bytes for each place."""

MakeScorer = Callable[[LoadedFiles, EvaluationSplit], ScoreItems]


class EvaluationConfig(Settings):
    """Sets the protocol, the measures and the tuning of an evaluation."""

    protocol: ProtocolConfig = Field(
        default=ProtocolConfig(), description="Test period, ranked items, hits and test users."
    )
    ks: tuple[Annotated[int, Field(ge=1, le=MAX_K)], ...] = Field(
        default=(10, 20), min_length=1, description="Lengths of the measured lists, ascending."
    )
    max_points: int = Field(
        default=60, ge=1, description="Most points of a rival's grid tried on the inner split."
    )
    max_tuning_users: int = Field(
        default=2_000, ge=1, description="Most users of the inner split, sampled at random."
    )
    n_resamples: int = Field(default=1_000, ge=1, description="Resamples of the bootstrap.")
    seed: int = Field(default=7, ge=0, description="Seed of the tried points and the bootstrap.")
    reading: LoadConfig = Field(default=LoadConfig(), description="Limits of the files' rows.")
    ours: ServedConfig = Field(default=ServedConfig(), description="The served system.")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All results of an evaluation; mappings by the name of a model, a source or a step.

    Attributes:
        inner: the split of the training interactions on which parameters were chosen.
        n_rejected: bad rows of the files, by kind of file.
        n_bare_items: items that interactions name and the items' file does not; 0 without a file.
        models: measures such as ``ndcg@10``.
        comparisons: of each of our lists with each other model.
        sources: the NDCG at the first k of the lists of each source alone.
        best: names of the best textbook model ("library") and the best rival of any kind
            ("single"), chosen in hindsight.
        parameters: the chosen parameters and their NDCG@10 on the inner split.
        skipped: the reason why a model is missing.
        notes: how the files are understood, in sentences.
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
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Run:
    """Collects results while the steps of an evaluation run."""

    config: EvaluationConfig
    files: LoadedFiles
    split: EvaluationSplit
    inner: EvaluationSplit
    progress: Progress
    clock: Callable[[], float]
    lists: dict[str, Lists] = field(default_factory=dict)
    inner_lists: dict[str, Lists] = field(default_factory=dict)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return min(max(self.config.ks), self.split.training.n_items)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        start_s = self.clock()
        yield
        self.seconds[step] = self.clock() - start_s


def evaluate(
    inputs: InputFiles,
    config: EvaluationConfig,
    progress: Progress,
    *,
    now_at: float,
    clock: Callable[[], float],
    further: Mapping[str, MakeScorer] = MappingProxyType({}),
    keep: Keep = lambda name, make: make(),
) -> Evaluation:
    """Compares the served system with all rivals on a shop's files.

    Args:
        inputs: in the format of ``recserve load``; interactions are required.
        progress: takes the name of a step, and its share that is done.
        now_at: epoch seconds.
        clock: seconds since any moment, for the durations.
        further: by name, makes the scorer of another model to compare with. It is not tuned.

    Raises:
        DataRejected: a file cannot be read or has too many bad rows.
        ExtraMissing: the extra ``evaluate`` is not installed.
        NotEnoughData: nothing is left to train on or to test.
    """
    import_libraries()  # Fails before minutes are spent on the files.
    start_s = clock()
    files = read_files(inputs, config.reading, partial(progress, "reading"), now_at=now_at)
    label = config.protocol.label.on_scale(config.reading.max_rating)
    split = split_at_share(files.log, config.protocol.model_copy(update={"label": label}))
    run = _Run(config, files, split, _inner_split(split, config), progress, clock)
    run.seconds["reading"] = clock() - start_s
    for rival in RIVALS:
        _add_rival(run, rival, keep)
    _add_fusion(run)
    for name, make_scorer in further.items():
        with run.timed(name):
            run.lists[name] = best_items(make_scorer(files, split), split, run.width)
    return _measure(run, _add_ours(run))


def _inner_split(split: EvaluationSplit, config: EvaluationConfig) -> EvaluationSplit:
    """Splits the training interactions as the whole log was split, by the same share."""
    # The log ends where the training does: it has moved back by ``days_earlier`` already.
    inner = {"max_users": config.max_tuning_users, "days_earlier": 0.0, "label": split.label.config}
    try:
        return split_at_share(split.known, config.protocol.model_copy(update=inner))
    except NotEnoughData as error:
        raise NotEnoughData(f"split of the training interactions for tuning: {error}") from error


def _add_rival(run: _Run, rival: Rival, keep: Keep) -> None:
    n_items = run.split.training.n_items
    if rival.max_items is not None and n_items > rival.max_items:
        run.skipped[rival.name] = f"the shop has {n_items} items, at most {rival.max_items} fit"
        return
    config, tell = run.config, partial(run.progress, rival.name)

    def make() -> RivalLists:
        start_s = run.clock()
        result = make_rival_lists(
            rival, run.split, run.inner, run.width, config.max_points, config.seed, tell
        )
        return result._replace(seconds=run.clock() - start_s)

    result = keep(rival.name, make)
    run.lists[rival.name] = result.lists
    if result.inner_lists is not None:
        run.inner_lists[rival.name] = result.inner_lists
    run.parameters[rival.name] = dict(result.parameters)
    # Kept lists keep their duration, for a comparison of the models' costs.
    run.seconds[rival.name] = result.seconds
    tell(1.0)


def _add_fusion(run: _Run) -> None:
    # A source is missing if the catalogue is too large for it.
    sources = [name for name in FUSED_SOURCES if name in run.lists]
    with run.timed(FUSED):
        k, ndcg_inner = best_fusion_constant([run.inner_lists[name] for name in sources], run.inner)
        chosen = {"k": k, "sources": sources, "inner_ndcg@10": ndcg_inner}
        run.parameters[FUSED] = {**chosen, "points": len(FUSION_KS)}
        lists = [run.lists[name] for name in sources]
        run.lists[FUSED] = fuse(lists, run.split.training.n_items, run.width, k)


def _add_ours(run: _Run) -> ServedLists | None:
    config = run.config.ours

    def tell(step: str, share: float) -> None:
        run.progress(f"{OURS}: {step}", share)

    try:
        with run.timed(FIT):
            result = fit_on_training(run.files, run.split, config, tell)
    except NotEnoughData as error:
        run.skipped[OURS] = str(error)
        return None
    with run.timed(ANSWERS):
        ours = list_from_bundle(result, run.split, run.width, config, tell)
    run.lists[OURS], run.lists[OURS_DIVERSE] = ours.plain, ours.diverse
    run.parameters[OURS] = {"candidates": ours.n_candidates}
    return ours


def _measure(run: _Run, ours: ServedLists | None) -> Evaluation:
    config, split = run.config, run.split
    ks, n_resamples, seed = config.ks, config.n_resamples, config.seed
    with run.timed("measuring"):
        per_user = {
            name: dict(measure_lists(lists, split, ks)) for name, lists in run.lists.items()
        }
        sources = {}
        if ours is not None:
            per_user[OURS]["candidate_recall"] = ours.candidate_recall
            sources = source_intervals(ours.by_source, split, ks[0], n_resamples, seed)
        models = intervals(per_user, run.lists, split.training.n_items, ks, n_resamples, seed)
        measures = tuple(f"ndcg@{k}" for k in ks)
        compared = {
            name: comparisons(name, per_user, measures, n_resamples, seed)
            for name in (OURS, OURS_DIVERSE)
            if name in per_user
        }
    return Evaluation(
        config=config,
        split=split,
        inner=run.inner,
        n_rejected=run.files.n_rejected,
        n_bare_items=run.files.n_bare_items,
        models=models,
        comparisons=compared,
        sources=sources,
        best=_best_rivals({name: of_model[measures[0]].mean for name, of_model in models.items()}),
        parameters=run.parameters,
        skipped=run.skipped,
        seconds=run.seconds,
        notes=run.files.notes,
    )


def _best_rivals(ndcgs: Mapping[str, float]) -> dict[str, str]:
    """Names of the best textbook model and of the best rival of any kind, in hindsight."""
    rivals = [rival for rival in RIVALS if rival.name in ndcgs]
    return {
        "library": max((r.name for r in rivals if not r.uses_time), key=ndcgs.__getitem__),
        "single": max((r.name for r in rivals), key=ndcgs.__getitem__),
    }
