"""Writes figures, intervals and days as the text of table cells."""

from collections.abc import Iterator
from datetime import UTC, datetime

from serve_app.fitting.report.figures import Change
from serve_app.measuring.bootstrap import Interval

METRIC_NAMES = {
    "ndcg_at_10": "NDCG@10",
    "recall_at_10": "recall@10",
    "recall_at_20": "recall@20",
    "hit_rate_at_10": "hit rate@10",
    "mrr_at_10": "MRR@10",
}
"""Names for readers, by the name in the manifest."""


def write_metric(order: str, metric: str) -> str:
    if metric == "n_users":
        return "test users"
    return f"{order} {METRIC_NAMES.get(metric, metric.replace('_at_', '@'))}".strip()


def write_change(change: Change) -> Iterator[str]:
    """Yields the value before, the value now, and the relative change."""
    is_count = float(change.before).is_integer() and float(change.after).is_integer()
    yield f"{change.before:,.0f}" if is_count else f"{change.before:.4f}"
    yield f"{change.after:,.0f}" if is_count else f"{change.after:.4f}"
    yield f"{change.after / change.before - 1:+.1%}" if change.before else "–"


def write_interval(value: Interval | None, *, signed: bool = False, digits: int = 4) -> str:
    if value is None:
        return "–"
    sign = "+" if signed else ""
    mean, low, high = (f"{number:{sign}.{digits}f}" for number in value)
    # Between two signs a dash would be read as a third one.
    return f"{mean} ({low} to {high})" if signed else f"{mean} ({low}–{high})"


def write_day(at: float) -> str:
    """Day in UTC of a moment ``at``, epoch seconds."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()
