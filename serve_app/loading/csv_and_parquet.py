"""Reads the rows of CSV and Parquet files, in chunks: memory does not grow with the file.

Both formats follow one rule. Blanks around a text do not count, and an empty text is missing, as is
a word that other systems write for it (``MISSING``).
"""

import csv
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from serve_app.errors import DataRejected
from serve_app.loading.csv_rows import CsvRow, split_rows
from serve_app.loading.rejects import Reject, shown

CHUNK_ROWS = 20_000

MISSING = frozenset(
    {"", "NULL", "Null", "null", "\\N", "NaN", "NAN", "nan", "-nan", "None", "NA", "N/A", "n/a"}
    | {"<NA>", "#N/A", "#NA"}
)
"""Texts that stand for a missing value, in any column. ``none`` is a word of a shop."""

_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\ud800-\udfff]")
"""Control characters, and the surrogates that stand for bytes that are not UTF-8."""


class Times(list[float | None]):
    """Cells of a column that the file declares to hold times, in epoch seconds."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        lines: of each row, its line in a CSV file (the header is line 1) or its number from 1 in
            a Parquet file.
        columns: by name, the cells of all rows; a missing cell is ``None``. Cells of a CSV file are
            texts; times of a Parquet file are ``Times``.
        misshapen: rows that cannot be split into a cell for each column.
        share_read: share of the file read so far, 0 … 1.
    """

    lines: Sequence[int]
    columns: Mapping[str, Sequence[object]]
    misshapen: Sequence[Reject]
    share_read: float


def read_chunks(file: Path) -> Generator[Chunk, None, None]:
    """Reads a file, ``CHUNK_ROWS`` rows at a time. A file without rows gives no chunk.

    Raises:
        DataRejected: the file does not exist, is not readable, or is neither CSV nor Parquet.
    """
    with _refusing(file):
        yield from _read_parquet(file) if is_parquet(file) else _read_csv(file)


def column_names(file: Path) -> tuple[str, ...]:
    """Reads the names of a file's columns.

    Raises:
        DataRejected: as ``read_chunks``.
    """
    with _refusing(file):
        return tuple(_names_of_parquet(file) if is_parquet(file) else _names_of_csv(file))


def is_parquet(file: Path) -> bool:
    """Tells the format by the ending of the name.

    Raises:
        DataRejected: the name ends otherwise.
    """
    ending = file.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise DataRejected(file, "its name ends neither in .csv nor in .parquet")
    return ending == ".parquet"


@contextmanager
def _refusing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataRejected(file, error.strerror or str(error)) from error
    except (csv.Error, pa.ArrowException) as error:
        raise DataRejected(file, f"cannot be read: {error}") from error


def _names_of_csv(file: Path) -> list[str]:
    with file.open("rb") as data, _as_text(data) as text:
        return [name for name in _header(file, split_rows(text)) if name]


def _read_csv(file: Path) -> Iterator[Chunk]:
    n_bytes = file.stat().st_size
    with file.open("rb") as data, _as_text(data) as text:
        rows = split_rows(text)
        names = _header(file, rows)
        while part := list(islice(rows, CHUNK_ROWS)):
            yield _csv_chunk(part, names, data.tell() / n_bytes)


def _as_text(data: BinaryIO) -> TextIOWrapper:
    # surrogateescape: bytes that are not UTF-8 spoil their row, not the file.
    return TextIOWrapper(data, "utf-8-sig", "surrogateescape", newline="")


def _header(file: Path, rows: Iterator[CsvRow]) -> list[str]:
    header = next(rows, CsvRow(1, []))
    if header.fault:
        raise DataRejected(file, f"its header cannot be read: {header.fault}")
    names = [name.strip() for name in header.cells]
    _check_names(file, names)
    return names


def _check_names(file: Path, names: Sequence[str]) -> None:
    if any(map(_NOT_TEXT.search, names)):
        reason = "its first line is not UTF-8 text; the file may be compressed or in UTF-16"
        raise DataRejected(file, reason)
    if not any(names):
        raise DataRejected(file, "it has no header line that names the columns")
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DataRejected(file, f"its header names {repeated[0]!r} twice")


def _csv_chunk(rows: Sequence[CsvRow], names: Sequence[str], share_read: float) -> Chunk:
    complete = [row for row in rows if not row.fault and len(row.cells) == len(names)]
    misshapen = [
        _misshapen(row, len(names)) for row in rows if row.fault or len(row.cells) != len(names)
    ]
    named = [(i, name) for i, name in enumerate(names) if name]
    columns = {name: _known([row.cells[i] for row in complete]) for i, name in named}
    return Chunk([row.line for row in complete], columns, misshapen, share_read)


def _misshapen(row: CsvRow, n_columns: int) -> Reject:
    if row.fault:
        return Reject(row.line, row.fault, value=row.shown)
    reason = f"the row has {len(row.cells)} cells, the header {n_columns}"
    return Reject(row.line, reason, value=shown(",".join(row.cells)))


def _names_of_parquet(file: Path) -> list[str]:
    with pq.ParquetFile(file) as parquet:
        names: list[str] = parquet.schema_arrow.names
        _check_names(file, names)
        return names


def _read_parquet(file: Path) -> Iterator[Chunk]:
    _names_of_parquet(file)
    with pq.ParquetFile(file) as parquet:
        line = 1
        for batch in parquet.iter_batches(CHUNK_ROWS):
            columns = {name: _cells(batch.column(name)) for name in batch.schema.names}
            lines = range(line, line + len(batch))
            line = lines.stop
            yield Chunk(lines, columns, (), (line - 1) / parquet.metadata.num_rows)


def _cells(column: pa.Array) -> Sequence[object]:
    """Converts to Python values: NaN becomes ``None``, times become epoch seconds."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        # Microseconds hold every date; unsafe, because nanoseconds lose digits.
        micros = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
        return Times(None if value is None else value / 1e6 for value in micros)
    cells: list[object] = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [None if cell != cell else cell for cell in cells]
    return _known(cells)


def _known(cells: Sequence[object]) -> list[object]:
    """Texts without blanks around them; ``None`` for those that stand for a missing value."""
    return [known_text(cell) if isinstance(cell, str) else cell for cell in cells]


def known_text(text: str) -> str | None:
    """The text without blanks around it; ``None`` if it stands for a missing value."""
    text = text.strip()
    return None if text in MISSING else text
