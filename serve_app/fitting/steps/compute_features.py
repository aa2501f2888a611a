"""Step ``features``: computes features of items and users as they were known at three moments.

A moment knows what happened before it, and nothing else. First the step chooses the settings of the
sources, on outcomes that end before the window in which models are measured.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.labels import CLICKED
from serve_app.fitting.data.outcomes import WindowOutcomes, draw_outcomes
from serve_app.fitting.data.windows import FitWindows, select_before, select_standing
from serve_app.fitting.moments import snapshot
from serve_app.fitting.moments.snapshot import SnapshotConfig, take_snapshot
from serve_app.fitting.run import Job
from serve_app.fitting.steps.check_data import CheckedData, load_data
from serve_app.fitting.tuning.source_tuning import tune_sources
from serve_app.fitting.workspace import array_folders
from serve_app.fitting.workspace.step_folders import Workspace, read_json

STEP = "features"

MOMENTS: Mapping[str, Callable[[FitWindows], float]] = {
    "past": lambda split: split.train_at,
    "latest": lambda split: split.evaluate_at,
    "final": lambda split: split.end_at,
}
"""By name, the beginnings of the two windows, and the moment that the bundle knows."""


class Known(NamedTuple):
    """Data that were known at a moment.

    Attributes:
        at: epoch seconds.
        listed: shape (n_items,), items that existed.
    """

    log: InteractionLog
    at: float
    listed: Mask


def known_at(data: CheckedData, moment: str) -> Known:
    at = MOMENTS[moment](data.split)
    if moment == "final":
        # The bundle serves the future: it lists items that are announced, and knows the last
        # interaction, which happened at the moment itself.
        return Known(select_standing(data.log), at, data.items.listed & np.isnan(data.withdrawn_at))
    return Known(select_before(data.log, at), at, listed_then(data, at))


def listed_then(data: CheckedData, at: float) -> Mask:
    """Items that were listed at a moment of the past, shape (n_items,)."""
    # An item that was withdrawn since was on the shelves then.
    return snapshot.listed_at(data.items, at) & ~(data.withdrawn_at <= at)


def compute_features(job: Job, folder: Path) -> None:
    data = load_data(job.work)
    settings = _choose_settings(data, job)
    (folder / "settings.json").write_text(settings.model_dump_json(indent=1))
    job.progress(0.5)
    by_moment = job.workers.map(_compute_numbers, (data, settings), MOMENTS)
    for i, (moment, numbers) in enumerate(zip(MOMENTS, by_moment, strict=True), start=1):
        array_folders.save_catalogue(folder / moment / "catalogue", numbers.catalogue)
        array_folders.save_array(folder / moment, "users", numbers.users)
        job.progress(0.5 + 0.5 * i / len(MOMENTS))


def load_settings(work: Workspace) -> SnapshotConfig:
    """The configured settings, with the values that the data chose."""
    return SnapshotConfig.model_validate(read_json(work.folder_of(STEP) / "settings.json"))


def load_catalogue_at(work: Workspace, moment: str) -> Catalogue:
    return array_folders.load_catalogue(work.folder_of(STEP) / moment / "catalogue")


def load_users_at(work: Workspace, moment: str) -> NDArray[np.float64]:
    """Shape (n_users, len(USER_COLUMNS))."""
    return array_folders.load_array(work.folder_of(STEP) / moment, "users")


def _compute_numbers(shared: tuple[CheckedData, SnapshotConfig], moment: str) -> snapshot.Numbers:
    data, settings = shared
    log, at, listed = known_at(data, moment)
    return snapshot.compute_numbers(
        data.items, log, at, listed, data.created_at, settings, data.label
    )


def _choose_settings(data: CheckedData, job: Job) -> SnapshotConfig:
    config = job.config
    log, at, listed = known_at(data, "past")
    past = take_snapshot(data.items, log, at, listed, data.created_at, config.snapshot, data.label)
    # Cut off where measuring begins: settings that knew the last window would flatter the fit.
    outcomes = draw_window(data, "past", config.max_examples_users, 0, config.seed).first
    return tune_sources(
        past,
        data.log,
        outcomes,
        config.snapshot,
        config.candidates,
        config.n_tuning_users,
        config.seed,
    )


def draw_window(
    data: CheckedData, window: str, n_users: int, n_further: int, seed: int
) -> WindowOutcomes:
    """Draws moments of the window that begins at one of ``MOMENTS``, and finds their outcomes.

    Args: as of ``draw_outcomes``.
    """
    start_at, until_at = MOMENTS[window](data.split), data.split.end_at
    if window == "past":
        # Both ends of a window count, so the first must not see the beginning of the second.
        until_at = float(np.nextafter(data.split.evaluate_at, -np.inf))
    return draw_outcomes(
        data.log,
        start_at,
        until_at,
        listed_then(data, start_at),
        data.label,
        CLICKED,
        n_users=n_users,
        n_further=n_further,
        seed=seed,
    )
