"""Step ``features``: numbers of items and users as they were known at three moments.

Each moment knows what happened before it and nothing else. First the step chooses how fast the past
is forgotten, on outcomes that end before anything is measured.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.windows import FitWindows, before, outcomes
from serve_app.fitting.job import Job
from serve_app.fitting.moments.snapshot import (
    Numbers,
    SnapshotConfig,
    listed_at,
    numbers_at,
    snapshot,
)
from serve_app.fitting.steps.check_data import Checked, checked
from serve_app.fitting.tuning.source_tuning import tuned
from serve_app.fitting.workspace.array_folders import (
    load_array,
    load_catalogue,
    save_array,
    save_catalogue,
)
from serve_app.fitting.workspace.step_folders import Workspace, read_json

STEP = "features"

MOMENTS: Mapping[str, Callable[[FitWindows], float]] = {
    "past": lambda split: split.train_at,
    "latest": lambda split: split.evaluate_at,
    "final": lambda split: split.end_at,
}
"""The beginnings of the two windows, and the moment of what is published, by name."""


class Known(NamedTuple):
    """
    What is known at a moment.

    Attributes:
        at: epoch seconds.
        listed: shape (n_items,), items that are there.
    """

    log: InteractionLog
    at: float
    listed: Mask


def known_at(data: Checked, moment: str) -> Known:
    at = MOMENTS[moment](data.split)
    if moment == "final":
        return Known(data.log, at, data.items.listed)
    return Known(before(data.log, at), at, listed_at(data.items, at))


def features(job: Job, folder: Path) -> None:
    data = checked(job.work)
    settings = _tuned(data, job)
    (folder / "settings.json").write_text(settings.model_dump_json(indent=1))
    job.progress(0.5)
    for i, (moment, numbers) in enumerate(
        zip(MOMENTS, job.workers.map(_numbers, (data, settings), MOMENTS), strict=True), start=1
    ):
        save_catalogue(folder / moment / "catalogue", numbers.catalogue)
        save_array(folder / moment, "users", numbers.users)
        job.progress(0.5 + 0.5 * i / len(MOMENTS))


def settings_of(work: Workspace) -> SnapshotConfig:
    """With what was chosen."""
    return SnapshotConfig.model_validate(read_json(work.of(STEP) / "settings.json"))


def catalogue_at(work: Workspace, moment: str) -> Catalogue:
    return load_catalogue(work.of(STEP) / moment / "catalogue")


def users_at(work: Workspace, moment: str) -> NDArray[np.float64]:
    """Shape (n_users, len(USER_COLUMNS))."""
    return load_array(work.of(STEP) / moment, "users")


def _numbers(shared: tuple[Checked, SnapshotConfig], moment: str) -> Numbers:
    data, settings = shared
    known = known_at(data, moment)
    return numbers_at(
        data.items, known.log, known.at, known.listed, data.created_at, settings, data.label
    )


def _tuned(data: Checked, job: Job) -> SnapshotConfig:
    config, split = job.config, data.split
    log, at, listed = known_at(data, "past")
    world = snapshot(data.items, log, at, listed, data.created_at, config.snapshot, data.label)
    later = before(data.log, split.evaluate_at)
    found = outcomes(later, at, split.evaluate_at, listed, data.label)
    return tuned(
        world, log, found, config.snapshot, config.candidates, config.n_tuning_users, config.seed
    )
