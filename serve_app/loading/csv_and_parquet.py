"""Reads the rows of CSV and Parquet files, in chunks: memory does not grow with the file."""

import csv
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from serve_app.errors import DataRejected

CHUNK_ROWS = 20_000

_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\ud800-\udfff]")
"""Control characters, and the surrogates that stand for bytes that are not UTF-8."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        lines: of each row, its line in a CSV file (the header is line 1) or its number from 1 in
            a Parquet file.
        columns: by name, the cells of all rows; an empty cell is ``None``. Cells of a CSV file are
            texts; times of a Parquet file are epoch seconds.
        misshapen: line and reason of each row with too few or too many cells.
        share_read: share of the file read so far, 0 … 1.
    """

    lines: Sequence[int]
    columns: Mapping[str, Sequence[object]]
    misshapen: Sequence[tuple[int, str]]
    share_read: float


def read_chunks(file: Path) -> Generator[Chunk, None, None]:
    """Reads a file, ``CHUNK_ROWS`` rows at a time.

    Raises:
        DataRejected: the file does not exist, is not readable, is neither CSV nor Parquet, or
            has no rows.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if file.suffix.lower() not in readers:
        raise DataRejected(file, "its name ends neither in .csv nor in .parquet")
    empty = True
    try:
        for chunk in readers[file.suffix.lower()](file):
            empty = False
            yield chunk
    except OSError as error:
        raise DataRejected(file, error.strerror or str(error)) from error
    except (csv.Error, pa.ArrowException) as error:
        raise DataRejected(file, f"cannot be read: {error}") from error
    if empty:
        raise DataRejected(file, "it has no rows")


def _read_csv(file: Path) -> Iterator[Chunk]:
    n_bytes = file.stat().st_size
    # surrogateescape: bytes that are not UTF-8 spoil their row, not the file.
    with (
        file.open("rb") as data,
        TextIOWrapper(data, "utf-8-sig", "surrogateescape", newline="") as text,
    ):
        rows = _numbered(text)
        _, header = next(rows, (1, []))
        names = [name.strip() for name in header]
        _check_names(file, names)
        while part := list(islice(rows, CHUNK_ROWS)):
            yield _csv_chunk(part, names, data.tell() / n_bytes)


def _numbered(text: TextIOWrapper) -> Iterator[tuple[int, list[str]]]:
    """Yields each row that is not blank with its first line."""
    reader = csv.reader(text)
    line = 1
    for row in reader:
        if row:
            yield line, row
        # A quoted cell may span several lines.
        line = reader.line_num + 1


def _check_names(file: Path, names: Sequence[str]) -> None:
    if any(map(_NOT_TEXT.search, names)):
        reason = "its first line is not UTF-8 text; the file may be compressed or in UTF-16"
        raise DataRejected(file, reason)
    if not any(names):
        raise DataRejected(file, "it has no header line that names the columns")
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DataRejected(file, f"its header names {repeated[0]!r} twice")


def _csv_chunk(
    rows: Sequence[tuple[int, list[str]]], names: Sequence[str], share_read: float
) -> Chunk:
    complete = [(line, row) for line, row in rows if len(row) == len(names)]
    misshapen = [
        (line, f"the row has {len(row)} cells, the header {len(names)}")
        for line, row in rows
        if len(row) != len(names)
    ]
    named = [(i, name) for i, name in enumerate(names) if name]
    columns = {name: [row[i].strip() or None for _, row in complete] for i, name in named}
    return Chunk([line for line, _ in complete], columns, misshapen, share_read)


def _read_parquet(file: Path) -> Iterator[Chunk]:
    with pq.ParquetFile(file) as parquet:
        _check_names(file, parquet.schema_arrow.names)
        line = 1
        for batch in parquet.iter_batches(CHUNK_ROWS):
            columns = {name: _cells(batch.column(name)) for name in batch.schema.names}
            lines = range(line, line + len(batch))
            line = lines.stop
            yield Chunk(lines, columns, (), (line - 1) / parquet.metadata.num_rows)


def _cells(column: pa.Array) -> list[object]:
    """Converts to Python values: NaN becomes ``None``, times become epoch seconds."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        # Microseconds hold every date; unsafe, because nanoseconds lose digits.
        micros = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
        return [None if value is None else value / 1e6 for value in micros]
    cells: list[object] = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [None if cell != cell else cell for cell in cells]
    return cells


def column_names(file: Path) -> tuple[str, ...]:
    """Reads the names of a file's columns from its first chunk; raises as ``read_chunks``."""
    with closing(read_chunks(file)) as chunks:
        return tuple(next(chunks).columns)
