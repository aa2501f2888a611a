"""Reads the rows of CSV and Parquet files, in chunks: memory does not grow with the file."""

import csv
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from serve_app.errors import DataRejected
from serve_app.loading.chunk import EXACT_BELOW, Chunk, Floats, Times, known
from serve_app.loading.csv_rows import CsvRow, split_rows
from serve_app.loading.rejects import Reject, printable, shown

CHUNK_ROWS = 20_000

_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f\ud800-\udfff]")
"""Control characters, and the surrogates that stand for bytes that are not UTF-8."""

_SIGNATURES: Mapping[bytes, str] = {
    b"\x1f\x8b": "is compressed by gzip: decompress it",
    b"BZh91AY&SY": "is compressed by bzip2: decompress it",
    b"\xfd7zXZ": "is compressed by xz: decompress it",
    b"\x28\xb5\x2f\xfd": "is compressed by Zstandard: decompress it",
    b"PK\x03\x04": "is a ZIP archive or a spreadsheet: export it as CSV",
    b"PAR1": "is a Parquet file: let its name end in .parquet",
    b"\xff\xfe": "is in UTF-16 or UTF-32: export it as UTF-8",
    b"\xfe\xff": "is in UTF-16: export it as UTF-8",
}
"""First bytes of files that are no CSV, and what to do with them."""

MAX_NAME_CHARS = 200
"""A column's name may have so many characters: a longer one comes from a stray quote."""

_REPEATED_HEADER = "the row repeats the header: it comes from joined files"

_EXACT_BELOW: Mapping[pa.DataType, float] = {pa.float16(): 2.0**11, pa.float32(): 2.0**24}


def read_chunks(file: Path) -> Generator[Chunk, None, None]:
    """Reads a file, ``CHUNK_ROWS`` rows at a time. A file without rows gives no chunk.

    Raises:
        DataRejected: the file does not exist, is not readable, or is neither CSV nor Parquet.
    """
    with _refusing(file):
        yield from _read_parquet(file) if is_parquet(file) else _read_csv(file)


def column_names(file: Path) -> tuple[str, ...]:
    """Reads the names of a file's columns; a column without a name has an empty one.

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
    # A pipe cannot be read twice, and waits for a writer for ever.
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise DataRejected(file, "it is a pipe or a device: give a file")
    try:
        yield
    except OSError as error:
        raise DataRejected(file, error.strerror or _one_line(error)) from error
    except (csv.Error, pa.ArrowException) as error:
        raise DataRejected(file, f"cannot be read: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _names_of_csv(file: Path) -> list[str]:
    _check_signature(file)
    with file.open("rb") as data, _as_text(data) as text:
        return _header(file, split_rows(text))


def _check_signature(file: Path) -> None:
    with file.open("rb") as data:
        first = data.read(max(map(len, _SIGNATURES)))
    for signature, advice in _SIGNATURES.items():
        if first.startswith(signature):
            raise DataRejected(file, f"it {advice}")


def _read_csv(file: Path) -> Iterator[Chunk]:
    _check_signature(file)
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
    names = _as_names(header.cells)
    _check_names(file, names)
    return names


def _as_names(cells: Sequence[str]) -> list[str]:
    # Joined files have a byte order mark before each part.
    return [cell.strip(" \t\r\n\ufeff") for cell in cells]


def _check_names(file: Path, names: Sequence[str]) -> None:
    if any(map(_NOT_TEXT.search, names)):
        reason = "its first line has control characters or is not UTF-8; it may be in UTF-16"
        raise DataRejected(file, reason)
    if not any(names):
        raise DataRejected(file, "it has no header line that names the columns")
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DataRejected(file, f"its header names {repeated[0]!r} twice")
    if any(len(name) > MAX_NAME_CHARS for name in names):
        raise DataRejected(file, f"a column's name is longer than {MAX_NAME_CHARS} characters")


def _csv_chunk(rows: Sequence[CsvRow], names: Sequence[str], share_read: float) -> Chunk:
    faults = [_fault_of(row, names) for row in rows]
    complete = [row for row, fault in zip(rows, faults, strict=True) if fault is None]
    named = [(i, name) for i, name in enumerate(names) if name]
    return Chunk(
        lines=[row.line for row in complete],
        columns={name: known(row.cells[i] for row in complete) for i, name in named},
        misshapen=[fault for fault in faults if fault is not None],
        share_read=share_read,
        spans=[(row.line, row.n_lines) for row in rows if row.n_lines > 1],
    )


def _fault_of(row: CsvRow, names: Sequence[str]) -> Reject | None:
    if row.fault:
        return Reject(row.line, row.fault, value=printable(row.shown))
    if len(row.cells) != len(names):
        reason = f"the row has {len(row.cells)} cells, the header {len(names)}"
        return Reject(row.line, reason, value=shown(",".join(row.cells)))
    # The last cell first: it seldom has the column's name.
    if row.cells[-1].strip() == names[-1] and _as_names(row.cells) == names:
        return Reject(row.line, _REPEATED_HEADER, value=shown(",".join(row.cells)))
    return None


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
            columns = {name: _cells(batch.column(name)) for name in batch.schema.names if name}
            lines = range(line, line + len(batch))
            line = lines.stop
            yield Chunk(lines, columns, (), (line - 1) / parquet.metadata.num_rows)


def _cells(column: pa.Array) -> Sequence[object]:
    """Converts to Python values: NaN becomes ``None``, times become epoch seconds."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        # Microseconds hold every date; unsafe, because nanoseconds lose digits.
        micros = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
        return Times(None if value is None else value / 1e6 for value in micros)
    if pa.types.is_floating(column.type):
        known_floats = (None if cell != cell else cell for cell in column.to_pylist())
        return Floats(known_floats, _EXACT_BELOW.get(column.type, EXACT_BELOW))
    return known(column.to_pylist())
