"""Finds sources that knew the outcomes that models learn to predict.

Such a source was fitted on the window whose outcomes are the labels. It is far better there than
in the window after it, where it is honest. A model that learns to trust it is worse than it looks.
An honest source is about as good in both windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.measuring.bootstrap import Interval, interval, resampled_means


class LeakConfig(Settings):
    """Limits of the leak check; a suspicious source exceeds both."""

    max_ratio: float = Field(
        default=1.75,
        gt=1,
        description="Largest ratio of a source's NDCG in the window that models learn from to that"
        " in the window after it. A larger value suspects fewer sources.",
    )
    margin: float = Field(
        default=0.5,
        ge=0,
        description="Share of the later NDCG that the lower end of the difference's interval must"
        " exceed. A larger value suspects fewer sources.",
    )


@dataclass(frozen=True, slots=True)
class Leak:
    """One source in both windows.

    Attributes:
        learnt: NDCG in the window that models learn from.
        later: NDCG in the window after it.
        difference: ``learnt`` minus ``later``.
        suspicious: the fit fails because of this source.
    """

    source: str
    learnt: Interval
    later: Interval
    difference: Interval
    suspicious: bool
    sentence: str


def find_leaks(
    learnt: Mapping[str, NDArray[np.float64]],
    later: Mapping[str, NDArray[np.float64]],
    config: LeakConfig,
    n_resamples: int,
    seed: int,
) -> tuple[Leak, ...]:
    """Compares each source in two windows; a leak makes it too good in the first one.

    Args:
        learnt: by source, NDCG of its list for each user of the window that models learn from. The
            tables are those of the window's beginning.
        later: likewise of the window after it; its users may be others.
    """
    first = _resample(learnt, n_resamples, seed)
    # The windows have different users and are not paired: another seed draws other resamples.
    second = _resample(later, n_resamples, seed + 1)
    leaks = []
    for source in learnt:
        means = learnt[source].mean(), later[source].mean()
        in_window, after = interval(means[0], first[source]), interval(means[1], second[source])
        difference = interval(means[0] - means[1], first[source] - second[source])
        leaks.append(_check(source, in_window, after, difference, config))
    return tuple(leaks)


def _resample(
    values: Mapping[str, NDArray[np.float64]], n_resamples: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    columns = resampled_means(np.column_stack(list(values.values())), n_resamples, seed)
    return dict(zip(values, columns.T, strict=True))


def _check(
    source: str, learnt: Interval, later: Interval, difference: Interval, config: LeakConfig
) -> Leak:
    # Both limits: a ratio of two small figures is large by chance, and the season moves both.
    suspicious = (
        learnt.mean > config.max_ratio * later.mean and difference.low > config.margin * later.mean
    )
    sentence = (
        f"{source} has {learnt.mean:.3f} in the window that models learn from and {later.mean:.3f}"
        " after it" + (": it may have seen what it was to predict" if suspicious else "")
    )
    return Leak(source, learnt, later, difference, suspicious, sentence)
