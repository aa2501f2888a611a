"""Cuts the time into windows, and selects the interactions that were known at a moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask
from serve_app.domain.interactions import RETURN, InteractionLog, are_standing
from serve_app.errors import NotEnoughData


@dataclass(frozen=True, slots=True)
class FitWindows:
    """Moments that part the log, epoch seconds.

    Models learn at ``train_at`` to predict the interactions that the label counts until
    ``evaluate_at``. They are measured on those from then to ``end_at``.
    """

    train_at: float
    evaluate_at: float
    end_at: float


def choose_windows(log: InteractionLog, label_share: float) -> FitWindows:
    """Chooses the moments as quantiles of the interactions' times.

    Both windows hold an equal share of the interactions, however unevenly these come.

    Args:
        label_share: share of the interactions in each of the two windows.

    Raises:
        NotEnoughData: no interactions, or all at (almost) one moment.
    """
    if not len(log):
        raise NotEnoughData("there are no interactions: load some with `recserve load`")
    shares = (1 - 2 * label_share, 1 - label_share, 1.0)
    split = FitWindows(*(float(at) for at in np.quantile(log.at, shares)))
    if not log.at.min() < split.train_at < split.evaluate_at < split.end_at:
        raise NotEnoughData(
            f"the {len(log)} interactions lie too close in time to learn from the earlier ones"
            " what comes later"
        )
    return split


def select_interactions(log: InteractionLog, chosen: Mask | NDArray[np.integer]) -> InteractionLog:
    """Interactions of a mask of shape (len(log),), or at positions; users keep their numbers."""
    return InteractionLog(
        log.user_ids,
        log.users[chosen],
        log.rows[chosen],
        log.types[chosen],
        log.values[chosen],
        log.at[chosen],
    )


def are_lasting(log: InteractionLog, until_at: float = np.inf) -> Mask:
    """Mask of the events up to a moment that were not taken back until then, shape (len(log),)."""
    lasting: Mask = log.at <= until_at
    known = np.flatnonzero(lasting)
    if RETURN in log.types[known]:
        keys = _pairs(log, int(log.rows.max(initial=-1)) + 1)[known]
        lasting[known] = are_standing(keys, log.types[known], log.at[known])
    return lasting


def select_standing(log: InteractionLog) -> InteractionLog:
    """The interactions without returns, and without the purchases that they took back."""
    # Most shops have none, and a copy of ten million interactions takes 200 MB.
    return select_interactions(log, are_lasting(log)) if RETURN in log.types else log


def select_before(log: InteractionLog, at: float) -> InteractionLog:
    """What was known at a moment: purchases that were returned later still stand."""
    return select_standing(select_interactions(log, log.at < at))


def _pairs(log: InteractionLog, n_rows: int) -> NDArray[np.int64]:
    """User and item of each interaction in one number, ``user * n_rows + row``, shape (n,)."""
    # The product exceeds 32 bits.
    keys: NDArray[np.int64] = log.users.astype(np.int64) * n_rows + log.rows
    return keys
