"""Step ``candidates``: the sources' tables at each moment, and what became of their candidates.

The users of a window are worked on in blocks, each by itself. What is kept of the first window is
what is learnt from; of the latest all candidates are kept, to be ranked and measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.domain.candidates.sources.query import NO_ROWS
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.fitted import Fitted
from serve_app.domain.tables import CandidateTables
from serve_app.errors import NotEnoughData
from serve_app.fitting.data.labels import CLICKED
from serve_app.fitting.data.windows import Outcomes, before, outcomes, sample
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.job import Job
from serve_app.fitting.judging.window_results import count_wanted, source_ndcgs
from serve_app.fitting.moments.examples import Examples, block_of, have_touched, parts_of, thinned
from serve_app.fitting.moments.snapshot import Snapshot, archive_of
from serve_app.fitting.steps.check_data import Checked, checked
from serve_app.fitting.steps.compute_features import (
    MOMENTS,
    catalogue_at,
    known_at,
    settings_of,
    users_at,
)
from serve_app.fitting.tables.candidate_tables import TablesConfig, candidate_tables
from serve_app.fitting.workspace.array_folders import load, save
from serve_app.fitting.workspace.step_folders import Workspace

STEP = "candidates"

WINDOWS = ("past", "latest")
"""The first is learnt from; the latest is measured, and then learnt from too."""


@dataclass(frozen=True, slots=True)
class Shard:
    """
    What is kept of a block of users.

    Attributes:
        examples: of the window ``past`` those that are learnt from, of ``latest`` all.
        rows: shape (n_examples,), int32, their items; empty for ``past``.
        source_ndcgs: shape (n_buyers, len(SOURCES)), NDCG@10 of each source's own list, of those
            who bought something new.
    """

    examples: Examples
    rows: Rows
    source_ndcgs: NDArray[np.float64]


class _Window(NamedTuple):
    world: Snapshot
    found: Outcomes
    config: FitConfig
    is_measured: bool


def candidates(job: Job, folder: Path) -> None:
    """
    Raises:
        NotEnoughData: too few users bought something new, or wanted any of their candidates.
    """
    data = checked(job.work)
    tables = dict(zip(MOMENTS, _tables(data, job), strict=True))
    for moment, each in tables.items():
        save(folder / "tables" / moment, each)
    job.progress(0.3)
    for i, window in enumerate(WINDOWS):
        found = _outcomes(data, window, job.config)
        save(folder / "outcomes" / window, found)
        world = _world(data, window, tables[window], job.work)
        _save_shards(folder / window, _Window(world, found, job.config, window == "latest"), job, i)


def tables_at(work: Workspace, moment: str) -> CandidateTables:
    return load(CandidateTables, work.of(STEP) / "tables" / moment)


def outcomes_of(work: Workspace, window: str) -> Outcomes:
    return load(Outcomes, work.of(STEP) / "outcomes" / window)


def shards_of(work: Workspace, window: str) -> list[Shard]:
    """Memory-mapped, in the order of the outcomes' users."""
    return [load(Shard, folder) for folder in sorted((work.of(STEP) / window).iterdir())]


def source_ndcgs_of(work: Workspace, window: str) -> NDArray[np.float64]:
    """Of all who bought something new in the window, shape (n_buyers, len(SOURCES))."""
    return np.concatenate([shard.source_ndcgs for shard in shards_of(work, window)])


def world_at(work: Workspace, data: Checked, moment: str) -> Snapshot:
    return _world(data, moment, tables_at(work, moment), work)


def _world(data: Checked, moment: str, tables: CandidateTables, work: Workspace) -> Snapshot:
    known = known_at(data, moment)
    return Snapshot(
        known.at,
        data.label,
        Fitted(
            catalogue_at(work, moment),
            tables,
            archive_of(known.log, data.index, settings_of(work).max_events_per_user),
        ),
        users_at(work, moment),
    )


def _tables(data: Checked, job: Job) -> list[CandidateTables]:
    config = settings_of(job.work).tables
    catalogues = {moment: catalogue_at(job.work, moment) for moment in MOMENTS}
    return list(job.workers.map(_tables_at, (data, catalogues, config), MOMENTS))


def _tables_at(
    shared: tuple[Checked, Mapping[str, Catalogue], TablesConfig], moment: str
) -> CandidateTables:
    data, catalogues, config = shared
    known = known_at(data, moment)
    return candidate_tables(catalogues[moment], known.log, known.at, config, data.label)


def _outcomes(data: Checked, window: str, config: FitConfig) -> Outcomes:
    split = data.split
    until_at, log = split.end_at, data.log
    if window == "past":
        until_at, log = split.evaluate_at, before(data.log, split.evaluate_at)
    start = known_at(data, window)
    found = outcomes(log, start.at, until_at, start.listed, data.label, least=CLICKED)
    found = sample(found, config.max_examples_users, config.seed)
    _check_enough(int((count_wanted(found) > 0).sum()), "wanted anything new", start.at, config)
    return found


def _save_shards(folder: Path, window: _Window, job: Job, place: int) -> None:
    parts = list(enumerate(parts_of(len(window.found))))
    n_users = 0
    for (number, _), shard in zip(parts, job.workers.map(_shard, window, parts), strict=True):
        save(folder / f"{number:06}", shard)
        n_users += int(have_touched(shard.examples).sum())
        job.progress(0.3 + 0.7 * (place + (number + 1) / len(parts)) / len(WINDOWS))
    _check_enough(n_users, "wanted any of their candidates", window.world.at, job.config)


def _shard(window: _Window, part: tuple[int, slice]) -> Shard:
    number, users = part
    config = window.config
    block = block_of(window.world, window.found, users, config.candidates)
    relevant = count_wanted(window.found)[users]
    buyers = np.flatnonzero(relevant)
    ndcgs = source_ndcgs(block.examples.lists(buyers), relevant[buyers])
    if window.is_measured:
        return Shard(block.examples, block.candidates.rows, ndcgs)
    rng = generator(config.seed, number)
    return Shard(thinned(block.examples, config.max_negatives, rng), NO_ROWS, ndcgs)


def generator(seed: int, number: int) -> np.random.Generator:
    """Of a block of users, whoever works on it and when."""
    return np.random.default_rng([seed, number])


def _check_enough(n_users: int, who: str, at: float, config: FitConfig) -> None:
    if n_users < config.min_users:
        day = datetime.fromtimestamp(at, UTC).date()
        raise NotEnoughData(
            f"only {n_users} users {who} in the window from {day}: at least {config.min_users} are"
            " needed"
        )
