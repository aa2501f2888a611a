"""Reads the cells of one column as ids, texts, lists, flags or numbers; notes the faults."""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.loading.chunk import EXACT_BELOW, Cells, Floats, known_text
from serve_app.loading.csv_rows import MAX_CELL_CHARS, TOO_LONG_TEXT
from serve_app.loading.rejects import Faults

# 4.00638E+12, as a spreadsheet shows 4006381333931.
_ROUNDED_BY_A_SPREADSHEET = re.compile(r"-?\d([.,]\d+)?[eE]\+\d{2,3}")
_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_NO_TEXT = (bool, list, dict)
_FLAGS = {"true": True, "yes": True, "t": True, "1": True, "1.0": True} | {
    "false": False, "no": False, "f": False, "0": False, "0.0": False,
}  # fmt: skip

_SMALLEST_NUMBER = 1e-30
LARGEST_NUMBER = 1e12
"""A price or quantity above it comes from a column in the wrong position."""

LARGEST_WHOLE = 1_000_000
"""A position above it comes from another column."""


def read_ids(name: str, cells: Cells, faults: Faults, *, required: bool = True) -> list[str | None]:
    """Reads ids of 1 to 128 characters without control characters."""
    values = [text_of(cell) for cell in cells]
    exact_below = cells.exact_below if isinstance(cells, Floats) else EXACT_BELOW
    for i, text in enumerate(values):
        if text is None:
            reason = "is missing" if required else None
        else:
            reason = _fault_of_id(cells[i], text, exact_below)
        if reason:
            faults.note(i, f"{name} {reason}", name, cells[i])
    return values


def _fault_of_id(cell: object, text: str, exact_below: float) -> str | None:
    if isinstance(cell, _NO_TEXT):
        return "is neither a text nor a number"
    if len(text) > MAX_ID_CHARS:
        return f"is longer than {MAX_ID_CHARS} characters"
    if not _ID.fullmatch(text):
        return "has control characters or is not UTF-8"
    if isinstance(cell, float) and abs(cell) >= exact_below:
        return "is a float that has lost digits: store ids as texts or as 64-bit integers"
    if _ROUNDED_BY_A_SPREADSHEET.fullmatch(text):
        return "has lost digits in a spreadsheet: format the column as text, and export it again"
    return None


def read_texts(name: str, cells: Cells, faults: Faults) -> list[str | None]:
    """Reads texts that PostgreSQL can store, and that a CSV file could hold."""
    values = [text_of(cell) for cell in cells]
    for i, text in enumerate(values):
        if isinstance(cells[i], list | dict):
            faults.note(i, f"{name} is no text", name, cells[i])
        elif text is not None and len(text) > MAX_CELL_CHARS:
            faults.note(i, f"{name} {TOO_LONG_TEXT}", name, cells[i])
        elif text is not None and _UNSTORABLE.search(text):
            faults.note(i, f"{name} has a NUL character or is not UTF-8", name, cells[i])
    return values


def read_lists(name: str, cells: Cells, faults: Faults) -> list[list[str] | None]:
    """Reads lists of texts, or texts with ``|`` between their parts; missing parts are left out."""
    values = [parts_of(cell) for cell in cells]
    for i, parts in enumerate(values):
        if any(map(_UNSTORABLE.search, parts)):
            faults.note(i, f"{name} has a NUL character or is not UTF-8", name, cells[i])
    return list(values)


def read_flags(name: str, cells: Cells, faults: Faults) -> list[bool | None]:
    """Reads flags in their usual spellings."""
    values = [None if cell is None else flag_of(cell) for cell in cells]
    for i, cell in enumerate(cells):
        if cell is not None and values[i] is None:
            faults.note(i, f"{name} is none of {', '.join(_FLAGS)}", name, cell)
    return values


def read_numbers(name: str, cells: Cells, faults: Faults) -> list[float | None]:
    """Reads numbers from 0 to ``LARGEST_NUMBER``."""
    values = to_numbers(cells)
    given = np.array([cell is not None for cell in cells], bool)
    note_all(faults, given & ~np.isfinite(values), f"{name} is not a number", name, cells)
    note_all(faults, given & (values < 0), f"{name} is negative", name, cells)
    too_large = given & (values > LARGEST_NUMBER)
    note_all(faults, too_large, f"{name} is above {LARGEST_NUMBER:g}", name, cells)
    return with_none(values)


def read_whole_numbers(name: str, cells: Cells, faults: Faults) -> list[int | None]:
    """Reads whole numbers from 0 to ``LARGEST_WHOLE``."""
    values = to_numbers(cells)
    given = np.array([cell is not None for cell in cells], bool)
    whole = (values >= 0) & (values <= LARGEST_WHOLE) & (values == np.floor(values))
    reason = f"{name} is no whole number from 0 to {LARGEST_WHOLE}"
    note_all(faults, given & ~whole, reason, name, cells)
    return [int(value) if ok else None for value, ok in zip(values, whole, strict=True)]


def to_numbers(cells: Cells) -> NDArray[np.float64]:
    """Converts cells to numbers, shape (n,); NaN for what is no number, such as a flag."""
    # Posted events leave most fields out, and pandas takes long for nothing.
    if all(cell is None for cell in cells):
        return np.full(len(cells), np.nan)
    # Object cells keep lists and decimals whole; errors become NaN one by one.
    column = pd.Series(np.fromiter(cells, object, len(cells)))
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, copy=True)
    values[[isinstance(cell, bool) for cell in cells]] = np.nan
    # PostgreSQL's type `real` refuses a number that it would round to zero.
    values[np.abs(values) < _SMALLEST_NUMBER] = 0.0
    return values


def text_of(cell: object) -> str | None:
    """A cell as a text; ``None`` if it is missing."""
    if cell is None:
        return None
    if isinstance(cell, bytes):
        return known_text(cell.decode(errors="surrogateescape"))
    # An id column of integers with an empty cell arrives as floats: 7.0 is the id "7".
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return known_text(str(cell))


def parts_of(cell: object) -> list[str]:
    """Parts of a list, or of a text with ``|`` between them."""
    parts = cell if isinstance(cell, list) else (text_of(cell) or "").split("|")
    return [part for part in map(text_of, parts) if part]


def flag_of(cell: object) -> bool | None:
    """A flag in one of its usual spellings, else ``None``."""
    return _FLAGS.get(str(cell).lower())


def note_all(
    faults: Faults, wrong: NDArray[np.bool_], reason: str, name: str, cells: Cells
) -> None:
    """Notes one reason for all rows where ``wrong``, shape (n,), is true."""
    for i in np.flatnonzero(wrong).tolist():
        faults.note(i, reason, name, cells[i])


def with_none(values: NDArray[np.float64]) -> list[float | None]:
    """Python numbers, with ``None`` for NaN."""
    return [None if value != value else value for value in values.tolist()]
