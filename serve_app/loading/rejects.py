"""Notes why rows are rejected, with the column and the cell, and describes them."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

_SHOWN_CHARS = 100

_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Control characters: a terminal would obey them."""


class Reject(NamedTuple):
    """A rejected row: its line, the reason, and the cell that is to blame, where one cell is."""

    line: int
    reason: str
    column: str = ""
    value: str = ""


class Faults(dict[int, Reject]):
    """Position of a row in its chunk → the first reason to reject it, still without its line."""

    def note(self, i: int, reason: str, column: str, cell: object) -> None:
        """Notes a fault of the row at position ``i``, unless it has one already."""
        if i not in self:
            self[i] = Reject(0, reason, column, shown(cell))


def shown(cell: object) -> str:
    """The beginning of a cell, on one line."""
    text = "" if cell is None else str(cell)
    return printable(" ".join(text[:_SHOWN_CHARS].split()))


def printable(text: str) -> str:
    """The text with escapes, such as ``\\x00``, for its control characters."""
    return _NOT_PRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class RejectCounts:
    """Counts rejected rows by reason, and keeps the first of each.

    Attributes:
        by_reason: number of rows.
    """

    def __init__(self) -> None:
        self.by_reason: Counter[str] = Counter()
        self._first: dict[str, Reject] = {}

    def add(self, rejects: Iterable[Reject]) -> None:
        """Counts further rejects."""
        for reject in rejects:
            self.by_reason[reject.reason] += 1
            self._first.setdefault(reject.reason, reject)

    def total(self) -> int:
        """The number of rejected rows."""
        return self.by_reason.total()

    def in_words(self) -> str:
        """``3 × price is negative (line 7: "-1"), 1 × …``, most frequent first."""
        return ", ".join(
            f"{n} × {reason} ({_place(self._first[reason])})"
            for reason, n in self.by_reason.most_common()
        )


def _place(reject: Reject) -> str:
    return f'line {reject.line}: "{reject.value}"' if reject.value else f"line {reject.line}"
