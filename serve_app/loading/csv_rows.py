"""Splits a CSV text into rows, strictly: a stray quote spoils its own line and no other.

Python's ``csv`` parses, in its strict mode. A quoted cell may span several lines. A quote that
nobody closes would take all lines up to the next quote for one cell: such a row is rejected, and
the lines after its first are read again as rows of their own.
"""

import csv
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, TextIO

MAX_CELL_LINES = 1_000
"""A quoted cell may span so many lines."""
MAX_CELL_CHARS = csv.field_size_limit()
"""A cell may have so many characters: the limit that Python's parser declares."""
MAX_LINE_CHARS = 1 << 24
"""A line may have so many characters. A longer one is no line of a table."""

UNCLOSED = "a quote opens and is not closed where its cell ends"
ROWS_IN_A_CELL = "a quoted cell spans lines that are rows by themselves"
TOO_LONG = f"a cell is longer than {MAX_CELL_CHARS:,} characters"


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
    """

    line: int
    cells: list[str]
    fault: str = ""
    shown: str = ""


def split_rows(text: TextIO) -> Iterator[CsvRow]:
    """Yields the rows that are not blank; the first is the header.

    Args:
        text: opened with ``newline=""``. Lines may end with LF, CRLF or CR.

    Raises:
        LineTooLong: a line has more than ``MAX_LINE_CHARS`` characters.
    """
    lines = _Lines(text)
    reader = csv.reader(lines, strict=True)
    n_columns = 0
    while lines.begin_row():
        try:
            cells = next(reader)
            fault = ROWS_IN_A_CELL if _are_rows(lines.taken[1:], n_columns) else ""
        except LineTooLong:
            raise
        except csv.Error as error:
            cells, fault = [], _fault_of(error, len(lines.taken))
        if fault:
            yield CsvRow(lines.first, [], fault, _shown(lines.taken))
            lines.give_back()
            reader = csv.reader(lines, strict=True)
        elif any(map(str.strip, cells)):
            n_columns = n_columns or len(cells)
            yield CsvRow(lines.first, cells)


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
    is_long = n_lines == 1 and "field larger than" in str(error)
    return TOO_LONG if is_long else UNCLOSED


def _are_rows(lines: list[str], n_columns: int) -> bool:
    """True if every line would be a whole row, were its quotes texts like any other.

    Two stray quotes make one cell of all lines between them. Prose has a space after a comma, and
    seldom as many commas in each of its lines as the header.
    """
    if not lines or n_columns < 2:
        return False
    return all(_is_row(line.split(","), n_columns) for line in lines)


def _is_row(cells: list[str], n_columns: int) -> bool:
    return len(cells) == n_columns and not any(cell.startswith(" ") for cell in cells)


def _shown(lines: list[str]) -> str:
    beginning = lines[0].rstrip("\r\n")[:80]
    return f"{beginning} … spans {len(lines)} lines" if len(lines) > 1 else beginning
