"""Formats tables and sections as Markdown."""

from collections.abc import Mapping, Sequence
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


def between(figure: Mapping[str, float], digits: int = 2) -> str:
    """Format a figure with its interval, such as "1.75 (1.62–1.89)"."""
    mean, low, high = (f"{figure[name]:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} ({low}–{high})"
