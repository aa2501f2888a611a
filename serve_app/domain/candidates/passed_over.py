"""Estimates how often a user passed over an item.

A user who was active while an item sold well, and did not take it, wants it less than a user who
was away. The expected number is how often the user would have taken the item if they had chosen
as all active users did in the same periods.
"""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.ragged import owners
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.interactions import Histories

_FEW = 1e-4
"""Added before the logarithm, which has no value at zero."""

_LATE_PERIODS = 2


def taken_by_period(histories: Histories, starts_at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Counts the distinct items of each user's events in each period.

    Args:
        starts_at: shape (n_periods,), ascending; what was before the first is left out, and the
            last has no end.

    Returns:
        Shape (n_users, n_periods).
    """
    n_periods = len(starts_at)
    events = histories.events
    periods = np.searchsorted(starts_at, events["at"], side="right") - 1
    within = periods >= 0
    visits = (owners(histories.offsets) * n_periods + periods)[within]
    distinct = np.unique(visits << 32 | events["row"][within].astype(np.int64)) >> 32
    counts = np.bincount(distinct, minlength=len(histories) * n_periods)
    return counts.reshape(len(histories), n_periods).astype(np.float32)


def expectations(
    rows: Rows,
    requests: NDArray[np.int64],
    taken: NDArray[np.float32],
    tables: CandidateTables,
) -> NDArray[np.float32]:
    """Logarithms of three numbers of each candidate: how often the user is expected to have taken
    it, counting as many choices a period as they made; the same, counting one chance a period; and
    the item's share of all choices now, in relation to the first.

    Args:
        rows: shape (n,).
        requests: shape (n,), the number of each candidate's user in ``taken``.
        taken: shape (n_users, n_periods), as ``taken_by_period`` gives it.

    Returns:
        Shape (n, 3).
    """
    counts = tables.period_counts[rows]
    choices = taken / np.maximum(tables.period_totals, 1)
    chances = (taken > 0) / np.maximum(tables.period_users, 1)
    by_choices = np.log(np.einsum("ij,ij->i", counts, choices[requests]) + _FEW)
    by_chances = np.log(np.einsum("ij,ij->i", counts, chances[requests]) + _FEW)
    late = slice(-_LATE_PERIODS, None)
    n_late = max(float(tables.period_totals[late].sum()), 1.0)
    pace = np.log(counts[:, late].sum(axis=1) / n_late + _FEW / 100)
    return np.column_stack((by_choices, by_chances, pace - by_choices)).astype(np.float32)
