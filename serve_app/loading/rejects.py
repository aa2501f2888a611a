"""Notes why rows are rejected, with the column and the cell, and describes them."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

_SHOWN_CHARS = 100


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
    return " ".join(text[:_SHOWN_CHARS].split())


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
