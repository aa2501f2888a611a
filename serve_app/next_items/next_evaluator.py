"""Fits and tunes all models on the events before the test sessions; asks them for next items."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.errors import NotEnoughData
from serve_app.evaluation.evaluator import ANSWERS, FIT, MAX_K, OURS, OURS_DIVERSE
from serve_app.evaluation.served import ServedConfig, fit_on_training
from serve_app.fitting.run import Progress
from serve_app.loading.in_memory import LoadedFiles, read_files
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.measuring.lists import Lists
from serve_app.next_items.next_lists import NEXT_RIVALS, NextSide, tuned_lists
from serve_app.next_items.next_measures import Measured, measure_answers
from serve_app.next_items.next_protocol import (
    NextProtocolConfig,
    NextSplit,
    split_sessions,
)
from serve_app.next_items.next_rivals.popularities import NEXT_POPULARITY
from serve_app.next_items.next_served import answer_questions
from serve_app.next_items.next_training import (
    NextRival,
    training_of,
    with_background,
)


class NextConfig(Settings):
    """Sets the protocol, the measures and the tuning of an evaluation of next items."""

    protocol: NextProtocolConfig = Field(
        default=NextProtocolConfig(), description="Sessions, test period and questions."
    )
    ks: tuple[Annotated[int, Field(ge=1, le=MAX_K)], ...] = Field(
        default=(10, 20), min_length=1, description="Lengths of the measured lists, ascending."
    )
    max_points: int = Field(
        default=60, ge=1, description="Most points of a rival's grid tried on the inner split."
    )
    max_tuning_sessions: int = Field(
        default=500, ge=1, description="Most sessions of the inner split, sampled at random."
    )
    n_resamples: int = Field(default=1_000, ge=1, description="Resamples of the bootstrap.")
    seed: int = Field(default=7, ge=0, description="Seed of the tried points and the bootstrap.")
    reading: LoadConfig = Field(default=LoadConfig(), description="Limits of the files' rows.")
    ours: ServedConfig = Field(default=ServedConfig(), description="The served system.")


@dataclass(frozen=True, slots=True)
class NextEvaluation:
    """All results of an evaluation of next items.

    Attributes:
        inner: the split of the training events on which parameters were chosen.
        lists: of each model, in the order of the questions.
        measured: by group of questions.
        parameters, skipped, seconds, n_rejected, n_bare_items, notes: as of ``Evaluation``.
    """

    config: NextConfig
    split: NextSplit
    inner: NextSplit
    lists: Mapping[str, Lists]
    measured: Measured
    parameters: Mapping[str, Mapping[str, Any]]
    skipped: Mapping[str, str]
    seconds: Mapping[str, float]
    n_rejected: Mapping[str, int]
    n_bare_items: int
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Run:
    """Collects results while the steps of an evaluation run."""

    config: NextConfig
    files: LoadedFiles
    outer: NextSide
    inner: NextSide
    progress: Progress
    clock: Callable[[], float]
    lists: dict[str, Lists] = field(default_factory=dict)
    parameters: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        start_s = self.clock()
        yield
        self.seconds[step] = self.clock() - start_s


def evaluate_next(
    inputs: InputFiles,
    config: NextConfig,
    progress: Progress,
    *,
    now_at: float,
    clock: Callable[[], float],
    rivals: Sequence[NextRival] = NEXT_RIVALS,
) -> NextEvaluation:
    """Compares the served system with all rivals of next items on a shop's files.

    Args:
        inputs: in the format of ``recserve load``; interactions are required.
        progress: takes the name of a step, and its share that is done.
        now_at: epoch seconds.
        clock: seconds since any moment, for the durations.
        rivals: the first is popularity, which gives the others their background.

    Raises:
        DataRejected: a file cannot be read or has too many bad rows.
        NotEnoughData: nothing is left to train on or to ask.
    """
    start_s = clock()
    files = read_files(inputs, config.reading, partial(progress, "reading"), now_at=now_at)
    outer, inner = _sides(files, config)
    run = _Run(config, files, outer, inner, progress, clock)
    run.seconds["reading"] = clock() - start_s
    for rival in rivals:
        with run.timed(rival.name):
            _add_rival(run, rival)
    _add_ours(run)
    return _measure(run)


def _sides(files: LoadedFiles, config: NextConfig) -> tuple[NextSide, NextSide]:
    """The split of the whole log, and the split of its training events by the same protocol."""
    label = config.protocol.label.on_scale(config.reading.max_rating)
    split = split_sessions(files.log, config.protocol.model_copy(update={"label": label}))
    # The log ends where the training does: it has moved back by ``days_earlier`` already.
    changed = {
        "max_sessions": config.max_tuning_sessions,
        "days_earlier": 0.0,
        "label": split.label.config,
    }
    try:
        inner = split_sessions(split.known, config.protocol.model_copy(update=changed))
    except NotEnoughData as error:
        raise NotEnoughData(f"split of the training events for tuning: {error}") from error
    _, categories = np.unique(files.items["category"].astype(str), return_inverse=True)
    return (
        NextSide(split, training_of(split, categories)),
        NextSide(inner, training_of(inner, categories)),
    )


def _add_rival(run: _Run, rival: NextRival) -> None:
    n_items = run.outer.split.n_items
    if rival.max_items is not None and n_items > rival.max_items:
        run.skipped[rival.name] = f"the shop has {n_items} items, at most {rival.max_items} fit"
        return
    config, tell = run.config, partial(run.progress, rival.name)
    found = tuned_lists(
        rival, run.outer, run.inner, max(config.ks), config.max_points, config.seed, tell
    )
    run.lists[rival.name], run.parameters[rival.name] = found.lists, found.parameters
    if rival is NEXT_POPULARITY:
        half_life_days = found.point["half_life_days"]
        run.outer, run.inner = (
            side._replace(training=with_background(side.training, half_life_days))
            for side in (run.outer, run.inner)
        )
    tell(1.0)


def _add_ours(run: _Run) -> None:
    config, split = run.config.ours, run.outer.split

    def tell(step: str, share: float) -> None:
        run.progress(f"{OURS}: {step}", share)

    try:
        with run.timed(FIT):
            result = fit_on_training(run.files, split, config, tell)
    except NotEnoughData as error:
        run.skipped[OURS] = str(error)
        return
    with run.timed(ANSWERS):
        answers = answer_questions(result, split, max(run.config.ks), config, tell)
    run.lists[OURS], run.lists[OURS_DIVERSE] = answers


def _measure(run: _Run) -> NextEvaluation:
    config, split = run.config, run.outer.split
    with run.timed("measuring"):
        measured = measure_answers(
            run.lists,
            split.questions,
            split.wanted,
            split.n_items,
            config.ks,
            [name for name in (OURS, OURS_DIVERSE) if name in run.lists],
            config.n_resamples,
            config.seed,
        )
    return NextEvaluation(
        config=config,
        split=split,
        inner=run.inner.split,
        lists=run.lists,
        measured=measured,
        parameters=run.parameters,
        skipped=run.skipped,
        seconds=run.seconds,
        n_rejected=run.files.n_rejected,
        n_bare_items=run.files.n_bare_items,
        notes=run.files.notes,
    )
