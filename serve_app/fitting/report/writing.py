"""Writes a report into a folder, as Markdown, HTML and JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from serve_app.fitting.report.document import as_html, as_markdown
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.figures import Figures, compute_figures
from serve_app.fitting.report.sections import write_document


def write_report(facts: Facts, folder: Path) -> None:
    """Writes ``report.md`` with its plots as PNG, ``report.html`` that needs no other file, and
    ``report.json`` with every figure. Equal facts give equal bytes.

    Without matplotlib the report has no plots, and says how to get them.

    Args:
        folder: must exist.
    """
    figures = compute_figures(facts)
    drawings = _write_plots(facts, figures, folder)
    document = write_document(facts, figures, frozenset(drawings))
    (folder / "report.md").write_text(as_markdown(document), encoding="utf-8")
    (folder / "report.html").write_text(as_html(document, drawings), encoding="utf-8")
    (folder / "report.json").write_text(_as_json(facts, figures), encoding="utf-8")


def _write_plots(facts: Facts, figures: Figures, folder: Path) -> dict[str, str]:
    """Writes every plot as PNG, and returns each as SVG by its name."""
    if find_spec("matplotlib") is None:
        return {}
    # Both import matplotlib, which only the extra `report` installs.
    from serve_app.fitting.report.drawing import as_png, as_svg, use_style
    from serve_app.fitting.report.plots import PLOTS

    drawings = {}
    # Drawing and writing must share the style: matplotlib reads its settings in both.
    with use_style():
        for name, draw in PLOTS.items():
            sheet = draw(facts, figures)
            if sheet is not None:
                (folder / f"{name}.png").write_bytes(as_png(sheet))
                drawings[name] = as_svg(sheet, name)
    return drawings


def _as_json(facts: Facts, figures: Figures) -> str:
    report = {
        "verdict": asdict(facts.verdict),
        "data": {
            "first_at": facts.first_at,
            **asdict(facts.split),
            "n_users": facts.n_users,
            "n_items": facts.n_items,
            "n_interactions": facts.n_interactions,
            "n_test_users": len(facts.results),
            "untried": asdict(facts.untried),
        },
        **asdict(figures),
        # Keys of JSON objects are strings: order and metric become one.
        "changes": {
            " ".join(key).strip(): asdict(change) for key, change in figures.changes.items()
        },
        "tuned": dict(facts.tuned),
        "leaks": [asdict(leak) for leak in facts.leaks],
        "intervals": {"n_resamples": facts.n_resamples, "seed": facts.seed},
    }
    return json.dumps(_plain(report), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """Named tuples become objects, and figures are rounded."""
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    # More digits than anybody reads, fewer than the noise of another machine's sums reaches.
    return round(value, 6) if isinstance(value, float) else value
