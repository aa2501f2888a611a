"""Says in sentences what a load understands of a file, and what looks odd in its good rows."""

from collections.abc import Iterator, Sequence
from typing import Any

from serve_app.database.bulk_load import Kind
from serve_app.loading.chunk import Chunk
from serve_app.loading.rows import OPTIONAL, REQUIRED


def notes_on_columns(kind: Kind, names: Sequence[str]) -> Iterator[str]:
    """Says which columns are not used, and what a missing one means.

    Args:
        names: of the file's columns; empty for a column without a name.
    """
    if kind == "interactions":
        unused = [name for name in names if name and name not in (*REQUIRED[kind], *OPTIONAL)]
        if unused:
            yield f"not used: {', '.join(unused)} (known are {', '.join(OPTIONAL)})"
        if "type" not in names:
            yield "no column 'type': every row counts as a purchase"
    if n_nameless := sum(not name for name in names):
        yield f"not used: {n_nameless} columns without a name"


class OddRows:
    """Counts good rows that look odd."""

    def __init__(self, columns: Sequence[str], now_at: float) -> None:
        """
        Args:
            columns: of the rows, after their line.
            now_at: epoch seconds.
        """
        self._now_at = now_at
        self._created_at = 1 + columns.index("created_at") if "created_at" in columns else None
        self._n_ahead = self._n_long = 0
        self._longest = (0, 0)

    def add(self, chunk: Chunk, rows: Sequence[Sequence[Any]]) -> None:
        """Counts the good rows of a chunk."""
        self._n_long += len(chunk.spans)
        self._longest = max([self._longest, *chunk.spans], key=lambda span: span[1])
        if self._created_at is not None:
            times = (row[self._created_at] for row in rows)
            self._n_ahead += sum(at is not None and at > self._now_at for at in times)

    def in_words(self) -> Iterator[str]:
        """One sentence for each kind of odd row."""
        if self._n_ahead:
            yield f"{self._n_ahead} rows have a created_at in the future"
        if self._n_long:
            line, n_lines = self._longest
            yield (
                f"{self._n_long} rows have line ends in quoted cells; the longest spans"
                f" {n_lines} lines from line {line} on"
            )
