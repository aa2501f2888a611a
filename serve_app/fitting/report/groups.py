"""For whom and for which items the lists are good: users by activity, items by age, sources."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.ragged import owners
from serve_app.domain.scoring.model_features import SOURCES
from serve_app.fitting.judging.measured import FUSED, POPULARITY, ndcg_of
from serve_app.fitting.report.facts import Facts
from serve_app.measuring.bootstrap import Interval, interval, resampled_means

K = 10

_PURCHASES = (0, 1, 3, 10, 30, 100)
"""Each group of users begins with so many earlier purchases."""

_AGES_DAYS = {
    "under a week": 7.0,
    "under a month": 30.0,
    "1–3 months": 90.0,
    "3–12 months": 365.0,
    "over a year": np.inf,
}
"""Up to which age, in days, an item belongs to a group."""

_UNKNOWN_AGE = "unknown"


@dataclass(frozen=True, slots=True)
class Group:
    """
    Users with about as many purchases before the window.

    Attributes:
        ndcg: by name of the order.
    """

    label: str
    n_users: int
    ndcg: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class AgeGroup:
    """
    Items of about one age at the beginning of the window.

    Attributes:
        listed: share of the items that there were.
        recommended: share of the first ten places of the main variant.
        bought: share of what users bought.
        recall: by name of the order, the share of what was bought that stood in the first ten.
    """

    label: str
    listed: float
    recommended: float
    bought: float
    recall: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class SourceShare:
    """
    Shares of the first ten places of the main variant; several sources may offer one item.

    Attributes:
        recommended: of all places, those that the source had offered.
        hit: of the places that were bought.
        alone: of the places that were bought, those that no other source had offered.
    """

    source: str
    recommended: float
    hit: float
    alone: float


def compared(facts: Facts) -> tuple[str, ...]:
    """The orders that stand side by side wherever users or items are parted."""
    return tuple(name for name in (facts.main, FUSED, POPULARITY) if facts.measured.offers(name))


def by_activity(facts: Facts) -> tuple[Group, ...]:
    ndcg = ndcg_of(facts.measured, K)
    names = compared(facts)
    numbers = np.digitize(facts.measured.n_past, _PURCHASES) - 1
    groups = []
    for number in np.unique(numbers).tolist():
        mask = numbers == number
        values = np.column_stack([ndcg[name][mask] for name in names])
        resampled = resampled_means(values, facts.n_resamples, facts.seed)
        found = {
            name: interval(values[:, i].mean(), resampled[:, i]) for i, name in enumerate(names)
        }
        groups.append(Group(_purchases(number), int(mask.sum()), found))
    return tuple(groups)


def _purchases(number: int) -> str:
    first = _PURCHASES[number]
    if number == len(_PURCHASES) - 1:
        return f"{first}+"
    last = _PURCHASES[number + 1] - 1
    return f"{first}" if first == last else f"{first}–{last}"


def by_age(facts: Facts) -> tuple[AgeGroup, ...]:
    measured = facts.measured
    labels = (*_AGES_DAYS, _UNKNOWN_AGE)
    ages = np.where(np.isnan(facts.items.age_days), np.inf, facts.items.age_days)
    groups = np.digitize(ages, list(_AGES_DAYS.values())[:-1])
    groups[np.isnan(facts.items.age_days)] = len(_AGES_DAYS)
    lists = measured.lists_of(facts.main)[:, :K]
    listed, recommended, bought = (
        _parted(groups[rows], len(labels))
        for rows in (facts.items.listed, lists[lists != MISSING], measured.relevant)
    )
    return tuple(
        AgeGroup(label, listed[i], recommended[i], bought[i], _recall(facts, groups == i))
        for i, label in enumerate(labels)
        if bought[i] or recommended[i]
    )


def _parted(groups: NDArray[np.int64], n: int) -> list[float]:
    """Share of each group."""
    shares: list[float] = (np.bincount(groups, minlength=n) / max(len(groups), 1)).tolist()
    return shares


def _recall(facts: Facts, chosen: Mask) -> dict[str, Interval]:
    """Of all that users bought of the chosen rows, how much stood in the first ten."""
    measured, names = facts.measured, compared(facts)
    columns = [
        (measured.hits_of(name)[:, :K] & chosen[measured.lists_of(name)[:, :K]]).sum(axis=1)
        for name in names
    ]
    n_bought = np.bincount(
        owners(measured.offsets), chosen[measured.relevant], minlength=len(measured)
    )
    buyers = n_bought > 0
    if not buyers.any():
        return {}
    values = np.column_stack([*columns, n_bought])[buyers].astype(np.float64)
    resampled = resampled_means(values, facts.n_resamples, facts.seed)
    mean = values.mean(axis=0)
    return {
        name: interval(mean[i] / mean[-1], resampled[:, i] / resampled[:, -1])
        for i, name in enumerate(names)
    }


def source_shares(facts: Facts) -> tuple[SourceShare, ...]:
    measured = facts.measured
    offered = measured.offered[:, :K]
    hits = measured.hits_of(facts.main)[:, :K]
    listed = measured.lists_of(facts.main)[:, :K] != MISSING
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
