"""Computes every figure of a report once; plots, text and JSON show these figures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from serve_app.arrays.columns import MISSING
from serve_app.fitting.judging import window_results
from serve_app.fitting.judging.window_results import CANDIDATES, WindowResults, item_coverage
from serve_app.fitting.report import groups
from serve_app.fitting.report.facts import Facts
from serve_app.measuring.bootstrap import Interval

N_GAINS = 20


@dataclass(frozen=True, slots=True)
class Recommended:
    """An item in the first ten of ``n_lists`` lists; ``n_hits`` of their users wanted it."""

    title: str
    n_lists: int
    n_hits: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Mean probabilities, ``predicted`` and ``observed``, of the n candidates of a bin."""

    predicted: float
    observed: float
    n: int


@dataclass(frozen=True, slots=True)
class Change:
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers that a report shows, in tables and plots.

    Attributes:
        orders: metrics of every order by its name.
        coverage: by order, share of the items that are in at least one user's first twenty.
        candidate_recall: share of the wanted items that were among the user's candidates.
        activity, ages, sources: of the main variant and of the orders it is compared with.
        gains: by variant, the features with the largest shares of the gain, largest first.
        calibration: by variant whose scores of users with a history are log-odds of being wanted.
        recommended: items that most lists of the main variant hold.
        changes: since the last bundle, by order and metric; counts of the data have no order.
    """

    orders: Mapping[str, Mapping[str, Interval]]
    coverage: Mapping[str, float]
    candidate_recall: Interval
    activity: tuple[groups.ActivityGroup, ...]
    ages: tuple[groups.AgeGroup, ...]
    sources: tuple[groups.SourceShare, ...]
    gains: Mapping[str, Mapping[str, float]]
    calibration: Mapping[str, tuple[CalibrationBin, ...]]
    recommended: tuple[Recommended, ...]
    changes: Mapping[tuple[str, str], Change]


def compute_figures(facts: Facts) -> Figures:
    results, orders = facts.results, _intervals(facts)
    n_listed = int(facts.items.listed.sum())
    return Figures(
        orders={name: orders[name] for name in results.names},
        coverage={name: item_coverage(results, name, n_listed) for name in results.names},
        candidate_recall=orders[CANDIDATES]["recall"],
        activity=groups.group_by_activity(facts),
        ages=groups.group_by_age(facts),
        sources=groups.share_by_source(facts),
        gains={name: _largest_shares(gains) for name, gains in facts.gains.items()},
        calibration=_calibration(results),
        recommended=_most_recommended(facts),
        changes=_changes(facts, window_results.mean_metrics(results, n_listed)),
    )


def _intervals(facts: Facts) -> dict[str, dict[str, Interval]]:
    columns = {
        (name, metric): values
        for name in facts.results.names
        for metric, values in window_results.metrics_per_user(facts.results, name).items()
    }
    columns[CANDIDATES, "recall"] = facts.results.candidate_recall
    orders: dict[str, dict[str, Interval]] = {}
    for (name, metric), value in groups.intervals_of_means(columns, facts).items():
        orders.setdefault(name, {})[metric] = value
    return orders


def _largest_shares(gains: Mapping[str, float]) -> dict[str, float]:
    # A model without a single split has no gain at all; its shares are then zero, not NaN.
    total = sum(gains.values()) or 1.0
    # Ties go to the name that sorts first: equal facts must give equal bytes.
    largest = sorted(gains.items(), key=lambda gain: (-gain[1], gain[0]))[:N_GAINS]
    return {name: gain / total for name, gain in largest if gain > 0}


def _calibration(results: WindowResults) -> dict[str, tuple[CalibrationBin, ...]]:
    return {
        name: tuple(
            CalibrationBin(float(predicted / n), float(observed / n), int(n))
            for predicted, observed, n in bins
            if n
        )
        for name, bins in zip(results.calibrated, results.calibration, strict=True)
    }


def _most_recommended(facts: Facts) -> tuple[Recommended, ...]:
    lists = facts.results.lists_of(facts.main)[:, :10]
    hits = facts.results.hits_of(facts.main)[:, :10]
    n_rows = len(facts.items.listed)
    n_lists = np.bincount(lists[lists != MISSING], minlength=n_rows)
    n_hits = np.bincount(lists[hits], minlength=n_rows)
    # A stable sort gives ties to the smaller row, on every machine.
    first = np.argsort(-n_lists, kind="stable")[:10]
    return tuple(
        Recommended(facts.items.titles.at(row), int(n_lists[row]), int(n_hits[row]))
        for row in first.tolist()
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
    # The manifest keeps the metrics of variants with their models, those of other orders apart.
    models = {name: model.metrics for name, model in previous.models.items()}
    before = {**previous.metrics, **models}
    metrics = {
        (name, metric): Change(before[name][metric], value)
        for name, by_metric in now.items()
        for metric, value in by_metric.items()
        if metric in before.get(name, {})
    }
    return counts | metrics
