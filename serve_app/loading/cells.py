"""Reads the cells of one column; notes the rows whose cell says nothing that can be stored."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.arrays.columns import MAX_ID_CHARS

Cells = Sequence[object]
"""Cells of one column, ``None`` for an empty one."""

Faults = dict[int, str]
"""Position of a row in its chunk → the first reason not to load it."""

_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_FLAGS = {"true": True, "yes": True, "t": True, "1": True, "1.0": True} | {
    "false": False, "no": False, "f": False, "0": False, "0.0": False,
}  # fmt: skip

FIRST_DAY_AT = -62_135_596_800.0
"""0001-01-01 in epoch seconds; this and the next are as far as a date can be written down."""
LAST_DAY_AT = 253_402_214_400.0
"""9999-12-31 in epoch seconds."""
_SMALLEST_NUMBER = 1e-30
LARGEST_NUMBER = 1e12
"""No price or quantity is above it; what is comes from a slipped column."""


def ids(name: str, cells: Cells, faults: Faults, *, required: bool = True) -> list[str | None]:
    """1 to 128 characters, none of them a control character."""
    found = [_text(cell) for cell in cells]
    for i, text in enumerate(found):
        if text is None:
            if required:
                faults.setdefault(i, f"{name} is empty")
        elif len(text) > MAX_ID_CHARS:
            faults.setdefault(i, f"{name} is longer than {MAX_ID_CHARS} characters")
        elif not _ID.fullmatch(text):
            faults.setdefault(i, f"{name} has control characters or is no UTF-8")
    return found


def texts(name: str, cells: Cells, faults: Faults) -> list[str | None]:
    found = [_text(cell) for cell in cells]
    for i, text in enumerate(found):
        if text is not None and _UNSTORABLE.search(text):
            faults.setdefault(i, f"{name} has a NUL character or is no UTF-8")
    return found


def lists(name: str, cells: Cells, faults: Faults) -> list[list[str] | None]:
    """Lists of texts, or texts with ``|`` between their parts; empty parts are left out."""
    found = [_parts(cell) for cell in cells]
    for i, parts in enumerate(found):
        if any(map(_UNSTORABLE.search, parts)):
            faults.setdefault(i, f"{name} has a NUL character or is no UTF-8")
    return list(found)


def flags(name: str, cells: Cells, faults: Faults) -> list[bool | None]:
    found = [None if cell is None else _FLAGS.get(str(cell).lower()) for cell in cells]
    for i, cell in enumerate(cells):
        if cell is not None and found[i] is None:
            faults.setdefault(i, f"{name} is neither true nor false")
    return found


def numbers(name: str, cells: Cells, faults: Faults) -> list[float | None]:
    """Numbers from 0 to ``LARGEST_NUMBER``."""
    found = _to_numbers(cells)
    given = np.array([cell is not None for cell in cells], bool)
    # PostgreSQL takes what its type `real` would round to zero for an error.
    found[np.abs(found) < _SMALLEST_NUMBER] = 0.0
    _note(faults, given & ~np.isfinite(found), f"{name} is not a number")
    _note(faults, given & (found < 0), f"{name} is negative")
    _note(faults, given & (found > LARGEST_NUMBER), f"{name} is above {LARGEST_NUMBER:g}")
    return _optional(found)


def times(
    name: str,
    cells: Cells,
    faults: Faults,
    *,
    required: bool = False,
    earliest_at: float = FIRST_DAY_AT,
    latest_at: float = LAST_DAY_AT,
) -> list[float | None]:
    """Epoch seconds from texts in ISO 8601 (UTC where no zone is given) or epoch seconds."""
    found = epoch_seconds(cells)
    given = np.array([cell is not None for cell in cells], bool)
    if required:
        _note(faults, ~given, f"{name} is empty")
    _note(faults, given & np.isnan(found), f"{name} is neither ISO 8601 nor epoch seconds")
    _note(faults, found < earliest_at, f"{name} is before {_day(earliest_at)}")
    _note(faults, found > latest_at, f"{name} is after {_day(latest_at)}")
    return _optional(found)


def epoch_seconds(cells: Cells) -> NDArray[np.float64]:
    """Shape (n,); NaN for a cell that is empty or tells no time."""
    seconds = _to_numbers(cells)
    # Only what starts with a digit: pandas also takes "now" and "today" for times.
    spelt = {
        i: text
        for i in np.flatnonzero(np.isnan(seconds)).tolist()
        if (text := _text(cells[i])) and text[0].isdecimal()
    }
    stamps = pd.to_datetime([*spelt.values()], format="ISO8601", utc=True, errors="coerce")
    since = stamps.as_unit("us") - pd.Timestamp(0, tz="UTC").as_unit("us")
    seconds[[*spelt]] = since.total_seconds()
    return seconds


def _to_numbers(cells: Cells) -> NDArray[np.float64]:
    column = pd.Series(np.fromiter(cells, object, len(cells)))
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, copy=True)


def _text(cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell or None
    if isinstance(cell, bytes):
        return cell.decode(errors="surrogateescape")
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _parts(cell: object) -> list[str]:
    parts = cell if isinstance(cell, list) else (_text(cell) or "").split("|")
    return [part.strip() for part in map(_text, parts) if part and part.strip()]


def _note(faults: Faults, wrong: NDArray[np.bool_], reason: str) -> None:
    for i in np.flatnonzero(wrong).tolist():
        faults.setdefault(i, reason)


def _optional(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _day(at: float) -> str:
    return str(np.datetime64(int(at), "s").astype("datetime64[D]"))
