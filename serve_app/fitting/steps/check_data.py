"""Step ``check``: takes a copy of the data, and says whether anything can be learnt from them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.arrays.columns import IdIndex
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.data.items import catalogue_of
from serve_app.fitting.data.labels import Label, label_of
from serve_app.fitting.data.windows import FitWindows, split_of
from serve_app.fitting.job import Job
from serve_app.fitting.workspace.array_folders import (
    load,
    load_array,
    load_catalogue,
    load_log,
    save,
    save_array,
    save_catalogue,
    save_log,
)
from serve_app.fitting.workspace.step_folders import Workspace, read_json, write_json

STEP = "check"

Read = Callable[[], tuple[pd.DataFrame, pd.DataFrame, InteractionLog]]
"""Gives items, users and interactions as ``stores.postgres.fit_input`` reads them."""


@dataclass(frozen=True, slots=True)
class Checked:
    """
    Attributes:
        items: all, without anything that is learnt from interactions.
        index: finds the log's users.
        created_at: shape (n_users,), epoch seconds at which they came, NaN where unknown.
        label: what users are to be led to.
    """

    items: Catalogue
    log: InteractionLog
    index: IdIndex
    created_at: NDArray[np.float64]
    split: FitWindows
    label: Label


def check(job: Job, folder: Path, read: Read) -> None:
    """
    Raises:
        NotEnoughData: no items, too few interactions, or all at almost one moment.
    """
    items, users, log = read()
    split = split_of(log, job.config.label_share)
    save_catalogue(folder / "items", catalogue_of(items, log, n_dimensions=0))
    save_log(folder / "log", log)
    save(folder / "index", IdIndex.of(log.user_ids))
    known = dict(zip(users["user_id"], users["created_at"], strict=True))
    created_at = np.array([known.get(user_id, np.nan) for user_id in log.user_ids], np.float64)
    save_array(folder, "created_at", created_at)
    write_json(folder / "split.json", asdict(split))
    write_json(folder / "label.json", asdict(label_of(log, job.config.label)))


def checked(work: Workspace) -> Checked:
    folder = work.of(STEP)
    return Checked(
        load_catalogue(folder / "items"),
        load_log(folder / "log"),
        load(IdIndex, folder / "index"),
        load_array(folder, "created_at"),
        FitWindows(**read_json(folder / "split.json")),
        Label(**read_json(folder / "label.json")),
    )
