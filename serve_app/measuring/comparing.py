"""Figures with their intervals, and how far one model is from the others on the same users."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from serve_app.measuring.bootstrap import (
    Interval,
    interval,
    interval_of_counts,
    resampled_means,
)
from serve_app.measuring.lists import Lists, PerUser, incidence
from serve_app.measuring.metrics import OF_CATALOGUE

_CATALOGUE_RESAMPLES = 200
"""For these the lists of all users are counted again in each resample."""


class Comparison(NamedTuple):
    """
    Attributes:
        difference: by measure, the model minus the other.
        ratio: by measure, the model over the other; absent where the other may be zero.
    """

    difference: Mapping[str, Interval]
    ratio: Mapping[str, Interval]


def intervals(
    per_user: Mapping[str, PerUser],
    lists: Mapping[str, Lists],
    n_items: int,
    ks: Sequence[int],
    n_resamples: int,
    seed: int,
) -> dict[str, dict[str, Interval]]:
    """By model and measure; all models are resampled with the same users."""
    found: dict[str, dict[str, Interval]] = {}
    for name, measures in per_user.items():
        values = np.column_stack(list(measures.values()))
        resampled = resampled_means(values, n_resamples, seed)
        means = values.mean(axis=0)
        found[name] = {
            measure: interval(means[i], resampled[:, i]) for i, measure in enumerate(measures)
        }
        for k in ks:
            inside = incidence(lists[name][:, :k], n_items)
            for measure, figure in OF_CATALOGUE.items():
                n = min(n_resamples, _CATALOGUE_RESAMPLES)
                found[name][f"{measure}@{k}"] = interval_of_counts(inside, figure, n, seed)
    return found


def comparisons(
    name: str,
    per_user: Mapping[str, PerUser],
    measures: Sequence[str],
    n_resamples: int,
    seed: int,
) -> dict[str, Comparison]:
    """Paired intervals of a model against every other, by the other's name."""
    names = [name, *(other for other in per_user if other != name)]
    columns = [per_user[other][measure] for other in names for measure in measures]
    values = np.column_stack(columns)
    n_measures = len(measures)
    means = values.mean(axis=0).reshape(len(names), n_measures)
    resampled = resampled_means(values, n_resamples, seed)
    resampled = resampled.reshape(n_resamples, len(names), n_measures)
    found = {}
    for place, other in enumerate(names[1:], start=1):
        difference, ratio = {}, {}
        for i, measure in enumerate(measures):
            own, others = resampled[:, 0, i], resampled[:, place, i]
            difference[measure] = interval(means[0, i] - means[place, i], own - others)
            if others.min() > 0:
                ratio[measure] = interval(means[0, i] / means[place, i], own / others)
        found[other] = Comparison(difference, ratio)
    return found
