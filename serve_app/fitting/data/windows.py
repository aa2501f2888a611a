"""Time as the fit sees it: what was known by a moment, and what happened after it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask, Rows
from serve_app.arrays.ragged import Offsets, gather, offsets_of
from serve_app.domain.interactions import InteractionLog
from serve_app.errors import NotEnoughData
from serve_app.fitting.data.labels import BOUGHT, WANTED, Label


@dataclass(frozen=True, slots=True)
class FitWindows:
    """
    Moments that part the log, epoch seconds: models learn to tell at ``train_at`` what is bought
    until ``evaluate_at``, and are measured on what is bought from then to ``end_at``.
    """

    train_at: float
    evaluate_at: float
    end_at: float


def split_of(log: InteractionLog, label_share: float) -> FitWindows:
    """
    Moments chosen by quantiles of the interactions' times, so that both windows hold the same share
    of the interactions, however unevenly they come.

    Args:
        label_share: of each of the two windows.

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


def chosen(log: InteractionLog, mask: Mask) -> InteractionLog:
    """The interactions of the mask, shape (len(log),); users keep their numbers."""
    return InteractionLog(
        log.user_ids,
        log.users[mask],
        log.rows[mask],
        log.types[mask],
        log.values[mask],
        log.at[mask],
    )


def before(log: InteractionLog, at: float) -> InteractionLog:
    return chosen(log, log.at < at)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """
    What users did in a window with items that could still be recommended to them.

    Attributes:
        users: shape (n,), int32, ascending.
        offsets: shape (n + 1,), int64.
        rows: shape (total,), int32, ascending within a user: the items that he touched.
        strengths: shape (total,), uint8, the strongest thing that he did with each.
    """

    users: NDArray[np.int32]
    offsets: Offsets
    rows: Rows
    strengths: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.users)


def outcomes(
    log: InteractionLog,
    start_at: float,
    end_at: float,
    listed: Mask,
    label: Label = BOUGHT,
    least: int = WANTED,
) -> Outcomes:
    """
    Args:
        start_at, end_at: the window, both included.
        listed: shape (n_rows,), items that could be recommended when the window began.
        label: what counts, and what ends that an item is recommended.
        least: only users who did something of this strength.
    """
    keys = log.users.astype(np.int64) * len(listed) + log.rows
    earlier = np.unique(keys[(log.at < start_at) & label.ending_types[log.types]])
    within = (log.at >= start_at) & (log.at <= end_at) & listed[log.rows]
    within &= ~np.isin(keys, earlier)
    keys, strengths = keys[within], label.strengths(log)[within]
    order = np.lexsort((-strengths.astype(int), keys))
    first = order[np.flatnonzero(np.diff(keys[order], prepend=-1))]
    owners, rows, strengths = (
        keys[first] // len(listed),
        keys[first] % len(listed),
        strengths[first],
    )
    users = np.unique(owners[strengths >= least])
    kept = np.isin(owners, users)
    lengths = np.bincount(np.searchsorted(users, owners[kept]), minlength=len(users))
    return Outcomes(
        users.astype(np.int32), offsets_of(lengths), rows[kept].astype(np.int32), strengths[kept]
    )


def sample(found: Outcomes, n: int, seed: int) -> Outcomes:
    """At most n of the users, chosen at random."""
    if len(found) <= n:
        return found
    lists = np.sort(np.random.default_rng(seed).choice(len(found), n, replace=False))
    positions, offsets = gather(found.offsets, lists)
    return Outcomes(found.users[lists], offsets, found.rows[positions], found.strengths[positions])
