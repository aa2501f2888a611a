"""A report before it is Markdown or HTML: sections of paragraphs, tables and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Attributes: head: of the columns; rows: cells as text, the first of each names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Attributes: name: of the plot; alt: what it shows, for who cannot see it."""

    name: str
    alt: str


Part = Paragraph | Table | Picture


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Page:
    """Attributes: good: whether the verdict is; headline, lead: the verdict."""

    title: str
    headline: str
    lead: str
    good: bool
    sections: Sequence[Section]
