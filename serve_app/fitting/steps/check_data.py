"""Step ``check``: copies the data, and refuses data that are too few to learn from."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import IdIndex
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.items import build_catalogue, count_spare_rows, withdrawn_at
from serve_app.fitting.data.labels import Label, choose_label
from serve_app.fitting.data.windows import FitWindows, choose_windows
from serve_app.fitting.run import Job
from serve_app.fitting.workspace import array_folders
from serve_app.fitting.workspace.step_folders import Workspace, read_json, write_json

STEP = "check"


@dataclass(frozen=True, slots=True)
class CheckedData:
    """Data that a fit can learn from.

    Attributes:
        items: all items, without any number that is learnt from interactions.
        created_at: shape (n_users,), epoch seconds when each user came, NaN where unknown.
        withdrawn_at: shape (n_rows,), epoch seconds since when an item is no longer listed, or NaN.
        revision: of the shop; all changes up to it are in the data.
    """

    items: Catalogue
    log: InteractionLog
    index: IdIndex
    created_at: NDArray[np.float64]
    split: FitWindows
    label: Label
    withdrawn_at: NDArray[np.float64]
    revision: int


def check_data(job: Job, folder: Path) -> None:
    """Copies the data, and chooses the label and the windows.

    Raises:
        NotEnoughData: no items, too few interactions, or all at almost one moment.
    """
    items, users, log, kinds, revision = job.source.read()
    # First of all, because it refuses: a hopeless fit should fail before it copies anything.
    split = choose_windows(log, job.config.label_share)
    n_spare_rows = count_spare_rows(len(items), job.config.spare_share)
    catalogue = build_catalogue(items, log, 0, n_spare_rows, kinds)
    array_folders.save_catalogue(folder / "items", catalogue)
    array_folders.save_array(folder, "withdrawn_at", withdrawn_at(items, len(catalogue)))
    array_folders.save_log(folder / "log", log)
    array_folders.save(folder / "index", IdIndex.of(log.user_ids))
    known = dict(zip(users["user_id"], users["created_at"], strict=True))
    created_at = np.array([known.get(user_id, np.nan) for user_id in log.user_ids], np.float64)
    array_folders.save_array(folder, "created_at", created_at)
    write_json(folder / "split.json", asdict(split))
    write_json(folder / "label.json", asdict(choose_label(log, job.config.label)))
    write_json(folder / "revision.json", revision)


def load_data(work: Workspace) -> CheckedData:
    folder = work.folder_of(STEP)
    return CheckedData(
        array_folders.load_catalogue(folder / "items"),
        array_folders.load_log(folder / "log"),
        array_folders.load(IdIndex, folder / "index"),
        array_folders.load_array(folder, "created_at"),
        FitWindows(**read_json(folder / "split.json")),
        Label(**read_json(folder / "label.json")),
        array_folders.load_array(folder, "withdrawn_at"),
        read_json(folder / "revision.json"),
    )
