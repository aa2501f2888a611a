"""Draws the moments at which users of the past are asked for, and gives what was known then.

A request comes at a moment of the user's own: their history ends there, while the tables are
older. Models that learn at such moments meet histories as they will meet them when they serve.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask
from serve_app.arrays.ragged import first_of_runs, offsets_of, positions_within, spans
from serve_app.domain.interactions import (
    MAX_EVENTS,
    TYPE_GRADES,
    Histories,
    InteractionLog,
    kept_types,
    latest,
    make_events,
)
from serve_app.domain.sessions import SESSION_GAP_S

ENOUGH_KNOWN = 1_000
"""With so many users with a history, no further moments of theirs are drawn but those within a
session. Tables are older at such moments than at their first ones, and models of fresh tables lose
by them."""

MOST_FURTHER = 1.5
"""Further moments of all users together, in parts of the largest number of users: they bound the
memory of training where most users are new or have long sessions."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of users, in order of the users. A user may have several.

    Attributes:
        users: shape (n,), int32, as numbered in the log.
        at: shape (n,), float64, epoch seconds.
        starts: shape (n,), int64, position of the user's first event in the log.
        ends: shape (n,), int64, position behind the user's last event before the moment.
    """

    users: NDArray[np.int32]
    at: NDArray[np.float64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.users)

    def take(self, positions: NDArray[np.integer] | slice) -> "Moments":
        """Some of the moments."""
        return Moments(
            self.users[positions], self.at[positions], self.starts[positions], self.ends[positions]
        )


def moments_at(log: InteractionLog, users: NDArray[np.integer], at: float) -> Moments:
    """The same moment for each of the ascending ``users``."""
    n_users = len(log.user_ids)
    starts = offsets_of(np.bincount(log.users, minlength=n_users))[users]
    n_before = np.bincount(log.users[log.at < at], minlength=n_users)[users]
    return Moments(
        users.astype(np.int32), np.full(len(users), at, np.float64), starts, starts + n_before
    )


def histories_at(
    log: InteractionLog, moments: Moments, ending_types: Mask, limit: int = MAX_EVENTS
) -> Histories:
    """Events of each moment's user before the moment, as stores keep them.

    Args:
        log: with returns, which count from their own moment on.
        ending_types: see ``CandidateTables``.
        limit: latest events kept of a user, besides the last one of every item that ended it.
    """
    positions, offsets = spans(moments.starts, moments.ends - moments.starts)
    events = make_events(
        log.rows[positions], log.types[positions], log.at[positions], log.values[positions]
    )
    whole = Histories(events, offsets, np.zeros(len(moments), bool))
    # The rule of the store: a model must learn from histories as long as those it will meet.
    return whole.where(latest(events, offsets, limit, kept_types(ending_types)))


class Drawn(NamedTuple):
    """Moments of a window.

    Attributes:
        first: one moment of each user. Users with a history are asked for when the window begins,
            the others at a random one of their moments.
        further: other moments of the same users.
    """

    first: Moments
    further: Moments


def draw_moments(
    log: InteractionLog,
    counted: Mask,
    start_at: float,
    n_users: int,
    n_further: int,
    rng: np.random.Generator,
) -> Drawn:
    """Draws moments just before users came to an item with a counted event of the window, each with
    the same chance.

    Args:
        counted: shape (len(log),), events of the window that the label counts. All are later
            than ``start_at``, or at that moment.
        start_at: epoch seconds, the beginning of the window.
        n_users: users that are drawn at most.
        n_further: further moments of a user at most, and of all users together ``MOST_FURTHER``
            times ``n_users``. Those of users with a history are within a session, if these are no
            fewer than the users, but for as many as fill up their number to ``ENOUGH_KNOWN``.
    """
    chosen = _choose(np.unique(log.users[counted]), n_users, rng)
    at_start = moments_at(log, chosen, start_at)
    inside, ranks = _shuffle_moments(log, counted, at_start, start_at, rng)
    is_known = at_start.ends > at_start.starts
    # A user without a history takes the first of their shuffled moments instead of the beginning.
    replaced = ~np.isin(inside.users, chosen[is_known]) & (ranks == 0)
    is_new = np.isin(inside.users, chosen[~is_known])
    # The shuffled moment 0 of a new user is their first one.
    is_further = ~replaced & (ranks < np.where(is_new, n_further + 1, n_further))
    n_known, of_known = int(is_known.sum()), is_further & ~is_new
    within = of_known & _are_within_sessions(log, inside)
    if within.sum() < n_known:
        # Most sessions of such a shop are one event, or one invoice: the few others count no more
        # than moments between sessions.
        within[:] = False
    between = np.flatnonzero(of_known & ~within)
    is_further[rng.permutation(between)[max(ENOUGH_KNOWN - n_known, 0) :]] = False
    is_further[rng.permutation(np.flatnonzero(is_further))[int(MOST_FURTHER * n_users) :]] = False
    return Drawn(
        _merge(at_start.take(np.flatnonzero(is_known)), inside.take(np.flatnonzero(replaced))),
        inside.take(np.flatnonzero(is_further)),
    )


def _choose(users: NDArray[np.int32], n: int, rng: np.random.Generator) -> NDArray[np.int32]:
    return users if len(users) <= n else np.sort(rng.choice(users, n, replace=False))


def are_next_steps(log: InteractionLog, start_at: float = -np.inf) -> Mask:
    """Marks events with which a user goes on with the item of the event before, shape (len(log),).

    They follow within a session, and are of a higher grade: a click after a view, a purchase after
    a click. A list that is shown in between has nothing to find.

    Args:
        start_at: epoch seconds; no event goes on from an earlier one.
    """
    goes_on = np.zeros(len(log), bool)
    grades = TYPE_GRADES[log.types]
    goes_on[1:] = (
        (log.users[1:] == log.users[:-1])
        & (log.rows[1:] == log.rows[:-1])
        & (grades[1:] > grades[:-1])
        & (log.at[1:] - log.at[:-1] <= SESSION_GAP_S)
        & (log.at[:-1] >= start_at)
    )
    return goes_on


def _asked_at(
    log: InteractionLog, moments: Moments, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draws the times at which lists are asked for, shape (len(moments),), epoch seconds.

    A page asks for its list while the user looks at it, and not when they go on. How long they will
    look is not known then: within a session, the time is anywhere between the last event and the
    next one.
    """
    shares = np.where(_are_within_sessions(log, moments), rng.random(len(moments)), 1.0)
    next_at, before_at = log.at[moments.ends], _before_at(log, moments)
    return np.asarray(next_at - (1.0 - shares) * (next_at - before_at), np.float64)


def _are_within_sessions(log: InteractionLog, moments: Moments) -> Mask:
    """Marks moments at which their user's session has begun, shape (len(moments),)."""
    has_history = moments.ends > moments.starts
    pauses_s = log.at[moments.ends] - _before_at(log, moments)
    return np.asarray(has_history & (pauses_s <= SESSION_GAP_S), bool)


def _before_at(log: InteractionLog, moments: Moments) -> NDArray[np.float64]:
    """Times of the events before the moments; of some other event where there is none."""
    return np.asarray(log.at[np.maximum(moments.ends - 1, 0)], np.float64)


def _shuffle_moments(
    log: InteractionLog,
    counted: Mask,
    chosen: Moments,
    start_at: float,
    rng: np.random.Generator,
) -> tuple[Moments, NDArray[np.int64]]:
    """Distinct moments at which chosen users came to items with counted events, and the place of
    each in a random order of its user's moments, from 0.
    """
    of_chosen = np.flatnonzero(counted)
    of_chosen = of_chosen[np.isin(log.users[of_chosen], chosen.users)]
    of_chosen = first_of_runs(~are_next_steps(log, start_at))[of_chosen]
    # Events of one moment, as the lines of an invoice are, are not known to each other.
    is_new = (np.diff(log.users, prepend=-1) != 0) | (np.diff(log.at, prepend=np.nan) != 0)
    ends = np.unique(first_of_runs(is_new)[of_chosen])
    users = log.users[ends]
    starts = chosen.starts[np.searchsorted(chosen.users, users)]
    moments = Moments(users, log.at[ends], starts, ends)
    moments = replace(moments, at=np.maximum(_asked_at(log, moments, rng), start_at))
    lengths = np.bincount(np.searchsorted(chosen.users, users), minlength=len(chosen))
    order = np.lexsort((rng.random(len(users)), users))
    ranks = np.empty(len(users), np.int64)
    ranks[order] = positions_within(offsets_of(lengths))
    return moments, ranks


def _merge(left: Moments, right: Moments) -> Moments:
    """Both, in order of the users."""
    names = ("users", "at", "starts", "ends")
    both = Moments(*(np.concatenate((getattr(left, n), getattr(right, n))) for n in names))
    return both.take(np.argsort(both.users, kind="stable"))
