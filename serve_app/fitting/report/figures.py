"""Every figure of a report, computed once; plots, pages and JSON show the same ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from serve_app.arrays.columns import MISSING
from serve_app.fitting.judging.measured import Measured, coverage, means, per_user
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.groups import (
    AgeGroup,
    Group,
    SourceShare,
    by_activity,
    by_age,
    source_shares,
)
from serve_app.measuring.bootstrap import Interval, interval, resampled_means

N_GAINS = 20
_N_TITLES = 10


@dataclass(frozen=True, slots=True)
class Recommended:
    """Attributes: n_lists: whose first ten hold the item; n_hits: of these, who bought it."""

    title: str
    n_lists: int
    n_hits: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Attributes: predicted, observed: means over the n candidates of the bin."""

    predicted: float
    observed: float
    n: int


@dataclass(frozen=True, slots=True)
class Change:
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Figures:
    """
    Attributes:
        orders: measures of every order by its name.
        coverage: share of the items in anybody's first twenty, by order.
        candidate_recall: share of what users bought that was among their candidates.
        activity, ages, sources: of the main variant and of what it is compared with.
        gains: by variant, shares of the features that gain most, largest first.
        calibration: by variant whose scores are log-odds of being wanted.
        recommended: items that most lists of the main variant hold.
        changes: since the last bundle, by order and measure; counts of the data have no order.
    """

    orders: Mapping[str, Mapping[str, Interval]]
    coverage: Mapping[str, float]
    candidate_recall: Interval
    activity: tuple[Group, ...]
    ages: tuple[AgeGroup, ...]
    sources: tuple[SourceShare, ...]
    gains: Mapping[str, Mapping[str, float]]
    calibration: Mapping[str, tuple[Bin, ...]]
    recommended: tuple[Recommended, ...]
    changes: Mapping[tuple[str, str], Change]


def figures_of(facts: Facts) -> Figures:
    measured = facts.measured
    n_listed = int(facts.items.listed.sum())
    orders = _orders(facts)
    return Figures(
        orders={name: orders[name] for name in measured.names},
        coverage={name: coverage(measured, name, n_listed) for name in measured.names},
        candidate_recall=orders["candidates"]["recall"],
        activity=by_activity(facts),
        ages=by_age(facts),
        sources=source_shares(facts),
        gains={name: _shares(gains) for name, gains in facts.gains.items()},
        calibration=_calibration(measured),
        recommended=_recommended(facts),
        changes=_changes(facts, means(measured, n_listed)),
    )


def _orders(facts: Facts) -> dict[str, dict[str, Interval]]:
    """Intervals of all measures of all orders, with the same resampled users."""
    columns = {
        (name, measure): values
        for name in facts.measured.names
        for measure, values in per_user(facts.measured, name).items()
    }
    columns["candidates", "recall"] = facts.measured.candidate_recall
    values = np.column_stack(list(columns.values()))
    resampled = resampled_means(values, facts.n_resamples, facts.seed)
    found: dict[str, dict[str, Interval]] = {}
    for i, (name, measure) in enumerate(columns):
        found.setdefault(name, {})[measure] = interval(values[:, i].mean(), resampled[:, i])
    return found


def _shares(gains: Mapping[str, float]) -> dict[str, float]:
    total = sum(gains.values()) or 1.0
    best = sorted(gains.items(), key=lambda each: (-each[1], each[0]))[:N_GAINS]
    return {name: gain / total for name, gain in best if gain > 0}


def _calibration(measured: Measured) -> dict[str, tuple[Bin, ...]]:
    return {
        name: tuple(
            Bin(float(predicted / n), float(observed / n), int(n))
            for predicted, observed, n in bins
            if n
        )
        for name, bins in zip(measured.calibrated, measured.calibration, strict=True)
    }


def _recommended(facts: Facts) -> tuple[Recommended, ...]:
    lists = facts.measured.lists_of(facts.main)[:, :10]
    hits = facts.measured.hits_of(facts.main)[:, :10]
    n_rows = len(facts.items.listed)
    n_lists = np.bincount(lists[lists != MISSING], minlength=n_rows)
    n_hits = np.bincount(lists[hits], minlength=n_rows)
    best = np.argsort(-n_lists, kind="stable")[:_N_TITLES]
    return tuple(
        Recommended(facts.items.titles.at(row), int(n_lists[row]), int(n_hits[row]))
        for row in best.tolist()
        if n_lists[row]
    )


def _changes(facts: Facts, now: Mapping[str, Mapping[str, float]]) -> dict[tuple[str, str], Change]:
    previous = facts.previous
    if previous is None:
        return {}
    counts = {
        ("", "users"): Change(previous.n_users, facts.n_users),
        ("", "items"): Change(previous.n_items, facts.n_items),
        ("", "interactions"): Change(previous.n_interactions, facts.n_interactions),
    }
    earlier = {
        **previous.metrics,
        **{name: model.metrics for name, model in previous.models.items()},
    }
    metrics = {
        (name, measure): Change(earlier[name][measure], value)
        for name, measures in now.items()
        for measure, value in measures.items()
        if measure in earlier.get(name, {})
    }
    return counts | metrics
