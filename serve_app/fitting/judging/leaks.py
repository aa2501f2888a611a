"""Finds sources that knew what the models were to learn from.

A source that was fitted on the window whose purchases are the labels is far better there than on
the window after it, where it is honest; a model that learns to trust it is then worse than it
looks. An honest source is about as good in both windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.domain.settings import Settings
from serve_app.measuring.bootstrap import Interval, interval, resampled_means


class LeakConfig(Settings):
    """
    Attributes:
        max_ratio: NDCG of a source in the window that is learnt from, over that in the window
            after it, above which it is suspicious.
        margin: of the NDCG in the later window, by as much the interval of the difference must
            stay clear of zero.
    """

    max_ratio: float = Field(default=1.75, gt=1)
    margin: float = Field(default=0.5, ge=0)


@dataclass(frozen=True, slots=True)
class Leak:
    """
    What was found of one source.

    Attributes:
        learnt: its NDCG in the window that is learnt from.
        later: its NDCG in the window after it.
        difference: the first minus the second.
        suspicious: whether it refuses the fit.
    """

    source: str
    learnt: Interval
    later: Interval
    difference: Interval
    suspicious: bool
    sentence: str


def leaks_of(
    learnt: Mapping[str, NDArray[np.float64]],
    later: Mapping[str, NDArray[np.float64]],
    config: LeakConfig,
    n_resamples: int,
    seed: int,
) -> tuple[Leak, ...]:
    """
    Args:
        learnt: per source the NDCG of its own list for each user of the window that is learnt
            from, by a world as it stood when the window began.
        later: the same of the window after it; its users may be others.
    """
    first = _resampled(learnt, n_resamples, seed)
    # Other users, so other resamples: the two windows are not paired.
    second = _resampled(later, n_resamples, seed + 1)
    return tuple(
        _found(
            source,
            interval(learnt[source].mean(), first[source]),
            interval(later[source].mean(), second[source]),
            interval(learnt[source].mean() - later[source].mean(), first[source] - second[source]),
            config,
        )
        for source in learnt
    )


def _resampled(
    values: Mapping[str, NDArray[np.float64]], n_resamples: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    columns = resampled_means(np.column_stack(list(values.values())), n_resamples, seed)
    return dict(zip(values, columns.T, strict=True))


def _found(
    source: str, learnt: Interval, later: Interval, difference: Interval, config: LeakConfig
) -> Leak:
    suspicious = (
        learnt.mean > config.max_ratio * later.mean and difference.low > config.margin * later.mean
    )
    sentence = (
        f"{source} has {learnt.mean:.3f} in the window that is learnt from and {later.mean:.3f}"
        " after it" + (": it may have seen what it was to foretell" if suspicious else "")
    )
    return Leak(source, learnt, later, difference, suspicious, sentence)
