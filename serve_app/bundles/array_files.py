"""Turns frozen dataclasses of arrays into named flat arrays and back, without a pickle.

An array is stored under the name of its field, and a dataclass of arrays under ``name.part``. The
columns of a catalogue are stored under ``columns.<number>.part``: their names may be any text, and
could not all be names of files.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Column, FlagColumn, NumberColumn, TagsColumn, TextColumn
from serve_app.bundles.manifest import ColumnKind

Array = NDArray[Any]
Record = TypeVar("Record")

COLUMN_TYPES: Mapping[ColumnKind, type[Column]] = {
    "number": NumberColumn,
    "flag": FlagColumn,
    "text": TextColumn,
    "tags": TagsColumn,
}
_KIND_OF: Mapping[type[Column], ColumnKind] = {type_: kind for kind, type_ in COLUMN_TYPES.items()}


def column_kinds(columns: Mapping[str, Column]) -> dict[str, ColumnKind]:
    """The kind of every column by name, in the order that numbers their files."""
    return {name: _KIND_OF[type(columns[name])] for name in sorted(columns)}


def flatten(record: object) -> dict[str, Array]:
    """The arrays of a dataclass by name, without its fields of other kinds."""
    return dict(_flattened(record, ""))


def build(
    record_type: type[Record], read: Callable[[str], Array], prefix: str = "", **given: object
) -> Record:
    """The inverse of ``flatten``.

    Args:
        read: returns the array of a name.
        prefix: starts all names.
        given: values of fields that are not stored as arrays.
    """
    types = get_type_hints(record_type)
    values: dict[str, Any] = dict(given)
    for part in _stored(record_type):
        name, kind = f"{prefix}{part.name}", types[part.name]
        if part.name in given:
            continue
        if isinstance(kind, type) and is_dataclass(kind):
            values[part.name] = build(kind, read, f"{name}.")
        else:
            values[part.name] = read(name)
    return record_type(**values)


def build_columns(
    kinds: Mapping[str, ColumnKind], read: Callable[[str], Array]
) -> dict[str, Column]:
    """The columns of a catalogue, by the kinds that ``column_kinds`` gave."""
    numbered = enumerate(kinds.items())
    return {name: build(COLUMN_TYPES[kind], read, f"columns.{i}.") for i, (name, kind) in numbered}


_HEADER = threading.Lock()
"""Held while numpy reads the header of a file, with ``ast``: in two threads at once this fails in
Python 3.11 (SystemError: AST constructor recursion depth mismatch)."""


def open_array(path: Path) -> Array:
    """A read-only array that is mapped from its file."""
    with _HEADER:
        # A plain array: slices of numpy.memmap are slow, because each makes an object of Python.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _flattened(record: Any, prefix: str) -> Iterator[tuple[str, Array]]:
    for part in _stored(type(record)):
        value, name = getattr(record, part.name), f"{prefix}{part.name}"
        if isinstance(value, np.ndarray):
            yield name, value
        elif isinstance(value, Mapping):
            for i, column in enumerate(column_kinds(value)):
                yield from _flattened(value[column], f"{name}.{i}.")
        elif is_dataclass(value):
            yield from _flattened(value, f"{name}.")


def _stored(record_type: Any) -> list[Field[Any]]:
    # Other fields are computed from these by the constructor.
    return [part for part in fields(record_type) if part.init]
