"""CSV and Parquet files are read in chunks."""

import bz2
import gzip
import lzma
from datetime import date, time
from os import mkfifo
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve_app.errors import DataRejected
from serve_app.loading import csv_and_parquet
from serve_app.loading.chunk import Floats, Times
from serve_app.loading.csv_and_parquet import MAX_NAME_CHARS, column_names, read_chunks
from serve_app.loading.csv_rows import MAX_LINE_CHARS
from serve_app.loading.rejects import Reject

FLOATS = {16: pa.float16(), 32: pa.float32(), 64: pa.float64()}


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_reads_csv_cells_as_texts_and_empty_ones_as_none(tmp_path: Path) -> None:
    file = write(tmp_path / "a.CSV", "\ufeffid, name ,\r\n1, Pan ,x\r\n2,,\r\n")
    (chunk,) = read_chunks(file)

    assert chunk.columns == {"id": ["1", "2"], "name": ["Pan", None]}
    assert chunk.share_read == 1.0


def test_knows_the_line_of_each_row(tmp_path: Path) -> None:
    (chunk,) = read_chunks(write(tmp_path / "a.csv", 'id,t\n1,"a\n\nb"\n\n2,x\n3\n4,y'))

    assert chunk.lines == [2, 6, 8]
    assert chunk.misshapen == [Reject(7, "the row has 1 cells, the header 2", value="3")]
    assert chunk.columns["t"] == ["a\n\nb", "x", "y"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_splits_a_file_into_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(csv_and_parquet, "CHUNK_ROWS", 2)
    file = tmp_path / f"a.{ending}"
    if ending == "csv":
        write(file, "id\na\nb\nc\n")
    else:
        pq.write_table(pa.table({"id": ["a", "b", "c"]}), file)
    chunks = list(read_chunks(file))

    assert [chunk.columns["id"] for chunk in chunks] == [["a", "b"], ["c"]]
    assert [line for chunk in chunks for line in chunk.lines] == (
        [2, 3, 4] if ending == "csv" else [1, 2, 3]
    )
    assert chunks[-1].share_read == 1.0


def test_bytes_that_are_not_utf_8_spoil_only_their_cell(tmp_path: Path) -> None:
    (chunk,) = read_chunks(write(tmp_path / "a.csv", b"id\n\xe4\nb\n"))
    assert chunk.columns["id"] == ["\udce4", "b"]


def test_reads_parquet_times_as_epoch_seconds_and_nan_as_none(tmp_path: Path) -> None:
    columns = {
        "stamp": pa.array([1_500, None], pa.timestamp("ms")),
        "zoned": pa.array([2_000_000_001, None], pa.timestamp("ns", "Asia/Tokyo")),
        "day": pa.array([date(1970, 1, 2), None]),
        "hour": pa.array([time(8), None]),
        "x": [float("nan"), 1.5],
        "tags": [["a"], None],
        "word": pa.array(["a", None]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    (chunk,) = read_chunks(tmp_path / "a.parquet")

    assert chunk.columns == {
        "stamp": [1.5, None],
        "zoned": [2.0, None],
        "day": [86_400.0, None],
        "hour": [time(8), None],
        "x": [None, 1.5],
        "tags": [["a"], None],
        "word": ["a", None],
    }
    assert isinstance(chunk.columns["stamp"], Times)


def test_reads_the_column_names(tmp_path: Path) -> None:
    assert column_names(write(tmp_path / "a.csv", "id,x\n1,2\n")) == ("id", "x")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "", "it has no header line"),
        ("a.csv", "\n\n", "it has no header line"),
        ("a.csv", "id,x,id\n1,2,3\n", "its header names 'id' twice"),
        ("a.csv", "i\x00d\x00,\x00", "has control characters or is not UTF-8; .* UTF-16"),
        ("a.csv", "id,n".encode("utf-16"), "is in UTF-16 or UTF-32: export it as UTF-8"),
        ("a.csv", b"\xfe\xff\x00i", "is in UTF-16: export it as UTF-8"),
        ("a.csv", gzip.compress(b"id\n1\n", mtime=0), "is compressed by gzip: decompress it"),
        ("a.csv", bz2.compress(b"id\n1\n"), "is compressed by bzip2: decompress it"),
        ("a.csv", lzma.compress(b"id\n1\n"), "is compressed by xz: decompress it"),
        ("a.csv", b"\x28\xb5\x2f\xfd\x24", "is compressed by Zstandard: decompress it"),
        ("a.csv", b"PK\x03\x04\x14", "is a ZIP archive or a spreadsheet: export it as CSV"),
        ("a.csv", b"PAR1\x15", "is a Parquet file: let its name end in .parquet"),
        ("a.csv", 'id,"x\na,b"\nc,d\n', "its header .*: a quoted cell spans lines that are rows"),
        ("a.csv", "id," + "x" * (MAX_NAME_CHARS + 1), "name is longer than 200 characters"),
        ("a.csv", 'id,"x\n1,2\n', "its header cannot be read: a quote opens and is not closed"),
        ("a.csv", "id\n" + "x" * MAX_LINE_CHARS, "cannot be read: line 2 has more than 16,777,216"),
        ("a.parquet", "id\n1\n", "cannot be read: Parquet"),
        ("a.xlsx", "id\n1\n", "its name ends neither in .csv nor in .parquet"),
    ],
)
def test_gives_the_reason_if_a_file_cannot_be_read(
    tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    file = write(tmp_path / name, content)
    with pytest.raises(DataRejected, match=reason) as raised:
        list(read_chunks(file))
    assert raised.value.file == file


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_refuses_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataRejected, match="No such file"):
        list(read_chunks(tmp_path / name))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_refuses_a_pipe(tmp_path: Path, name: str) -> None:
    mkfifo(tmp_path / name)
    with pytest.raises(DataRejected, match="a pipe or a device: give a file"):
        column_names(tmp_path / name)


def test_rejects_a_header_in_the_middle_of_joined_files(tmp_path: Path) -> None:
    part = "\ufeffid,x\n1,x\n"
    (chunk,) = read_chunks(write(tmp_path / "a.csv", part + part))
    assert chunk.columns == {"id": ["1", "1"], "x": ["x", "x"]}
    reason = "the row repeats the header: it comes from joined files"
    assert chunk.misshapen == [Reject(3, reason, value="\ufeffid,x")]


def test_leaves_out_columns_without_a_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"": [0], "id": ["a"]}), tmp_path / "a.parquet")
    for file in (tmp_path / "a.parquet", write(tmp_path / "a.csv", ",id\n0,a\n")):
        assert column_names(file) == ("", "id")
        (chunk,) = read_chunks(file)
        assert chunk.columns == {"id": ["a"]}


def test_a_column_of_floats_knows_which_integers_it_holds(tmp_path: Path) -> None:
    columns = {f"x{n}": pa.array([1.0], kind) for n, kind in FLOATS.items()}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    (chunk,) = read_chunks(tmp_path / "a.parquet")
    bounds = {
        name: cells.exact_below
        for name, cells in chunk.columns.items()
        if isinstance(cells, Floats)
    }
    assert bounds == {"x16": 2.0**11, "x32": 2.0**24, "x64": 2.0**53}


def test_names_the_rows_that_span_several_lines(tmp_path: Path) -> None:
    (chunk,) = read_chunks(write(tmp_path / "a.csv", 'id,x,y\n1,"a\nb\nc",2\n2,d,3\n'))
    assert chunk.spans == [(2, 3)]


def test_rejected_rows_are_shown_without_control_characters(tmp_path: Path) -> None:
    (chunk,) = read_chunks(write(tmp_path / "a.csv", 'id,x\n\x1b[31m,"a\n\0\0\n'))
    assert [reject.value for reject in chunk.misshapen] == [
        r'\x1b[31m,"a … spans 2 lines',
        r"\x00\x00",
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_refuses_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(DataRejected, match="directory"):
        list(read_chunks(tmp_path / name))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_may_have_no_rows(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    if ending == "csv":
        write(file, "id,x\n")
    else:
        pq.write_table(pa.table({"id": pa.array([], pa.string()), "x": []}), file)
    assert column_names(file) == ("id", "x")
    assert list(read_chunks(file)) == []


TEXTS = [" pan ", "\tpan\u00a0", "NULL", "\\N", "nan", "None", "NA", "n/a", " ", "none", "pan NULL"]
KNOWN = ["pan", "pan", *[None] * 7, "none", "pan NULL"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_blanks_and_words_for_missing_follow_one_rule(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    if ending == "csv":
        write(file, "".join(f"{cell},1\n" for cell in ["text", *TEXTS]))
    else:
        pq.write_table(pa.table({"text": TEXTS}), file)
    (chunk,) = read_chunks(file)
    assert chunk.columns["text"] == KNOWN
