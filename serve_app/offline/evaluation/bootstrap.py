"""Intervals by resampling users: how far a figure would move with other users of the same kind.

Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 1979. All models
are resampled with the same users, so differences and ratios are paired.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

LOW, HIGH = 0.025, 0.975
_BLOCK_RESAMPLES = 50


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    mean: float
    low: float
    high: float


def resampled_means(
    values: NDArray[np.float64], n_resamples: int, seed: int
) -> NDArray[np.float64]:
    """
    Means over resampled users; the same seed draws the same users.

    Args:
        values: shape (n_users, n_columns).

    Returns:
        Shape (n_resamples, n_columns).
    """
    n_users = len(values)
    rng = np.random.default_rng(seed)
    means = np.empty((n_resamples, values.shape[1]))
    for start in range(0, n_resamples, _BLOCK_RESAMPLES):
        size = min(_BLOCK_RESAMPLES, n_resamples - start)
        means[start : start + size] = _draw(rng, n_users, size) @ values / n_users
    return means


def interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    """Percentiles of a resampled figure, shape (n_resamples,)."""
    low, high = np.quantile(resampled, (LOW, HIGH))
    return Interval(float(value), float(low), float(high))


def interval_of_counts(
    inside: csr_array,
    figure: Callable[[NDArray[np.floating]], NDArray[np.float64]],
    n_resamples: int,
    seed: int,
) -> Interval:
    """
    Interval of a figure of the whole catalogue.

    A resample holds fewer distinct users and therefore fewer distinct items, whatever it is drawn
    from: the percentiles are moved so that the mean of the resamples lies on the figure.

    Args:
        inside: shape (n_users, n_items), which items each list holds.
        figure: of how many lists hold each item, shape (…, n_items).
    """
    rng = np.random.default_rng(seed)
    value = float(figure(inside.sum(axis=0)))
    resampled = np.concatenate(
        [
            figure(_draw(rng, inside.shape[0], min(_BLOCK_RESAMPLES, n_resamples - start)) @ inside)
            for start in range(0, n_resamples, _BLOCK_RESAMPLES)
        ]
    )
    return interval(value, resampled - resampled.mean() + value)


def _draw(rng: np.random.Generator, n_users: int, n_resamples: int) -> NDArray[np.float64]:
    """How often each user is drawn, shape (n_resamples, n_users)."""
    return rng.multinomial(n_users, np.full(n_users, 1 / n_users), size=n_resamples).astype(float)
