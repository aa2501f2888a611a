"""Compares models on the same users: intervals of each figure, paired differences and ratios."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from serve_app.measuring.bootstrap import Interval, interval, interval_of_counts, resampled_means
from serve_app.measuring.lists import Lists, PerUser, incidence
from serve_app.measuring.metrics import OF_CATALOGUE

# Each resample counts the lists of all users again, which is slow.
_CATALOGUE_RESAMPLES = 200


class Comparison(NamedTuple):
    """Intervals by measure: the model minus the other, and the model over the other.

    The ratio is absent if the other is zero in any resample.
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
    """Computes intervals by model and measure. The seed gives all models the same resamples."""
    by_model: dict[str, dict[str, Interval]] = {}
    for name, measures in per_user.items():
        values = np.column_stack(list(measures.values()))
        resampled = resampled_means(values, n_resamples, seed)
        means = values.mean(axis=0)
        by_model[name] = {
            measure: interval(means[i], resampled[:, i]) for i, measure in enumerate(measures)
        }
        for k in ks:
            inside = incidence(lists[name][:, :k], n_items)
            for measure, figure in OF_CATALOGUE.items():
                n = min(n_resamples, _CATALOGUE_RESAMPLES)
                by_model[name][f"{measure}@{k}"] = interval_of_counts(inside, figure, n, seed)
    return by_model


def comparisons(
    name: str, per_user: Mapping[str, PerUser], measures: Sequence[str], n_resamples: int, seed: int
) -> dict[str, Comparison]:
    """Computes paired intervals of a model against every other, by the name of the other."""
    names = [name, *(other for other in per_user if other != name)]
    # One matrix: each resample draws the same users for all models. Block 0 is the model itself.
    values = np.column_stack([per_user[model][measure] for model in names for measure in measures])
    means = values.mean(axis=0).reshape(len(names), len(measures))
    resampled = resampled_means(values, n_resamples, seed)
    resampled = resampled.reshape(n_resamples, len(names), len(measures))
    by_other = {}
    for j, other in enumerate(names[1:], start=1):
        difference, ratio = {}, {}
        for i, measure in enumerate(measures):
            model, rival = resampled[:, 0, i], resampled[:, j, i]
            # Paired within each resample: easy users raise both models, and cancel out. Intervals
            # of the single figures would be wider.
            difference[measure] = interval(means[0, i] - means[j, i], model - rival)
            if rival.min() > 0:
                ratio[measure] = interval(means[0, i] / means[j, i], model / rival)
        by_other[other] = Comparison(difference, ratio)
    return by_other
