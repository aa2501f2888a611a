"""A page as Markdown."""

import re

from serve_app.fitting.report.page import Page, Paragraph, Part, Table

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def as_markdown(page: Page) -> str:
    parts = [f"# {escaped(page.title)}", f"**{escaped(page.headline)}**", escaped(page.lead)]
    for section in page.sections:
        parts += [f"## {escaped(section.title)}", *map(_part, section.parts)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that neither Markdown nor HTML reads as anything else."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", plain)


def _part(part: Part) -> str:
    if isinstance(part, Paragraph):
        return escaped(part.text)
    if isinstance(part, Table):
        return _table(part)
    return f"![{escaped(part.alt)}]({part.name}.png)"


def _table(table: Table) -> str:
    aligned = ["---", *["---:"] * (len(table.head) - 1)]
    rows = [map(escaped, table.head), aligned, *(map(escaped, row) for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
