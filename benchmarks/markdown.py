"""Formats tables and sections as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """
    Attributes:
        rows: each as long as ``columns``.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        """Align the first column to the left, the others to the right."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.columns, rule, *self.rows))


@dataclass(frozen=True, slots=True)
class Section:
    """
    Attributes:
        parts: paragraphs and tables, in order.
    """

    title: str
    parts: Sequence[str | Table]

    def __str__(self) -> str:
        return "\n\n".join([f"## {self.title}", *map(str, self.parts)])
