"""Figures as they are written in the cells of tables."""

from collections.abc import Iterator
from datetime import UTC, datetime

from serve_app.fitting.report.figures import Change
from serve_app.measuring.bootstrap import Interval

MEASURES = {
    "ndcg_at_10": "NDCG@10",
    "recall_at_10": "recall@10",
    "recall_at_20": "recall@20",
    "hit_rate_at_10": "hit rate@10",
    "mrr_at_10": "MRR@10",
}
"""Measures of single lists as they are written."""


def what(name: str, measure: str) -> str:
    if measure == "n_users":
        return "test users"
    return f"{name} {MEASURES.get(measure, measure.replace('_at_', '@'))}".strip()


def change(each: Change) -> Iterator[str]:
    counted = float(each.before).is_integer() and float(each.after).is_integer()
    yield f"{each.before:,.0f}" if counted else f"{each.before:.4f}"
    yield f"{each.after:,.0f}" if counted else f"{each.after:.4f}"
    yield f"{each.after / each.before - 1:+.1%}" if each.before else "–"


def interval(each: Interval | None, *, signed: bool = False, digits: int = 4) -> str:
    if each is None:
        return "–"
    sign = "+" if signed else ""
    mean, low, high = (f"{value:{sign}.{digits}f}" for value in each)
    return f"{mean} ({low} to {high})" if signed else f"{mean} ({low}–{high})"


def day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()
