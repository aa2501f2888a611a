"""Splits a CSV text into rows, strictly: a stray quote spoils its own line and no other.

Python's ``csv`` parses, in its strict mode. A quoted cell may span several lines. A quote that
nobody closes would take all lines up to the next quote for one cell: such a row is rejected, and
the lines after its first are read again as rows of their own.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TextIO

MAX_CELL_LINES = 1_000
"""A quoted cell may span so many lines."""
MAX_CELL_CHARS = csv.field_size_limit()
"""A cell may have so many characters: the limit that Python's parser declares."""
MAX_LINE_CHARS = 1 << 24
"""A line may have so many characters. A longer one is no line of a table."""

UNCLOSED = "a quote opens and is not closed where its cell ends"
ENDLESS = (
    f"a quoted cell does not end within {MAX_CELL_LINES:,} lines and {MAX_CELL_CHARS:,} characters"
)
ROWS_IN_A_CELL = "a quoted cell spans lines that are rows by themselves"
TOO_LONG_TEXT = f"is longer than {MAX_CELL_CHARS:,} characters"
TOO_LONG = f"a cell {TOO_LONG_TEXT}"


class LineTooLong(csv.Error):
    """A line exceeds ``MAX_LINE_CHARS``."""


class _TooManyLines(csv.Error):
    """A cell exceeds ``MAX_CELL_LINES``."""


class CsvRow(NamedTuple):
    """
    Attributes:
        line: the first line of the row; the first of the text is 1.
        cells: empty for a rejected row.
        fault: why the row is rejected; empty for a good one.
        shown: the beginning of a rejected row, and the number of lines that it would span.
        n_lines: number of lines that the row spans.
    """

    line: int
    cells: list[str]
    fault: str = ""
    shown: str = ""
    n_lines: int = 1


def split_rows(text: TextIO) -> Iterator[CsvRow]:
    """Yields the rows that are not blank; the first is the header.

    Args:
        text: opened with ``newline=""``. Lines may end with LF, CRLF or CR.

    Raises:
        LineTooLong: a line has more than ``MAX_LINE_CHARS`` characters.
    """
    lines = _Lines(text)
    reader = _parse(lines)
    header = ""
    n_columns = 0
    while lines.begin_row():
        try:
            cells = next(reader)
            # The header itself has as many columns as it has cells.
            n_expected = n_columns or len(cells)
            fault = ROWS_IN_A_CELL if _are_rows(lines.taken, n_expected, header) else ""
        except LineTooLong:
            raise
        except csv.Error as error:
            cells, fault = [], _fault_of(error, len(lines.taken))
        if fault:
            yield CsvRow(lines.first, [], fault, _shown(lines.taken))
            lines.give_back()
            reader = _parse(lines)
        elif any(map(str.strip, cells)):
            n_columns, header = n_columns or len(cells), header or lines.taken[0]
            yield CsvRow(lines.first, cells, n_lines=len(lines.taken))


def _parse(lines: Iterator[str]) -> Iterator[list[str]]:
    # Blanks around a cell do not count: a quote after one opens a quoted cell.
    return csv.reader(lines, strict=True, skipinitialspace=True)


class _Lines:
    """Gives lines to the parser, and takes back those that a row should not have taken.

    Attributes:
        first: number of the row's first line.
        taken: lines of the row so far.
    """

    def __init__(self, text: TextIO) -> None:
        self.first = 1
        self.taken: list[str] = []
        self._text = text
        self._again: deque[str] = deque()

    def begin_row(self) -> bool:
        """Forgets the lines of the row before; false at the end of the text."""
        self.first += len(self.taken)
        self.taken = []
        if not self._again and (line := self._text.readline(MAX_LINE_CHARS)):
            self._again.append(line)
        return bool(self._again)

    def give_back(self) -> None:
        """Leaves the row its first line alone."""
        self._again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) == MAX_CELL_LINES:
            raise _TooManyLines
        line = self._again.popleft() if self._again else self._text.readline(MAX_LINE_CHARS)
        if len(line) == MAX_LINE_CHARS:
            raise LineTooLong(f"line {self.first} has more than {MAX_LINE_CHARS:,} characters")
        if not line:
            raise StopIteration
        self.taken.append(line)
        return line


def _fault_of(error: csv.Error, n_lines: int) -> str:
    is_long = "field larger than" in str(error)
    if is_long and n_lines == 1:
        return TOO_LONG
    return ENDLESS if is_long or isinstance(error, _TooManyLines) else UNCLOSED


def _are_rows(lines: Sequence[str], n_columns: int, header: str) -> bool:
    """True if the lines look like rows whose quotes are texts like any other.

    Two stray quotes make one cell of all lines between them. The line of each quote is a whole row
    then, while a true cell cuts its row into two lines. Half of the lines between may be anything:
    some of them may be bad rows. Prose has a space after a comma, and seldom as many commas as the
    header.
    """
    if len(lines) == 1 or _n_cells(lines[0]) != n_columns:
        return False
    spaced = ", " in header
    *between, last = (
        _is_row(line.split(","), n_columns, spaced=spaced) for line in lines[1:] if line.strip()
    )
    return last and 2 * sum(between) >= len(between)


def _n_cells(line: str) -> int:
    """Number of cells of a line, were the quote that it does not close a text like any other."""
    (cells,) = csv.reader([line], skipinitialspace=True)
    return len(cells) + cells[-1].count(",")


def _is_row(cells: Sequence[str], n_columns: int, *, spaced: bool) -> bool:
    return len(cells) == n_columns and (spaced or not any(cell.startswith(" ") for cell in cells))


def _shown(lines: Sequence[str]) -> str:
    beginning = lines[0].rstrip("\r\n")[:80]
    return f"{beginning} … spans {len(lines)} lines" if len(lines) > 1 else beginning
