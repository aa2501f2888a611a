"""Reads the cells of one column as ids, texts, lists, flags, numbers or times; notes the faults."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.arrays.columns import MAX_ID_CHARS

Cells = Sequence[object]
"""Cells of one column; an empty cell is ``None``."""

Faults = dict[int, str]
"""Position of a row in its chunk → the first reason to reject it."""

_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_FLAGS = {"true": True, "yes": True, "t": True, "1": True, "1.0": True} | {
    "false": False, "no": False, "f": False, "0": False, "0.0": False,
}  # fmt: skip

FIRST_DAY_AT = -62_135_596_800.0
"""0001-01-01 in epoch seconds: Python's dates begin there."""
LAST_DAY_AT = 253_402_214_400.0
"""9999-12-31 in epoch seconds: Python's dates end there."""
_SMALLEST_NUMBER = 1e-30
LARGEST_NUMBER = 1e12
"""A price or quantity above it comes from a column in the wrong position."""


def read_ids(name: str, cells: Cells, faults: Faults, *, required: bool = True) -> list[str | None]:
    """Reads ids of 1 to 128 characters without control characters."""
    values = [_text(cell) for cell in cells]
    for i, text in enumerate(values):
        if text is None:
            if required:
                faults.setdefault(i, f"{name} is empty")
        elif len(text) > MAX_ID_CHARS:
            faults.setdefault(i, f"{name} is longer than {MAX_ID_CHARS} characters")
        elif not _ID.fullmatch(text):
            faults.setdefault(i, f"{name} has control characters or is not UTF-8")
    return values


def read_texts(name: str, cells: Cells, faults: Faults) -> list[str | None]:
    values = [_text(cell) for cell in cells]
    for i, text in enumerate(values):
        if text is not None and _UNSTORABLE.search(text):
            faults.setdefault(i, f"{name} has a NUL character or is not UTF-8")
    return values


def read_lists(name: str, cells: Cells, faults: Faults) -> list[list[str] | None]:
    """Reads lists of texts, or texts with ``|`` between their parts; empty parts are left out."""
    values = [_parts(cell) for cell in cells]
    for i, parts in enumerate(values):
        if any(map(_UNSTORABLE.search, parts)):
            faults.setdefault(i, f"{name} has a NUL character or is not UTF-8")
    return list(values)


def read_flags(name: str, cells: Cells, faults: Faults) -> list[bool | None]:
    values = [None if cell is None else _FLAGS.get(str(cell).lower()) for cell in cells]
    for i, cell in enumerate(cells):
        if cell is not None and values[i] is None:
            faults.setdefault(i, f"{name} is neither true nor false")
    return values


def read_numbers(name: str, cells: Cells, faults: Faults) -> list[float | None]:
    """Reads numbers from 0 to ``LARGEST_NUMBER``."""
    values = _to_numbers(cells)
    given = np.array([cell is not None for cell in cells], bool)
    # PostgreSQL's type `real` refuses a number that it would round to zero.
    values[np.abs(values) < _SMALLEST_NUMBER] = 0.0
    _note(faults, given & ~np.isfinite(values), f"{name} is not a number")
    _note(faults, given & (values < 0), f"{name} is negative")
    _note(faults, given & (values > LARGEST_NUMBER), f"{name} is above {LARGEST_NUMBER:g}")
    return _with_none(values)


def read_times(
    name: str,
    cells: Cells,
    faults: Faults,
    *,
    required: bool = False,
    earliest_at: float = FIRST_DAY_AT,
    latest_at: float = LAST_DAY_AT,
) -> list[float | None]:
    """Reads epoch seconds, or texts in ISO 8601 (in UTC if they name no zone)."""
    values = epoch_seconds(cells)
    given = np.array([cell is not None for cell in cells], bool)
    if required:
        _note(faults, ~given, f"{name} is empty")
    _note(faults, given & np.isnan(values), f"{name} is neither ISO 8601 nor epoch seconds")
    _note(faults, values < earliest_at, f"{name} is before {_day(earliest_at)}")
    _note(faults, values > latest_at, f"{name} is after {_day(latest_at)}")
    return _with_none(values)


def epoch_seconds(cells: Cells) -> NDArray[np.float64]:
    """Converts cells to epoch seconds, shape (n,); NaN for an empty cell or one without a time."""
    seconds = _to_numbers(cells)
    # pandas takes "now" and "today" for times: only texts that start with a digit are parsed.
    texts = {
        i: text
        for i in np.flatnonzero(np.isnan(seconds)).tolist()
        if (text := _text(cells[i])) and text[0].isdecimal()
    }
    stamps = pd.to_datetime([*texts.values()], format="ISO8601", utc=True, errors="coerce")
    # In microseconds: nanoseconds reach only the years 1677 to 2262.
    since = stamps.as_unit("us") - pd.Timestamp(0, tz="UTC").as_unit("us")
    seconds[[*texts]] = since.total_seconds()
    return seconds


def _to_numbers(cells: Cells) -> NDArray[np.float64]:
    # Object cells keep lists and decimals whole; errors become NaN one by one.
    column = pd.Series(np.fromiter(cells, object, len(cells)))
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, copy=True)


def _text(cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell or None
    if isinstance(cell, bytes):
        return cell.decode(errors="surrogateescape")
    # An id column of integers with an empty cell arrives as floats: 7.0 is the id "7".
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _parts(cell: object) -> list[str]:
    parts = cell if isinstance(cell, list) else (_text(cell) or "").split("|")
    return [part.strip() for part in map(_text, parts) if part and part.strip()]


def _note(faults: Faults, wrong: NDArray[np.bool_], reason: str) -> None:
    for i in np.flatnonzero(wrong).tolist():
        faults.setdefault(i, reason)


def _with_none(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _day(at: float) -> str:
    return str(np.datetime64(int(at), "s").astype("datetime64[D]"))
