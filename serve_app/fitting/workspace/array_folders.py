"""Saves dataclasses of arrays as folders of files, and opens them memory-mapped."""

from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from serve_app.arrays.columns import Texts
from serve_app.bundles.array_files import (
    Array,
    build,
    build_columns,
    column_kinds,
    flatten,
    open_array,
)
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.workspace.step_folders import read_json, write_json

Record = TypeVar("Record")

_KINDS = "columns.json"
_USER_IDS = "user_ids"


def save(folder: Path, record: object) -> None:
    """Writes the arrays of a dataclass to a new folder."""
    folder.mkdir(parents=True)
    for name, array in flatten(record).items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def load(record_type: type[Record], folder: Path, **given: Any) -> Record:
    """The inverse of ``save``; ``given`` has the values of fields that are no arrays."""
    return build(record_type, lambda name: load_array(folder, name), **given)


def save_array(folder: Path, name: str, array: Array) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", array, allow_pickle=False)


def save_catalogue(folder: Path, catalogue: Catalogue) -> None:
    save(folder, catalogue)
    # The arrays of a column do not tell its class.
    write_json(folder / _KINDS, column_kinds(catalogue.columns))


def load_catalogue(folder: Path) -> Catalogue:
    columns = build_columns(read_json(folder / _KINDS), lambda name: load_array(folder, name))
    # Publishing names the version, after the content of all files.
    return load(Catalogue, folder, version="", columns=columns)


def save_log(folder: Path, log: InteractionLog) -> None:
    save(folder, log)
    save(folder / _USER_IDS, Texts.of(log.user_ids))


def load_log(folder: Path) -> InteractionLog:
    # Ids stay packed in mapped arrays: as Python strings they would outweigh the interactions.
    return load(InteractionLog, folder, user_ids=load(Texts, folder / _USER_IDS))


def load_array(folder: Path, name: str) -> Array:
    return open_array(folder / f"{name}.npy")
