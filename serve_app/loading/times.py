"""Reads the cells of one column as times; guesses what a number means that is no time."""

import re
from decimal import Decimal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.arrays.units import FROM_AT, UNTIL_AT
from serve_app.loading.cells import note_all, text_of, to_numbers, with_none
from serve_app.loading.chunk import Cells, Times
from serve_app.loading.rejects import Faults

FIRST_DAY_AT = -62_135_596_800.0
"""0001-01-01 in epoch seconds: Python's dates begin there."""
LAST_DAY_AT = 253_402_214_400.0
"""9999-12-31 in epoch seconds: Python's dates end there."""

_UNITS = (1.0, 1e3, 1e6)
"""Seconds, milliseconds, microseconds: how many are in a second."""
_NANOSECONDS = 1e9

_ZONE = re.compile(r"\s*(UTC|GMT|Z)$", re.IGNORECASE)

_GUESSES = (
    (1_000, 2_999, "looks like a year: write 2024-01-01"),
    (20_000, 80_000, "looks like a spreadsheet's number of a day: write 2024-05-31"),
    (190_001_010_000, 220_012_312_359, "looks like yyyymmddhhmm: write 2024-05-31T10:00"),
    (19e12, 22.1e12, "looks like yyyymmddhhmmss: write 2024-05-31T10:00:00"),
)
"""Smallest and largest number, and what it may mean."""


def read_times(
    name: str,
    cells: Cells,
    faults: Faults,
    *,
    required: bool = False,
    earliest_at: float = FIRST_DAY_AT,
    latest_at: float = LAST_DAY_AT,
) -> list[float | None]:
    """Reads times as epoch seconds, rounded to PostgreSQL's microseconds."""
    values = np.round(epoch_seconds(cells), 6)
    given = np.array([cell is not None for cell in cells], bool)
    if required:
        note_all(faults, ~given, f"{name} is missing", name, cells)
    unread = np.flatnonzero(given & np.isnan(values)).tolist()
    for i, number in zip(unread, to_numbers([cells[i] for i in unread]).tolist(), strict=True):
        faults.note(i, f"{name} {_guess(number)}", name, cells[i])
    note_all(faults, values < earliest_at, f"{name} is before {_moment(earliest_at)}", name, cells)
    note_all(faults, values > latest_at, f"{name} is after {_moment(latest_at)}", name, cells)
    return with_none(values)


def epoch_seconds(cells: Cells) -> NDArray[np.float64]:
    """Converts cells to epoch seconds, shape (n,); NaN for a missing cell or one without a time.

    A number is a time from 1980 to 2200 in seconds, milliseconds, microseconds or nanoseconds, or
    a day as yyyymmdd. A text is ISO 8601, in UTC if it names no zone.
    """
    numbers = to_numbers(cells)
    if isinstance(cells, Times):
        return numbers
    seconds = np.full(len(numbers), np.nan)
    for unit in _UNITS:
        within = (numbers >= FROM_AT * unit) & (numbers < UNTIL_AT * unit)
        seconds[within] = numbers[within] / unit
    nanoseconds = (numbers >= FROM_AT * _NANOSECONDS) & (numbers < UNTIL_AT * _NANOSECONDS)
    # A float does not hold nanoseconds. They are cut off, as those of texts and of Parquet's times.
    for i in np.flatnonzero(nanoseconds).tolist():
        seconds[i] = int(Decimal(str(cells[i]))) // 1_000 / 1e6
    days = np.flatnonzero(
        (numbers >= 19_000_101) & (numbers <= 22_001_231) & (numbers == np.floor(numbers))
    )
    seconds[days] = _parsed([str(int(number)) for number in numbers[days]], "%Y%m%d")
    texts = {
        i: _ZONE.sub("Z", text)
        for i in np.flatnonzero(np.isnan(numbers)).tolist()
        # pandas takes "now" and "today" for times: only texts that start with a digit are parsed.
        if (text := text_of(cells[i])) and text[0].isdecimal()
    }
    seconds[[*texts]] = _parsed([*texts.values()], "ISO8601")
    return seconds


def _parsed(texts: list[str], form: str) -> NDArray[np.float64]:
    # pandas takes half a millisecond for nothing, and a post has few events.
    if not texts:
        return np.empty(0)
    stamps = pd.to_datetime(texts, format=form, utc=True, errors="coerce")
    # In microseconds: nanoseconds reach only the years 1677 to 2262.
    since = stamps.as_unit("us") - pd.Timestamp(0, tz="UTC").as_unit("us")
    return since.total_seconds().to_numpy(np.float64)


def _guess(number: float) -> str:
    if np.isnan(number):
        return "is neither ISO 8601, such as 2024-05-31T10:00:00Z, nor epoch seconds"
    for smallest, largest, meaning in _GUESSES:
        if smallest <= number <= largest:
            return meaning
    return "is no time from 1980 to 2200 in epoch seconds or milliseconds"


def _moment(at: float) -> str:
    return f"{np.datetime64(int(at), 's')}Z"
