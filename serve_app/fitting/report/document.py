"""Describes a report as sections of parts, and renders it as Markdown and as HTML."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

_STYLE = files("serve_app.fitting.report").joinpath("report.css").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: ``head`` names the columns, and the first cell of each of ``rows`` names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot by name; ``alt`` describes it for readers who cannot see it."""

    name: str
    alt: str


Part = str | Table | Picture
"""A text is a paragraph."""


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Document:
    """A report; ``headline`` and ``lead`` word the verdict, and a ``good`` one promotes the fit."""

    title: str
    headline: str
    lead: str
    good: bool
    sections: Sequence[Section]


def as_markdown(document: Document) -> str:
    """Pictures become references to ``<name>.png`` beside the file."""
    blocks = [
        f"# {escape_markdown(document.title)}",
        f"**{escape_markdown(document.headline)}**",
        escape_markdown(document.lead),
    ]
    for section in document.sections:
        blocks += [f"## {escape_markdown(section.title)}", *map(_markdown_part, section.parts)]
    return "\n\n".join(blocks) + "\n"


def escape_markdown(text: str) -> str:
    """Text in which neither Markdown nor HTML finds syntax; line breaks become spaces."""
    # Titles of items are user input: a `<` would start HTML, which Markdown lets through.
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", plain)


def _markdown_part(part: Part) -> str:
    if isinstance(part, str):
        return escape_markdown(part)
    if isinstance(part, Table):
        return _markdown_table(part)
    return f"![{escape_markdown(part.alt)}]({part.name}.png)"


def _markdown_table(table: Table) -> str:
    head, *rows = [[*map(escape_markdown, row)] for row in (table.head, *table.rows)]
    widths = [max(4, *map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    # Padded: the file is also read as it is, in a terminal.
    return "\n".join(f"| {' | '.join(_padded(row, widths))} |" for row in (head, rule, *rows))


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Cells of a row in their columns, the first to the left."""
    name, *figures = row
    right = (cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True))
    return [name.ljust(widths[0]), *right]


def as_html(document: Document, drawings: Mapping[str, str]) -> str:
    """Renders HTML that needs no other file; ``drawings`` has the pictures as SVG by name."""
    verdict = "good" if document.good else "bad"
    body = "\n".join(_html_section(section, drawings) for section in document.sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(document.title)}</title>
<style>
{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(document.title)}</h1>
<div class="verdict {verdict}">
<p class="headline">{escape(document.headline)}</p>
<p>{escape(document.lead)}</p>
</div>
{body}
</main>
</body>
</html>
"""


def _html_section(section: Section, drawings: Mapping[str, str]) -> str:
    anchor = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
    parts = "\n".join(_html_part(part, drawings) for part in section.parts)
    return f'<section id="{anchor}">\n<h2>{escape(section.title)}</h2>\n{parts}\n</section>'


def _html_part(part: Part, drawings: Mapping[str, str]) -> str:
    if isinstance(part, str):
        return f"<p>{escape(part)}</p>"
    if isinstance(part, Table):
        return _html_table(part)
    alt = escape(part.alt)
    return f'<figure role="img" aria-label="{alt}">\n{drawings[part.name]}</figure>'


def _html_table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    rows = "\n".join(map(_html_row, table.rows))
    # The wrapper scrolls by itself: on a phone the page must not become wider than the screen.
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n'
        "</table></div>"
    )


def _html_row(row: Sequence[str]) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
    return f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>'
