"""A page as one HTML file that needs nothing else: plots are drawn into it."""

import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files

from serve_app.fitting.report.page import Page, Paragraph, Part, Section, Table

_STYLE = files("serve_app.fitting.report").joinpath("report.css").read_text(encoding="utf-8")


def as_html(page: Page, drawings: Mapping[str, str]) -> str:
    """
    Args:
        drawings: each picture as SVG by its name.
    """
    verdict = "good" if page.good else "bad"
    body = "\n".join(_section(section, drawings) for section in page.sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(page.title)}</title>
<style>
{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(page.title)}</h1>
<div class="verdict {verdict}">
<p class="headline">{escape(page.headline)}</p>
<p>{escape(page.lead)}</p>
</div>
{body}
</main>
</body>
</html>
"""


def _section(section: Section, drawings: Mapping[str, str]) -> str:
    anchor = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
    parts = "\n".join(_part(part, drawings) for part in section.parts)
    return f'<section id="{anchor}">\n<h2>{escape(section.title)}</h2>\n{parts}\n</section>'


def _part(part: Part, drawings: Mapping[str, str]) -> str:
    if isinstance(part, Paragraph):
        return f"<p>{escape(part.text)}</p>"
    if isinstance(part, Table):
        return _table(part)
    alt = escape(part.alt)
    return f'<figure role="img" aria-label="{alt}">\n{drawings[part.name]}</figure>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    rows = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n'
        "</table></div>"
    )
