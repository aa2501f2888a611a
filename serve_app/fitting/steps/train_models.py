"""Step ``train``: two models of every variant, one to be measured and one to be published.

The first has learnt from the window ``past`` and knows nothing of the latest, in which it is
measured; the second has learnt from both. On Online Retail, where Christmas comes, models that do
not know the latest window lose much of their quality; on the demo shop it makes no difference.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.job import Job
from serve_app.fitting.moments.examples import Examples, joined, thinned
from serve_app.fitting.steps.find_candidates import generator, shards_of
from serve_app.fitting.training.averaging import averaged
from serve_app.fitting.training.boosting import BINARY, Member, Objective
from serve_app.fitting.training.boosting import train as train_booster
from serve_app.fitting.workspace.step_folders import Workspace, read_json, write_json
from serve_app.fitting.workspace.workers import Share

STEP = "train"

KINDS = ("held_out", "published")

_OBJECTIVES = "objectives.json"


class _Task(NamedTuple):
    kind: str
    variant: str
    member: Member


class _Learning(NamedTuple):
    """
    Attributes:
        examples: of the window ``past``, then those of the latest.
        n_past: users of the first.
    """

    examples: Examples
    n_past: int
    config: FitConfig


def train(job: Job, folder: Path, kinds: Sequence[str] = KINDS) -> None:
    learning = _learning(job.work, job.config)
    n_users = len(learning.examples)
    members = {name: each.members(n_users) for name, each in job.config.variants.items()}
    wanted = list(product(kinds, members))
    tasks = [_Task(kind, name, member) for kind, name in wanted for member in members[name]]
    boosters = _boosters(learning, tasks, job)
    # Handed over and not kept: the examples are most of the memory that a fit needs.
    del learning
    for i, (kind, name) in enumerate(wanted):
        file = folder / kind / f"{name}.ubj"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(averaged(list(islice(boosters, len(members[name])))))
        job.progress((i + 1) / len(wanted))
    write_json(
        folder / _OBJECTIVES,
        # Each once, in the order in which they were declared.
        {name: list(dict.fromkeys(each.objective for each in members[name])) for name in members},
    )


def booster_of(work: Workspace, kind: str, variant: str) -> bytes:
    """In XGBoost's own binary form (UBJSON)."""
    return (work.of(STEP) / kind / f"{variant}.ubj").read_bytes()


def objectives_of(work: Workspace) -> Mapping[str, Sequence[Objective]]:
    """
    By variant, what its models have learnt, each once: without the ranking objectives that the
    settings name where users were too few for them.
    """
    found: Mapping[str, Sequence[Objective]] = read_json(work.of(STEP) / _OBJECTIVES)
    return found


def calibrated_of(work: Workspace) -> tuple[str, ...]:
    """The variants whose scores are log-odds of being wanted: none of their models ranks."""
    return tuple(name for name, each in objectives_of(work).items() if set(each) == {BINARY})


def _learning(work: Workspace, config: FitConfig) -> _Learning:
    past = [shard.examples for shard in shards_of(work, "past")]
    latest = [
        thinned(shard.examples, config.max_negatives, generator(config.seed, number))
        for number, shard in enumerate(shards_of(work, "latest"))
    ]
    return _Learning(joined([*past, *latest]), sum(map(len, past)), config)


def _boosters(shared: _Learning, tasks: list[_Task], job: Job) -> Iterator[bytes]:
    """Side by side, or one after the other and each by several processes together."""
    n_workers = job.config.n_train_workers
    if n_workers == 1:
        return job.workers.map(_train, shared, tasks)
    return (job.workers.together(_train_share, (shared, task), n_workers) for task in tasks)


def _train(shared: _Learning, task: _Task) -> bytes:
    return _train_share((shared, task), (0, 1))


def _train_share(shared: tuple[_Learning, _Task], share: Share) -> bytes:
    """Of every ``share[1]`` users one is learnt from by this process."""
    (examples, n_past, config), task = shared
    if task.kind == "held_out":
        examples = examples.first(n_past)
    variant = config.variants[task.variant].for_users(len(examples))
    number, n_shares = share
    if n_shares > 1:
        examples = examples.lists(np.arange(number, len(examples), n_shares))
    booster = train_booster(examples, variant, task.member, config.seed, config.n_threads)
    return bytes(booster.save_raw("ubj"))
