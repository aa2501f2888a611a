"""Step ``train``: trains two models of every variant, one to measure and one to publish.

The first has learnt from the window ``past`` alone, and is measured on the latest window. The
second has learnt from both. The latest windows of Online Retail hold Christmas. Models that do not
know the latest window lose much of their quality there; on the demo shop they lose nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.moments.examples import Examples, concatenate_examples, drop_negatives
from serve_app.fitting.run import Job
from serve_app.fitting.steps.find_candidates import (
    FURTHER,
    WINDOWS,
    load_outcomes,
    load_shards,
    random_generator,
)
from serve_app.fitting.training.averaging import average_boosters
from serve_app.fitting.training.boosting import BINARY, Objective, train_boosters
from serve_app.fitting.training.few_users import Singles, lean_on_singles
from serve_app.fitting.training.newcomers import Popularity, lean_on_popularity
from serve_app.fitting.workspace.step_folders import Workspace, read_json, write_json
from serve_app.fitting.workspace.workers import Share

STEP = "train"

KINDS = ("held_out", "published")

_OBJECTIVES = "objectives.json"


class _Task(NamedTuple):
    kind: str
    variant: str
    objective: Objective


class _Learning(NamedTuple):
    """The examples that models learn from.

    Attributes:
        examples: of the window ``past``, then those of the latest.
        n_past: moments of the window ``past``.
        n_users: by kind of model, the users that it learns from. A user has several moments.
    """

    examples: Examples
    n_past: int
    n_users: Mapping[str, int]
    config: FitConfig

    def of_kind(self, kind: str) -> Examples:
        return self.examples.first(self.n_past) if kind == "held_out" else self.examples


def train_models(job: Job, folder: Path, kinds: Sequence[str] = KINDS) -> None:
    learning = _load_examples(job.work, job.config)
    n_users = learning.n_users["published"]
    objectives = {
        name: variant.objectives_for(n_users) for name, variant in job.config.variants.items()
    }
    wanted = list(product(kinds, objectives))
    tasks = [_Task(kind, name, each) for kind, name in wanted for each in objectives[name]]
    leans = {(kind, name): _lean(learning, kind, name) for kind, name in wanted}
    boosters = _train_boosters(learning, tasks, job)
    # The workers hold the examples now. They are most of the memory that a fit needs, and this
    # name would keep a second copy alive until the last booster is trained.
    del learning
    for i, (kind, name) in enumerate(wanted):
        file = folder / kind / f"{name}.ubj"
        file.parent.mkdir(exist_ok=True)
        # Boosters arrive in the order of the tasks: the next ones belong to this variant.
        model = average_boosters(list(islice(boosters, len(objectives[name]))))
        singles, popularity = leans[kind, name]
        file.write_bytes(popularity.join(singles.join(model)))
        job.progress((i + 1) / len(wanted))
    write_json(folder / _OBJECTIVES, objectives)


def read_booster(work: Workspace, kind: str, variant: str) -> bytes:
    """In XGBoost's binary form (UBJSON)."""
    return (work.folder_of(STEP) / kind / f"{variant}.ubj").read_bytes()


def load_objectives(work: Workspace) -> Mapping[str, Sequence[Objective]]:
    """Objectives that the models of each variant have learnt.

    Ranking objectives are missing where users were too few for them.
    """
    objectives: Mapping[str, Sequence[Objective]] = read_json(work.folder_of(STEP) / _OBJECTIVES)
    return objectives


def calibrated_variants(work: Workspace) -> tuple[str, ...]:
    """Variants whose models learn no order: scores of users with a history are log-odds."""
    return tuple(
        name for name, objectives in load_objectives(work).items() if set(objectives) == {BINARY}
    )


def _lean(learning: _Learning, kind: str, name: str) -> tuple[Singles, Popularity]:
    variant, examples = learning.config.variants[name], learning.of_kind(kind)
    singles = lean_on_singles(examples, variant, learning.n_users[kind])
    return singles, lean_on_popularity(examples, variant)


def _count_users(work: Workspace) -> Mapping[str, int]:
    past, latest = (load_outcomes(work, window).users for window in WINDOWS)
    return {
        "held_out": len(np.unique(past)),
        "published": len(np.unique(np.concatenate((past, latest)))),
    }


def _load_examples(work: Workspace, config: FitConfig) -> _Learning:
    past = [*_read_examples(work, "past"), *_read_examples(work, FURTHER["past"])]
    # The step before kept all candidates of the first moments of the latest window, for measuring.
    latest = [
        drop_negatives(examples, config.max_negatives, random_generator(config.seed, number))
        for number, examples in enumerate(_read_examples(work, "latest"))
    ]
    together = concatenate_examples([*past, *latest, *_read_examples(work, FURTHER["latest"])])
    return _Learning(together, sum(map(len, past)), _count_users(work), config)


def _read_examples(work: Workspace, folder: str) -> list[Examples]:
    return [shard.examples for shard in load_shards(work, folder)]


def _train_boosters(shared: _Learning, tasks: list[_Task], job: Job) -> Iterator[bytes]:
    """Trains side by side, or one after the other with several processes for each."""
    n_workers = job.config.n_train_workers
    if n_workers == 1:
        return job.workers.map(_train, shared, tasks)
    return (job.workers.train_together(_train_share, (shared, task), n_workers) for task in tasks)


def _train(shared: _Learning, task: _Task) -> bytes:
    return _train_share((shared, task), (0, 1))


def _train_share(shared: tuple[_Learning, _Task], share: Share) -> bytes:
    """Trains on every ``share[1]``-th user, beginning with the user ``share[0]``."""
    learning, task = shared
    config, examples = learning.config, learning.of_kind(task.kind)
    # Before the users are shared: all processes must grow trees of one depth.
    variant = config.variants[task.variant].for_users(learning.n_users[task.kind])
    number, n_shares = share
    if n_shares > 1:
        examples = examples.of_users(np.arange(number, len(examples), n_shares))
    return average_boosters(
        train_boosters(examples, variant, task.objective, config.seed, config.n_threads)
    )
