"""Groups the results by activity of users, age of items, and source of recommendations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.ragged import owners
from serve_app.fitting.judging.window_results import FUSED, POPULARITY, ndcg_by_order
from serve_app.fitting.report.facts import Facts
from serve_app.measuring.bootstrap import Interval, interval, resampled_means
from serve_app.recommending.scoring.model_features import SOURCES

_Name = TypeVar("_Name")

K = 10

_ACTIVITY_STARTS = (0, 1, 3, 10, 30, 100)
"""The smallest number of counted interactions before the moment in each group of users."""

_AGES_DAYS = {
    "under a week": 7.0,
    "under a month": 30.0,
    "1–3 months": 90.0,
    "3–12 months": 365.0,
    "over a year": np.inf,
}
"""Age in days below which an item belongs to a group."""


@dataclass(frozen=True, slots=True)
class ActivityGroup:
    """Users with a similar number of counted interactions before their moment."""

    label: str
    n_users: int
    ndcg: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class AgeGroup:
    """Items of a similar age at the beginning of the window.

    Attributes:
        listed: share of all listed items.
        recommended: share of the first ten positions of the main variant.
        wanted: share of the items that users wanted.
        recall: by name of the order, share of the group's wanted items in the first ten.
    """

    label: str
    listed: float
    recommended: float
    wanted: float
    recall: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class SourceShare:
    """Shares of the main variant's first ten positions; several sources may offer one item.

    Attributes:
        recommended: of all positions, those whose item the source had offered.
        hit: of the positions that are hits, those whose item the source had offered.
        alone: of the positions that are hits, those whose item no other source had offered.
    """

    source: str
    recommended: float
    hit: float
    alone: float


def intervals_of_means(
    columns: Mapping[_Name, NDArray[np.float64]], facts: Facts
) -> dict[_Name, Interval]:
    """Computes the mean of each column, shape (n_users,), with its interval."""
    values = np.column_stack(list(columns.values()))
    # One call resamples all columns with the same users, which makes the intervals comparable.
    resampled = resampled_means(values, facts.n_resamples, facts.seed)
    return {name: interval(values[:, i].mean(), resampled[:, i]) for i, name in enumerate(columns)}


def group_by_activity(facts: Facts) -> tuple[ActivityGroup, ...]:
    ndcg = ndcg_by_order(facts.results, K)
    numbers = np.digitize(facts.results.n_past, _ACTIVITY_STARTS) - 1
    groups = []
    for number in np.unique(numbers).tolist():
        mask = numbers == number
        columns = {name: ndcg[name][mask] for name in _compared_orders(facts)}
        label, n_users = _activity_label(number), int(mask.sum())
        groups.append(ActivityGroup(label, n_users, intervals_of_means(columns, facts)))
    return tuple(groups)


def _compared_orders(facts: Facts) -> list[str]:
    """Names of the orders that are shown side by side in every group."""
    return [name for name in (facts.main, FUSED, POPULARITY) if facts.results.offers(name)]


def _activity_label(number: int) -> str:
    first, *later = _ACTIVITY_STARTS[number:]
    if not later:
        return f"{first}+"
    last = later[0] - 1
    return f"{first}" if first == last else f"{first}–{last}"


def group_by_age(facts: Facts) -> tuple[AgeGroup, ...]:
    results = facts.results
    labels = (*_AGES_DAYS, "unknown")
    # NaN has no defined bin: it is given one first and its group afterwards.
    ages = np.where(np.isnan(facts.items.age_days), np.inf, facts.items.age_days)
    groups = np.digitize(ages, list(_AGES_DAYS.values())[:-1])
    groups[np.isnan(facts.items.age_days)] = len(_AGES_DAYS)
    lists = results.lists_of(facts.main)[:, :K]
    listed, recommended, wanted = (
        _share_by_group(groups[rows], len(labels))
        for rows in (facts.items.listed, lists[lists != MISSING], results.relevant)
    )
    return tuple(
        AgeGroup(label, listed[i], recommended[i], wanted[i], _recall_in(facts, groups == i))
        for i, label in enumerate(labels)
        if wanted[i] or recommended[i]
    )


def _share_by_group(groups: NDArray[np.int64], n: int) -> list[float]:
    shares: list[float] = (np.bincount(groups, minlength=n) / max(len(groups), 1)).tolist()
    return shares


def _recall_in(facts: Facts, group: Mask) -> dict[str, Interval]:
    """Share of the wanted items of a group of rows that stood in the first ten, by order."""
    results, names = facts.results, _compared_orders(facts)
    # MISSING is -1 and picks the last row, but a missing position is never a hit.
    columns = [
        (results.hits_of(name)[:, :K] & group[results.lists_of(name)[:, :K]]).sum(axis=1)
        for name in names
    ]
    n_wanted = np.bincount(owners(results.offsets), group[results.relevant], minlength=len(results))
    with_wanted = n_wanted > 0
    if not with_wanted.any():
        return {}
    values = np.column_stack([*columns, n_wanted])[with_wanted].astype(np.float64)
    resampled = resampled_means(values, facts.n_resamples, facts.seed)
    mean = values.mean(axis=0)
    # A ratio of sums, not a mean of ratios: users count by their wanted items of the group.
    return {
        name: interval(mean[i] / mean[-1], resampled[:, i] / resampled[:, -1])
        for i, name in enumerate(names)
    }


def share_by_source(facts: Facts) -> tuple[SourceShare, ...]:
    results = facts.results
    offered = results.offered[:, :K]
    hits = results.hits_of(facts.main)[:, :K]
    listed = results.lists_of(facts.main)[:, :K] != MISSING
    alone = offered & (offered.sum(axis=2, keepdims=True) == 1)
    return tuple(
        SourceShare(
            source,
            recommended=_share(offered[listed][:, i]),
            hit=_share(offered[hits][:, i]),
            alone=_share(alone[hits][:, i]),
        )
        for i, source in enumerate(SOURCES)
    )


def _share(mask: Mask) -> float:
    return float(mask.mean()) if len(mask) else 0.0
