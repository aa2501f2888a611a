"""Finds the latest session in each history: what the visitor is doing now, or did last."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.ragged import Offsets, lengths_of, offsets_of, owners, positions_within
from serve_app.domain.interactions import Histories

SESSION_GAP_S = 30 * 60.0
"""A longer time without an event ends a session: the limit that web analytics use."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """The latest session of each of n users.

    Attributes:
        rows: shape (total,), int32, items of the events, oldest first.
        at: shape (total,), float64, epoch seconds.
        offsets: shape (n + 1,), int64. A user without events has an empty session.
    """

    rows: Rows
    at: NDArray[np.float64]
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def last_rows(self) -> Rows:
        """Item of the last event of each session, shape (n,), ``MISSING`` without one."""
        last = np.full(len(self), MISSING, np.int32)
        known = lengths_of(self.offsets) > 0
        last[known] = self.rows[self.offsets[1:][known] - 1]
        return last

    def steps_back(self) -> NDArray[np.int64]:
        """Number of later events in the session of each event, shape (total,)."""
        lengths = np.repeat(lengths_of(self.offsets), lengths_of(self.offsets))
        return np.asarray(lengths - 1 - positions_within(self.offsets), np.int64)


def latest_sessions(histories: Histories) -> Sessions:
    """The latest session of each history."""
    events, of_user = histories.events, owners(histories.offsets)
    number = session_numbers(of_user, events["at"])
    # An empty history takes nothing, whatever the end of its list points at.
    last = number[np.maximum(histories.offsets[1:] - 1, 0)] if len(number) else number
    kept = np.flatnonzero(number == last[of_user]) if len(number) else number
    lengths = np.bincount(of_user[kept], minlength=len(histories))
    return Sessions(events["row"][kept], events["at"][kept], offsets_of(lengths))


def session_numbers(
    users: NDArray[np.integer], at: NDArray[np.float64], gap_s: float = SESSION_GAP_S
) -> NDArray[np.int64]:
    """Numbers the sessions of events, in order of user and time; ascending, shape (n,).

    A session is a run of a user's events with pauses of at most ``gap_s`` seconds.
    """
    is_new = (np.diff(users, prepend=-1) != 0) | (np.diff(at, prepend=-np.inf) > gap_s)
    return np.cumsum(is_new) - 1
