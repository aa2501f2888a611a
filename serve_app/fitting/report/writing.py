"""Writes a report into a folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serve_app.fitting.report.canvas import as_png, as_svg, style
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.figures import Figures, figures_of
from serve_app.fitting.report.html import as_html
from serve_app.fitting.report.markdown import as_markdown
from serve_app.fitting.report.plots import PLOTS
from serve_app.fitting.report.sections import page_of

_DIGITS = 6


def write_report(facts: Facts, folder: Path) -> None:
    """
    Writes ``report.md`` with its plots as PNG, ``report.html`` that needs no other file, and
    ``report.json`` with every figure. The same facts give the same bytes.

    Args:
        folder: must exist.
    """
    figures = figures_of(facts)
    drawings = {}
    with style():
        for name, plot in PLOTS.items():
            drawing = plot(facts, figures)
            if drawing is not None:
                (folder / f"{name}.png").write_bytes(as_png(drawing))
                drawings[name] = as_svg(drawing, name)
    page = page_of(facts, figures, frozenset(drawings))
    (folder / "report.md").write_text(as_markdown(page), encoding="utf-8")
    (folder / "report.html").write_text(as_html(page, drawings), encoding="utf-8")
    (folder / "report.json").write_text(_as_json(facts, figures), encoding="utf-8")


def _as_json(facts: Facts, figures: Figures) -> str:
    document = {
        "verdict": asdict(facts.verdict),
        "data": {
            "first_at": facts.first_at,
            "train_at": facts.split.train_at,
            "evaluate_at": facts.split.evaluate_at,
            "end_at": facts.split.end_at,
            "n_users": facts.n_users,
            "n_items": facts.n_items,
            "n_interactions": facts.n_interactions,
            "n_test_users": len(facts.measured),
        },
        **asdict(figures),
        "changes": _changes(figures),
        "tuned": dict(facts.tuned),
        "leaks": [asdict(leak) for leak in facts.leaks],
        "intervals": {"n_resamples": facts.n_resamples, "seed": facts.seed},
    }
    return json.dumps(_plain(document), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _changes(figures: Figures) -> dict[str, Any]:
    return {
        " ".join((name, measure)).strip(): asdict(each)
        for (name, measure), each in figures.changes.items()
    }


def _plain(value: Any) -> Any:
    """Records as objects, and figures with as many digits as anybody reads."""
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return round(value, _DIGITS) if isinstance(value, float) else value
