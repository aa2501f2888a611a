"""Step ``candidates``: fits the sources' tables at each moment, and finds candidates of the past.

The moments of a window are processed in independent blocks. The step keeps the examples that models
learn from. Of the first moments in ``latest`` it keeps all candidates, to rank and measure them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.fitted import Fitted
from serve_app.domain.interactions import InteractionLog
from serve_app.errors import NotEnoughData
from serve_app.fitting.data.outcomes import Outcomes, WindowOutcomes
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.judging.window_results import count_wanted, source_ndcgs
from serve_app.fitting.moments import examples
from serve_app.fitting.moments.examples import Examples
from serve_app.fitting.moments.snapshot import Snapshot, build_archive
from serve_app.fitting.run import Job
from serve_app.fitting.steps import compute_features
from serve_app.fitting.steps.check_data import CheckedData, load_data
from serve_app.fitting.steps.compute_features import MOMENTS, known_at, load_settings
from serve_app.fitting.tables.fit_tables import fit_tables
from serve_app.fitting.tables.tables_config import TablesConfig
from serve_app.fitting.workspace.array_folders import load, save
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.recommending.candidates.sources.query import NO_ROWS

STEP = "candidates"

WINDOWS = ("past", "latest")
"""Models learn from the first window; they are measured on the latest, then learn from it too."""

FURTHER: Mapping[str, str] = {window: f"{window}_further" for window in WINDOWS}
"""Names of the folders of further moments, by window: models learn from them, and nothing else."""

FURTHER_DIVISOR = 3
"""Further moments keep so many times fewer untouched candidates."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The results of one block of users.

    Attributes:
        examples: of the window ``past`` those that models learn from, of ``latest`` all.
        rows: shape (n_examples,), int32, items of the examples; empty for ``past``.
        source_ndcgs: shape (n_buyers, len(SOURCES)), NDCG@10 of each source's list, for the users
            with something new that the label counts.
    """

    examples: Examples
    rows: Rows
    source_ndcgs: NDArray[np.float64]


class _Asked(NamedTuple):
    """Moments to find candidates for.

    Attributes:
        log: with everything that users did before their moments.
        max_events: see ``histories_at``.
        n_negatives: untouched candidates that are kept of each moment, about.
        is_measured: keep all candidates.
    """

    snapshot: Snapshot
    log: InteractionLog
    outcomes: Outcomes
    config: FitConfig
    max_events: int
    n_negatives: int
    is_measured: bool


def find_candidates(job: Job, folder: Path) -> None:
    """Fits the tables of each moment, and finds the candidates of past users.

    Raises:
        NotEnoughData: too few users did something new, or wanted any of their candidates.
    """
    data = load_data(job.work)
    catalogues = {
        moment: compute_features.load_catalogue_at(job.work, moment) for moment in MOMENTS
    }
    shared = (data, catalogues, load_settings(job.work).tables)
    tables = dict(zip(MOMENTS, job.workers.map(_fit_tables_at, shared, MOMENTS), strict=True))
    for moment, fitted in tables.items():
        save(folder / "tables" / moment, fitted)
    job.progress(0.3)
    max_events = load_settings(job.work).max_events_per_user
    for i, name in enumerate(WINDOWS):
        first, further = _draw_window(data, name, job.config)
        save(folder / "outcomes" / name, first)
        snapshot = _assemble_snapshot(data, name, tables[name], job.work)
        n_negatives = job.config.max_negatives
        asked = _Asked(
            snapshot, data.log, first, job.config, max_events, n_negatives, name == "latest"
        )
        n_users = _save_shards(folder / name, asked, job, 2 * i)
        _check_enough(n_users, "wanted any of their candidates", snapshot.at, job.config)
        # Many moments teach more than many negatives of each.
        n_negatives = math.ceil(n_negatives / FURTHER_DIVISOR)
        asked = asked._replace(outcomes=further, n_negatives=n_negatives, is_measured=False)
        _save_shards(folder / FURTHER[name], asked, job, 2 * i + 1)


def load_tables(work: Workspace, moment: str) -> CandidateTables:
    return load(CandidateTables, work.folder_of(STEP) / "tables" / moment)


def load_outcomes(work: Workspace, window: str) -> Outcomes:
    return load(Outcomes, work.folder_of(STEP) / "outcomes" / window)


def load_shards(work: Workspace, window: str) -> list[Shard]:
    """Memory-mapped, in the order of the outcomes."""
    # Numbers in names of folders have leading zeros: sorted by name is sorted by number.
    return [load(Shard, folder) for folder in sorted((work.folder_of(STEP) / window).iterdir())]


def load_source_ndcgs(work: Workspace, window: str) -> NDArray[np.float64]:
    """``Shard.source_ndcgs`` of all blocks."""
    return np.concatenate([shard.source_ndcgs for shard in load_shards(work, window)])


def load_snapshot(work: Workspace, data: CheckedData, moment: str) -> Snapshot:
    return _assemble_snapshot(data, moment, load_tables(work, moment), work)


def _assemble_snapshot(
    data: CheckedData, moment: str, tables: CandidateTables, work: Workspace
) -> Snapshot:
    known = known_at(data, moment)
    archive = build_archive(
        known.log, data.index, data.label, load_settings(work).max_events_per_user
    )
    fitted = Fitted(compute_features.load_catalogue_at(work, moment), tables, archive)
    return Snapshot(known.at, data.label, fitted, compute_features.load_users_at(work, moment))


def _fit_tables_at(
    shared: tuple[CheckedData, Mapping[str, Catalogue], TablesConfig], moment: str
) -> CandidateTables:
    data, catalogues, config = shared
    known = known_at(data, moment)
    return fit_tables(catalogues[moment], known.log, known.at, config, data.label)


def _draw_window(data: CheckedData, window: str, config: FitConfig) -> WindowOutcomes:
    drawn = compute_features.draw_window(
        data, window, config.max_examples_users, config.n_further_moments, config.seed
    )
    n_users = int((count_wanted(drawn.first) > 0).sum())
    _check_enough(n_users, "wanted anything new", MOMENTS[window](data.split), config)
    return drawn


def _save_shards(folder: Path, asked: _Asked, job: Job, i_part: int) -> int:
    """Returns the number of moments after which any of the candidates was touched."""
    folder.mkdir()
    parts = list(enumerate(examples.cut_parts(len(asked.outcomes))))
    n_touched = 0
    for (number, _), shard in zip(parts, job.workers.map(_make_shard, asked, parts), strict=True):
        save(folder / f"{number:06}", shard)
        n_touched += int(examples.have_touched(shard.examples).sum())
        job.progress(0.3 + 0.7 * (i_part + (number + 1) / len(parts)) / (2 * len(WINDOWS)))
    return n_touched


def _make_shard(asked: _Asked, part: tuple[int, slice]) -> Shard:
    (number, moments), config, outcomes = part, asked.config, asked.outcomes
    block = examples.make_block(
        asked.snapshot,
        asked.log,
        outcomes,
        moments,
        config.candidates,
        config.step_gain,
        asked.max_events,
    )
    relevant = count_wanted(outcomes)[moments]
    buyers = np.flatnonzero(relevant)
    ndcgs = source_ndcgs(block.examples.of_users(buyers), relevant[buyers])
    if asked.is_measured:
        return Shard(block.examples, block.candidates.rows, ndcgs)
    rng = random_generator(config.seed, number)
    return Shard(examples.drop_negatives(block.examples, asked.n_negatives, rng), NO_ROWS, ndcgs)


def random_generator(seed: int, block: int) -> np.random.Generator:
    """Each block has its own: the order in which workers take blocks changes no result."""
    return np.random.default_rng([seed, block])


def _check_enough(n_users: int, who: str, at: float, config: FitConfig) -> None:
    if n_users < config.min_users:
        day = datetime.fromtimestamp(at, UTC).date()
        raise NotEnoughData(
            f"only {n_users} users {who} in the window from {day}: at least {config.min_users} are"
            " needed"
        )
