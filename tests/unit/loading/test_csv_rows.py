"""A stray quote spoils its own line and no other."""

import csv
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.loading import csv_rows
from serve_app.loading.csv_rows import (
    ENDLESS,
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


@pytest.mark.parametrize("between", [["b", "c,C,3"], ["b,B, large,2", "c,C,3"], ["c,C,3", ""]])
def test_a_bad_row_between_two_stray_quotes_hides_them_not(between: list[str]) -> None:
    rows = table('a,"A,1', *between, 'd,D",4', "e,E,5")

    assert bad(rows) == {2: ROWS_IN_A_CELL}
    last = 3 + len(between)
    assert good(rows)[last] == ["d", 'D"', "4"]
    assert good(rows)[last + 1] == ["e", "E", "5"]


def test_two_stray_quotes_take_no_line_of_a_file_with_blanks_after_commas() -> None:
    rows = rows_of('item_id, title, price\na, "A, 1\nb, B, 2\nc, C", 3\nd, D, 4\n')[1:]

    assert bad(rows) == {2: ROWS_IN_A_CELL}
    assert good(rows) == {3: ["b", "B", "2"], 4: ["c", 'C"', "3"], 5: ["d", "D", "4"]}


def test_two_stray_quotes_take_no_line_of_a_file_with_one_column() -> None:
    rows = rows_of('item_id\na\n"b\nc\nd"\ne\n')
    assert bad(rows) == {3: ROWS_IN_A_CELL}
    assert good(rows) == {1: ["item_id"], 2: ["a"], 4: ["c"], 5: ['d"'], 6: ["e"]}


def test_two_stray_quotes_in_a_header_take_no_line() -> None:
    rows = rows_of('item_id,"title,price\na,A,1\nb,B",2\nc,C,3\n')
    assert bad(rows) == {1: ROWS_IN_A_CELL}


def test_a_name_in_the_header_may_have_several_lines() -> None:
    assert rows_of('item_id,"size\n(cm)",title\n')[0].cells == ["item_id", "size\n(cm)", "title"]


def test_a_cell_before_others_may_hold_lines_that_look_like_rows() -> None:
    rows = table('a,"red,soft,1\nblue,hard,2",3', "b,B,2")
    assert good(rows) == {2: ["a", "red,soft,1\nblue,hard,2", "3"], 4: ["b", "B", "2"]}
    assert [row.n_lines for row in rows] == [2, 1]


def test_a_last_cell_may_hold_lines_that_look_like_rows() -> None:
    rows = table('a,1,"Nice\nred,soft,1\nblue,hard,2\nand more"', "b,2,B")
    assert bad(rows) == {}
    assert [row.n_lines for row in rows] == [4, 1]


def test_a_quote_after_a_blank_opens_a_cell() -> None:
    rows = table('a, "A, large", 1', 'b,\t12" wide, "2"')
    assert good(rows) == {2: ["a", "A, large", "1"], 3: ["b", '\t12" wide', "2"]}


def test_a_description_of_many_lines_with_commas_is_one_cell() -> None:
    text = "\n".join(f"soft, warm, line {n}" for n in range(500))
    rows = table(f'a,"{text}",1', "b,B,2")

    assert bad(rows) == {}
    assert good(rows) == {2: ["a", text, "1"], 502: ["b", "B", "2"]}


def test_a_cell_of_too_many_lines_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "MAX_CELL_LINES", 3)
    rows = table('a,"x\ny\nz",1', 'b,"w\nx\ny\nz",2', "c,C,3")

    assert bad(rows) == {5: ENDLESS}
    assert good(rows)[2] == ["a", "x\ny\nz", "1"]
    assert good(rows)[9] == ["c", "C", "3"]


def test_a_cell_of_too_many_characters_is_not_read() -> None:
    rows = table("a," + "x" * (MAX_CELL_CHARS + 1) + ",1", "b,B,2")
    assert (bad(rows), good(rows)) == ({2: TOO_LONG}, {3: ["b", "B", "2"]})


def test_a_stray_quote_before_long_lines_takes_none_of_them() -> None:
    long = "x" * 60_000
    rows = table('a,"A,1', f"b,{long},2", f"c,{long},3", f"d,{long},4")

    assert bad(rows) == {2: ENDLESS}
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
