"""Cuts the time into windows: interactions before a moment, and outcomes after it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.ragged import Offsets, gather, offsets_of
from serve_app.domain.interactions import RETURN, InteractionLog, are_standing
from serve_app.errors import NotEnoughData
from serve_app.fitting.data.labels import BOUGHT, WANTED, Label


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


def select_interactions(log: InteractionLog, mask: Mask) -> InteractionLog:
    """Interactions of a mask of shape (len(log),); users keep their numbers."""
    return InteractionLog(
        log.user_ids,
        log.users[mask],
        log.rows[mask],
        log.types[mask],
        log.values[mask],
        log.at[mask],
    )


def select_standing(log: InteractionLog) -> InteractionLog:
    """The interactions without returns, and without the purchases that they took back."""
    # Most shops have none, and a copy of ten million interactions takes 200 MB.
    if RETURN not in log.types:
        return log
    keys = _pairs(log, int(log.rows.max(initial=-1)) + 1)
    return select_interactions(log, are_standing(keys, log.types, log.at))


def select_before(log: InteractionLog, at: float) -> InteractionLog:
    """What was known at a moment: purchases that were returned later still stand."""
    return select_standing(select_interactions(log, log.at < at))


def _pairs(log: InteractionLog, n_rows: int) -> NDArray[np.int64]:
    """User and item of each interaction in one number, ``user * n_rows + row``, shape (n,)."""
    # The product exceeds 32 bits.
    keys: NDArray[np.int64] = log.users.astype(np.int64) * n_rows + log.rows
    return keys


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Interactions of a window with items that could still be recommended to the user.

    Attributes:
        users: shape (n,), int32, ascending.
        offsets: shape (n + 1,), int64.
        rows: shape (total,), int32, touched items, ascending within a user.
        strengths: shape (total,), uint8, the strongest interaction with each.
    """

    users: NDArray[np.int32]
    offsets: Offsets
    rows: Rows
    strengths: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.users)


def find_outcomes(
    log: InteractionLog,
    start_at: float,
    end_at: float,
    listed: Mask,
    label: Label = BOUGHT,
    least: int = WANTED,
) -> Outcomes:
    """Finds what users did in a window with items that could be recommended to them.

    Purchases count unless they were returned, within the window or after it.

    Args:
        start_at, end_at: the window, both included.
        listed: shape (n_rows,), items that could be recommended when the window began.
        label: interactions that count; some of them end that an item is recommended.
        least: users without an interaction of this strength are left out.
    """
    before = select_before(log, start_at)
    ended = select_interactions(before, label.ending_types[before.types])
    earlier = np.unique(_pairs(ended, len(listed)))
    log = select_standing(log)
    keys = _pairs(log, len(listed))
    within = (log.at >= start_at) & (log.at <= end_at) & listed[log.rows]
    within &= ~np.isin(keys, earlier)
    keys, strengths = keys[within], label.strengths(log)[within]
    # The strongest interaction of each pair comes first. Negated as int: uint8 would wrap around.
    order = np.lexsort((-strengths.astype(int), keys))
    first = order[np.flatnonzero(np.diff(keys[order], prepend=-1))]
    owners, rows = np.divmod(keys[first], len(listed))
    strengths = strengths[first]
    users = np.unique(owners[strengths >= least])
    kept = np.isin(owners, users)
    lengths = np.bincount(np.searchsorted(users, owners[kept]), minlength=len(users))
    return Outcomes(
        users.astype(np.int32), offsets_of(lengths), rows[kept].astype(np.int32), strengths[kept]
    )


def sample(outcomes: Outcomes, n: int, seed: int) -> Outcomes:
    """Keeps at most n users, chosen at random."""
    if len(outcomes) <= n:
        return outcomes
    # Sorted: users of outcomes are ascending.
    lists = np.sort(np.random.default_rng(seed).choice(len(outcomes), n, replace=False))
    positions, offsets = gather(outcomes.offsets, lists)
    return Outcomes(
        outcomes.users[lists], offsets, outcomes.rows[positions], outcomes.strengths[positions]
    )
