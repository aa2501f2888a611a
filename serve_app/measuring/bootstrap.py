"""Computes confidence intervals by resampling users.

An interval says how far a figure would move with other users of the same kind. All models are
resampled with the same users: differences and ratios are paired. Efron, "Bootstrap Methods:
Another Look at the Jackknife", Annals of Statistics 1979.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

LOW, HIGH = 0.025, 0.975
_BLOCK_RESAMPLES = 50  # Bounds the counts as float64: 4 MB for 10,000 users.


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    mean: float
    low: float
    high: float


def resampled_means(
    values: NDArray[np.float64], n_resamples: int, seed: int
) -> NDArray[np.float64]:
    """Computes means over resampled users; equal seeds draw equal users.

    Args:
        values: shape (n_users, n_columns).

    Returns:
        Shape (n_resamples, n_columns).
    """
    # A resample as counts: one matrix product replaces drawing rows, which would copy them all.
    blocks = _draw_counts(len(values), n_resamples, seed)
    return np.concatenate([block.astype(float) @ values / len(values) for block in blocks])


def interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    """Computes the percentile interval of a resampled figure, shape (n_resamples,)."""
    low, high = np.quantile(resampled, (LOW, HIGH))
    return Interval(float(value), float(low), float(high))


def interval_of_counts(
    inside: csr_array,
    figure: Callable[[NDArray[np.floating]], NDArray[np.float64]],
    n_resamples: int,
    seed: int,
) -> Interval:
    """Computes the interval of a figure of all lists together, such as ``coverage``.

    Args:
        inside: shape (n_users, n_items), ones for the items of each list.
        figure: takes the number of lists that hold each item, shape (…, n_items).
    """
    value = float(figure(inside.sum(axis=0)))
    blocks = _draw_counts(inside.shape[0], n_resamples, seed)
    resampled = np.concatenate([figure(block.astype(float) @ inside) for block in blocks])
    # A resample has fewer distinct users and therefore fewer distinct items: it is biased. The
    # shift puts the mean of the resamples on the figure.
    return interval(value, resampled - resampled.mean() + value)


# Every model and measure needs the same draws. Four bytes each: 40 MB for 1,000 resamples of
# 10,000 users.
@lru_cache(maxsize=4)
def _draw_counts(n_users: int, n_resamples: int, seed: int) -> tuple[NDArray[np.uint32], ...]:
    """Counts how often each user is drawn, in blocks of shape (resamples of a block, n_users)."""
    # Drawing n users with replacement is one multinomial draw with equal shares.
    rng, shares = np.random.default_rng(seed), np.full(n_users, 1 / n_users)
    sizes = [
        min(_BLOCK_RESAMPLES, n_resamples - start)
        for start in range(0, n_resamples, _BLOCK_RESAMPLES)
    ]
    return tuple(rng.multinomial(n_users, shares, size=size).astype(np.uint32) for size in sizes)
