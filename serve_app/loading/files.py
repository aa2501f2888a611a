"""Reads CSV and Parquet in chunks of rows, so that memory does not grow with the file."""

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

_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f\ud800-\udfff]")
"""Control characters, and what stands for a byte that is no UTF-8."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        lines: line of each row in a CSV file (the header is line 1), number of the row from 1 in
            a Parquet file.
        columns: by name, the cells of all rows; ``None`` for an empty one. Cells of a CSV file are
            texts; times of a Parquet file are epoch seconds.
        misshapen: line and reason of what could not be read as a row.
        share_read: of the file so far, 0 … 1.
    """

    lines: Sequence[int]
    columns: Mapping[str, Sequence[object]]
    misshapen: Sequence[tuple[int, str]]
    share_read: float


def read_chunks(file: Path) -> Generator[Chunk, None, None]:
    """
    Read a file, ``CHUNK_ROWS`` rows at a time.

    Raises:
        DataRejected: no such file, not readable, neither CSV nor Parquet, or without a row.
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
    # Bytes that are no UTF-8 come through as lone surrogates: the row that holds them is rejected,
    # not the file.
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
    """Rows that are not blank, each with its first line: a quoted cell may span several."""
    reader = csv.reader(text)
    line = 1
    for row in reader:
        if row:
            yield line, row
        line = reader.line_num + 1


def _check_names(file: Path, names: Sequence[str]) -> None:
    if any(map(_NO_TEXT.search, names)):
        raise DataRejected(
            file, "its first line is no UTF-8 text that names the columns: compressed, or UTF-16?"
        )
    if not any(names):
        raise DataRejected(file, "it has no header line that names the columns")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataRejected(file, f"its header names {twice[0]!r} twice")


def _csv_chunk(
    rows: Sequence[tuple[int, list[str]]], names: Sequence[str], share_read: float
) -> Chunk:
    whole = [(line, row) for line, row in rows if len(row) == len(names)]
    misshapen = [
        (line, f"the row has {len(row)} cells, the header {len(names)}")
        for line, row in rows
        if len(row) != len(names)
    ]
    columns = {
        name: [row[i].strip() or None for _, row in whole] for i, name in enumerate(names) if name
    }
    return Chunk([line for line, _ in whole], columns, misshapen, share_read)


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
    """Python values, ``None`` for NaN, times as epoch seconds."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        micros = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
        return [None if value is None else value / 1e6 for value in micros]
    cells: list[object] = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [None if cell != cell else cell for cell in cells]
    return cells


def column_names(file: Path) -> tuple[str, ...]:
    """
    Raises:
        DataRejected: as ``read_chunks``.
    """
    with closing(read_chunks(file)) as chunks:
        return tuple(next(chunks).columns)
