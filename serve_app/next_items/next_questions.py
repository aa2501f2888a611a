"""Defines questions about next items: moments of a log, and what was known before each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.ragged import first_of_runs, offsets_of, owners, spans
from serve_app.domain.interactions import RETURN, Events, Histories, InteractionLog, make_events
from serve_app.measuring.lists import Wanted

Items = NDArray[np.int32]

DEPTH = 50
"""Latest known events that rivals see of a question."""


@dataclass(frozen=True, slots=True)
class RankedLog:
    """Events with the ranked items, ordered by user and then by time.

    Attributes:
        events: of each interaction, with its catalogue row.
        users: shape (n,), int32, numbers in the whole log.
        items: shape (n,), int32, numbers of the ranked items.
        counted: shape (n,), bool, events that the label counts.
        ends: shape (n,), bool, events after which the item is no longer new to the user.
        sessions: shape (n,), int64, ascending.
        n_items: of the ranked items.
    """

    events: Events
    users: NDArray[np.int32]
    items: Items
    counted: Mask
    ends: Mask
    sessions: NDArray[np.int64]
    n_items: int

    @property
    def at(self) -> NDArray[np.float64]:
        return np.asarray(self.events["at"], np.float64)

    def moment_starts(self) -> NDArray[np.int64]:
        """Position of the first event at the moment of each event, shape (n,)."""
        differs = (np.diff(self.sessions, prepend=-1) != 0) | (
            np.diff(self.at, prepend=-np.inf) > 0
        )
        return first_of_runs(differs)

    def session_starts(self) -> NDArray[np.int64]:
        """Position of the first event of the session of each event, shape (n,)."""
        return first_of_runs(np.diff(self.sessions, prepend=-1) != 0)


def ranked_log(
    log: InteractionLog, item_of_row: Items, counted: Mask, ends: Mask, sessions: NDArray[np.int64]
) -> RankedLog:
    """Events of a log that has ranked items only; arrays other than ``item_of_row`` as in it."""
    events = make_events(log.rows, log.types, log.at, log.values)
    n_items = int(item_of_row.max(initial=-1)) + 1
    items = item_of_row[log.rows]
    return RankedLog(events, log.users, items, counted, ends, sessions, n_items)


@dataclass(frozen=True, slots=True)
class Questions:
    """Moments at which the next items are asked for; what is known lies strictly before.

    Attributes:
        users: shape (n,), int32, numbers in the whole log.
        sessions: shape (n,), int64.
        at: shape (n,), float64, epoch seconds.
        user_starts, session_starts: shape (n,), int64, positions in the log of the first event of
            the user and of the session.
        ends: shape (n,), int64, position behind the last known event.
    """

    users: NDArray[np.int32]
    sessions: NDArray[np.int64]
    at: NDArray[np.float64]
    user_starts: NDArray[np.int64]
    session_starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def n_known(self) -> NDArray[np.int64]:
        """Known events of the user, shape (n,)."""
        return self.ends - self.user_starts

    @property
    def n_known_in_session(self) -> NDArray[np.int64]:
        """Known events of the session, shape (n,)."""
        return self.ends - self.session_starts


def questions_at(log: RankedLog, ends: NDArray[np.int64]) -> Questions:
    """Questions at events, each the first one of its moment; shape (n,), positions in the log."""
    user_starts = first_of_runs(np.diff(log.users, prepend=-1) != 0)
    return Questions(
        log.users[ends],
        log.sessions[ends],
        log.at[ends],
        user_starts[ends],
        log.session_starts()[ends],
        ends,
    )


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The latest known items of some questions, latest first, ``MISSING`` behind the oldest.

    Attributes:
        of_session: shape (n, depth), items of the session so far.
        of_user: shape (n, depth), items of the user so far, of all their sessions.
    """

    of_session: Items
    of_user: Items

    def __len__(self) -> int:
        return len(self.of_user)

    def of(self, unit: str) -> Items:
        """The items of a unit: ``session`` or ``user``."""
        return self.of_session if unit == "session" else self.of_user


def prefixes(log: RankedLog, questions: Questions, block: slice) -> Prefixes:
    """What rivals see of a block of questions. Returns are left out."""
    ends = questions.ends[block]
    positions = ends[:, None] - 1 - np.arange(DEPTH)
    inside = np.maximum(positions, 0)
    items = np.where(log.events["type"][inside] == RETURN, MISSING, log.items[inside])

    def since(starts: NDArray[np.int64]) -> Items:
        known = np.where(positions >= starts[block][:, None], items, MISSING).astype(np.int32)
        # A return leaves no gap: models take the first place for the latest item.
        order = np.argsort(known == MISSING, axis=1, kind="stable")
        return np.take_along_axis(known, order, axis=1)

    return Prefixes(since(questions.session_starts), since(questions.user_starts))


def known_histories(log: RankedLog, questions: Questions, block: slice) -> Histories:
    """All known events of the users of a block of questions."""
    starts = questions.user_starts[block]
    positions, offsets = spans(starts, questions.n_known[block])
    return Histories(log.events[positions], offsets, np.zeros(len(starts), bool))


def not_new(log: RankedLog, questions: Questions, block: slice) -> Wanted:
    """Items that are not new to the users of a block of questions."""
    positions, offsets = spans(questions.user_starts[block], questions.n_known[block])
    ended = log.ends[positions]
    keys = owners(offsets)[ended] * log.n_items + log.items[positions[ended]]
    lists, items = np.divmod(np.unique(keys), log.n_items)
    lengths = np.bincount(lists, minlength=len(offsets) - 1)
    return Wanted(offsets_of(lengths), items.astype(np.int32))
