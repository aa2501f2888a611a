"""A stray quote spoils its own line and no other."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.loading import csv_rows
from serve_app.loading.csv_rows import (
    MAX_CELL_CHARS,
    MAX_LINE_CHARS,
    ROWS_IN_A_CELL,
    TOO_LONG,
    UNCLOSED,
    CsvRow,
    LineTooLong,
    split_rows,
)

HEADER = "item_id,title,price"


def rows_of(text: str) -> list[CsvRow]:
    return list(split_rows(StringIO(text, newline="")))


def table(*lines: str, newline: str = "\n") -> list[CsvRow]:
    header, *rows = rows_of(newline.join([HEADER, *lines]) + newline)
    assert header == CsvRow(1, HEADER.split(","))
    return rows


def good(rows: list[CsvRow]) -> dict[int, list[str]]:
    return {row.line: row.cells for row in rows if not row.fault}


def bad(rows: list[CsvRow]) -> dict[int, str]:
    return {row.line: row.fault for row in rows if row.fault}


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_reads_what_is_legal(newline: str) -> None:
    rows = table(
        'pan,"a ""round"" pan, large",1',
        "",
        f'pot,"a{newline}{newline}b, c{newline}d",2',
        '"jug",12" wide,3',
        '" cup ","",',
        newline=newline,
    )
    assert bad(rows) == {}
    assert good(rows) == {
        2: ["pan", 'a "round" pan, large', "1"],
        4: ["pot", f"a{newline}{newline}b, c{newline}d", "2"],
        8: ["jug", '12" wide', "3"],
        9: [" cup ", "", ""],
    }


def test_lines_without_any_cell_are_blank() -> None:
    assert good(table(",,", "   ", " , ,", "pan,Pan,1")) == {5: ["pan", "Pan", "1"]}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_quote_that_never_closes_takes_no_other_line(newline: str) -> None:
    rows = table("a,A,1", 'b,"12 inch pan,2', "c,C,3", "d,D,4", newline=newline)

    assert bad(rows) == {3: UNCLOSED}
    assert good(rows) == {2: ["a", "A", "1"], 4: ["c", "C", "3"], 5: ["d", "D", "4"]}
    (spoilt,) = (row for row in rows if row.fault)
    assert spoilt.shown == 'b,"12 inch pan,2 … spans 3 lines'


def test_a_quote_that_a_later_cell_seems_to_close_takes_no_other_line() -> None:
    rows = table('a,"A,1', "b,B,2", 'c,"C, large",3', "d,D,4")

    assert bad(rows) == {2: UNCLOSED}
    assert good(rows) == {3: ["b", "B", "2"], 4: ["c", "C, large", "3"], 5: ["d", "D", "4"]}


def test_two_stray_quotes_take_no_line_between_them() -> None:
    rows = table('a,"A,1', "b,B,2", 'c,C",3', "d,D,4")

    assert bad(rows) == {2: ROWS_IN_A_CELL}
    assert good(rows) == {3: ["b", "B", "2"], 4: ["c", 'C"', "3"], 5: ["d", "D", "4"]}


def test_every_stray_quote_of_a_file_is_named() -> None:
    rows = table('a,"A,1', "b,B,2", 'c,"C,3', 'd,"D" d,4', "e,E,5")

    assert bad(rows) == {2: UNCLOSED, 4: UNCLOSED, 5: UNCLOSED}
    assert good(rows) == {3: ["b", "B", "2"], 6: ["e", "E", "5"]}


def test_a_description_of_many_lines_with_commas_is_one_cell() -> None:
    text = "\n".join(f"soft, warm, line {n}" for n in range(500))
    rows = table(f'a,"{text}",1', "b,B,2")

    assert bad(rows) == {}
    assert good(rows) == {2: ["a", text, "1"], 502: ["b", "B", "2"]}


def test_a_cell_of_too_many_lines_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "MAX_CELL_LINES", 3)
    rows = table('a,"x\ny\nz",1', 'b,"w\nx\ny\nz",2', "c,C,3")

    assert bad(rows) == {5: UNCLOSED}
    assert good(rows)[2] == ["a", "x\ny\nz", "1"]
    assert good(rows)[9] == ["c", "C", "3"]


def test_a_cell_of_too_many_characters_is_not_read() -> None:
    rows = table("a," + "x" * (MAX_CELL_CHARS + 1) + ",1", "b,B,2")
    assert (bad(rows), good(rows)) == ({2: TOO_LONG}, {3: ["b", "B", "2"]})


def test_a_stray_quote_before_long_lines_takes_none_of_them() -> None:
    long = "x" * 60_000
    rows = table('a,"A,1', f"b,{long},2", f"c,{long},3", f"d,{long},4")

    assert bad(rows) == {2: UNCLOSED}
    assert [*good(rows)] == [3, 4, 5]


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(LineTooLong, match="line 2 has more than 16,777,216 characters"):
        table("x" * MAX_LINE_CHARS)


cells = st.text(st.sampled_from('ab ,"\n\r'), max_size=6)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=5))
def test_reads_what_python_writes(rows: list[list[str]]) -> None:
    text = StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["h", "i", "j"], *rows])
    found = rows_of(text.getvalue())[1:]
    # Lines that are rows by themselves cannot be told from those between two stray quotes.
    if ROWS_IN_A_CELL in bad(found).values():
        return
    assert bad(found) == {}
    assert [row.cells for row in found] == [row for row in rows if any(map(str.strip, row))]


@given(st.text(st.sampled_from('ab,"\n'), max_size=60))
def test_no_line_is_lost(text: str) -> None:
    rows = rows_of("h,i\n" + text)[1:]
    lines = text.split("\n")
    covered: set[int] = set()
    for row in rows:
        n_lines = 1 if row.fault else 1 + sum(cell.count("\n") for cell in row.cells)
        covered.update(range(row.line, row.line + n_lines))
    written = {n for n, line in enumerate(lines, start=2) if line.replace(",", "").strip('"')}
    assert written <= covered
