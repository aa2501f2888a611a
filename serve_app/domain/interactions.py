"""Defines the kinds of interaction, and histories as flat arrays of events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, IdIndex, Mask, Rows, Texts
from serve_app.arrays.ragged import Offsets, gather, offsets_of, owners


@dataclass(frozen=True, slots=True)
class InteractionType:
    """One kind of interaction. The columns differ because they answer different questions.

    In a history it counts its ``weight``, as a label its ``grade`` and its ``gain``, and as an
    ending ``ends``.

    Attributes:
        name: the type in files and in the API.
        code: the type in the database, in histories and in bundles. Codes never change.
        weight: strength as a sign of the user's taste, relative to a purchase.
        grade: value of the interaction for the shop, 1 to 5; 0 for one that nobody aims at. The
            fit takes the type of the highest frequent grade as its label.
        gain: relevance that the models learn for an item on which the user did this.
        priority: the reason for an item names the interaction of the largest priority.
        reason: name of the reason that refers to the interaction (see ``ranking.reasons``).
        ends: the user has got the item, which ends that they look for it, whatever the label is.
    """

    name: str
    code: int
    weight: float
    grade: int
    gain: int
    priority: int
    reason: str
    ends: bool = False


TYPES: tuple[InteractionType, ...] = (
    # Views are frequent and often accidental: little taste, and nothing that a shop aims at.
    InteractionType("view", 0, weight=0.2, grade=1, gain=0, priority=0, reason="because_viewed"),
    # A click was chosen from a list, so it is wanted a little; the user sees it as a view.
    InteractionType("click", 1, weight=0.3, grade=3, gain=1, priority=1, reason="because_viewed"),
    # An intention to buy. A cart can be left, so it says less than a purchase everywhere.
    InteractionType("cart", 2, weight=0.6, grade=4, gain=2, priority=2, reason="because_viewed"),
    InteractionType(
        "purchase", 3, weight=1.0, grade=5, gain=4, priority=4, reason="because_bought", ends=True
    ),
    # A rating says that the user knows the item, hence its weight and priority. It may be bad,
    # and it follows the use of an item, so nothing is gained by leading a user to it.
    InteractionType("rating", 4, weight=0.5, grade=2, gain=0, priority=3, reason="because_rated"),
    # Says nothing by itself: it takes back what it follows (see ``are_standing``).
    InteractionType("return", 5, weight=0.0, grade=0, gain=0, priority=0, reason="because_bought"),
)
"""Every kind of interaction, in the order of the codes."""

INTERACTION_TYPES = tuple(kind.name for kind in TYPES)
TYPE_CODES: Mapping[str, int] = {kind.name: kind.code for kind in TYPES}
PURCHASE = TYPE_CODES["purchase"]
RATING = TYPE_CODES["rating"]
RETURN = TYPE_CODES["return"]

TYPE_WEIGHTS = np.array([kind.weight for kind in TYPES], np.float32)
TYPE_GRADES = np.array([kind.grade for kind in TYPES], np.uint8)
TYPE_ENDS = np.array([kind.ends for kind in TYPES], bool)
REASON_PRIORITIES = np.array([kind.priority for kind in TYPES])
"""The columns of ``TYPES`` as arrays, indexed by code."""

GRADE_GAINS = np.array(
    [0, *(kind.gain for kind in sorted(TYPES, key=lambda kind: kind.grade) if kind.grade)], "<f4"
)
"""Relevance by grade, shape (6,), float32; grade 0 stands for no interaction."""

EVENT = np.dtype([("row", "<i4"), ("value", "<f2"), ("type", "u1"), ("spare", "u1"), ("at", "<f8")])
"""One interaction in 16 bytes: item row, value (rating or quantity, or NaN), type, time in epoch
seconds. Stores and caches keep histories in exactly this form."""

Events = NDArray[np.void]

NO_EVENTS: Events = np.empty(0, EVENT)


def make_events(
    rows: Sequence[int] | Rows,
    types: Sequence[int] | NDArray[np.integer],
    at: Sequence[float] | NDArray[np.floating],
    values: Sequence[float] | NDArray[np.floating] | None = None,
) -> Events:
    """Events in the order given, shape (n,), dtype ``EVENT``."""
    events = np.zeros(len(rows), EVENT)
    events["row"], events["type"], events["at"] = rows, types, at
    # float16 ends at 65,504. Larger quantities say no more about a user than 60,000.
    events["value"] = np.nan if values is None else np.clip(values, -60_000, 60_000)
    return events


def are_usable(events: Events) -> Mask:
    """Mask of the events that can be computed with, shape (n,): known type, real row and time.

    Stores may hold others, which another program wrote. One of them would fail its whole batch.
    """
    known = (events["type"] < len(TYPES)) & (events["row"] >= 0)
    return np.asarray(known & np.isfinite(events["at"]), bool)


def are_standing(
    keys: NDArray[np.int64], types: NDArray[np.uint8], at: NDArray[np.float64]
) -> Mask:
    """Mask of the events that still hold, shape (n,): no returns, and nothing they took back.

    A return takes back all purchases of its item by its user at its moment or before.

    Args:
        keys: user and item of each event in one number.
        types: at least one is a return.
        at: epoch seconds.
    """
    returns = np.flatnonzero(types == RETURN)
    standing: Mask = types != RETURN
    returned, of_return = np.unique(keys[returns], return_inverse=True)
    last_at = np.full(len(returned), -np.inf)
    np.maximum.at(last_at, of_return, at[returns])
    positions = np.minimum(np.searchsorted(returned, keys), len(returned) - 1)
    taken_back = (returned[positions] == keys) & (at <= last_at[positions])
    return np.asarray(standing & ~(taken_back & (types == PURCHASE)), bool)


MAX_EVENTS = 500
"""Default of the number of events that are read per user."""


MAX_ENDING_EVENTS = 2_000
"""Events of an ending type among which the last one of each item is kept. It bounds what is read
of a user who buys without end, such as the one that stands for all walk-in customers."""


def kept_types(ending_types: Mask) -> tuple[int, ...]:
    """Codes of the types of which a history keeps the last event of every item, ascending.

    Args:
        ending_types: shape (n_types,), as in ``CandidateTables``. Purchases are kept in any case,
            and returns with them: the later of the two decides.
    """
    kept = np.zeros(len(TYPES), bool)
    # A bundle of an older build knows fewer types.
    kept[: len(ending_types)] = ending_types
    kept[[PURCHASE, RETURN]] = True
    return tuple(np.flatnonzero(kept).tolist())


def latest(events: Events, offsets: Offsets, limit: int, types: Sequence[int]) -> Mask:
    """Mask of the events that a history keeps, shape (len(events),).

    A history keeps each user's last ``limit`` events. Of each of the ``types`` it also keeps the
    last event of every item, among the user's last ``MAX_ENDING_EVENTS`` of the type: the item has
    to stay excluded. PostgreSQL follows the same rule (``database.histories``).

    Args:
        events: each user's oldest first.
        offsets: shape (n_users + 1,).
        types: see ``kept_types``.
    """
    users = owners(offsets)
    kept = _from_the_end(users) < limit
    if not kept.all():
        for code in types:
            kept[_last_of_items(events, users, code)] = True
    return np.asarray(kept, bool)


def _last_of_items(events: Events, users: NDArray[np.int64], code: int) -> NDArray[np.int64]:
    of_type = np.flatnonzero(events["type"] == code)
    of_type = of_type[_from_the_end(users[of_type]) < MAX_ENDING_EVENTS]
    # Latest first: ``unique`` returns the first position of each key. User and row take 32 bits.
    of_type = of_type[::-1]
    keys = users[of_type] << 32 | events["row"][of_type].astype(np.int64)
    _, last = np.unique(keys, return_index=True)
    return of_type[last]


def _from_the_end(users: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of later entries of the same user; ``users`` is ascending."""
    ends = np.bincount(users).cumsum()
    return np.asarray(ends[users] - np.arange(len(users)) - 1, np.int64)


@dataclass(frozen=True, slots=True)
class Histories:
    """The events of several users.

    Attributes:
        events: shape (total,), dtype ``EVENT``, each user's oldest first.
        offsets: shape (n_users + 1,), int64.
        stale: shape (n_users,), bool, True if no store answered. Events since the fit are missing.
    """

    events: Events
    offsets: Offsets
    stale: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def keys(self, n_rows: int) -> NDArray[np.int64]:
        """User and item of each event in one number, ``user * n_rows + row``, shape (total,)."""
        keys: NDArray[np.int64] = owners(self.offsets) * n_rows + self.events["row"]
        return keys

    def standing(self, n_rows: int) -> "Histories":
        """The histories without returns, and without what they took back."""
        events = self.events
        # Every batch comes here, and few have a return.
        if RETURN not in events["type"]:
            return self
        return self.where(are_standing(self.keys(n_rows), events["type"], events["at"]))

    def where(self, kept: Mask) -> "Histories":
        """The events of a mask, shape (total,)."""
        if kept.all():
            return self
        lengths = np.bincount(owners(self.offsets)[kept], minlength=len(self))
        return Histories(self.events[kept], offsets_of(lengths), self.stale)

    def of_user(self, i: int) -> Events:
        return self.events[self.offsets[i] : self.offsets[i + 1]]

    @classmethod
    def of(cls, per_user: Sequence[Events], stale: Sequence[bool] | None = None) -> "Histories":
        events = np.concatenate(per_user) if per_user else NO_EVENTS
        flags = np.zeros(len(per_user), bool) if stale is None else np.array(stale, bool)
        return cls(events, offsets_of([len(events) for events in per_user]), flags)


@dataclass(frozen=True, slots=True)
class HistoryArchive:
    """All histories at the time of the fit; part of the bundle.

    The archive answers when no store does. Lists stay personal, and purchases stay excluded.

    Attributes:
        index: finds the archive's user row by user id.
        offsets: shape (n_users + 1,), int64.
        events: shape (total,), dtype ``EVENT``, each user's oldest first.
    """

    index: IdIndex
    offsets: Offsets
    events: Events

    def read(self, user_ids: Sequence[str], *, stale: bool) -> Histories:
        """Histories of the users; empty for users that the archive does not know."""
        return self.of_rows(self.index.find(user_ids), stale=stale)

    def of_rows(self, users: Rows, *, stale: bool) -> Histories:
        """Histories by the user rows of the archive, shape (n,); empty for ``MISSING``."""
        known = users != MISSING
        positions, taken = gather(self.offsets, users[known])
        lengths = np.zeros(len(users), np.int64)
        lengths[known] = np.diff(taken)
        return Histories(
            self.events[positions], offsets_of(lengths), np.full(len(users), stale, bool)
        )


@dataclass(frozen=True, slots=True)
class InteractionLog:
    """Every interaction, ordered by user and then by time.

    Attributes:
        user_ids: the users with interactions, in order of their code points.
        users: shape (n,), int32, position in ``user_ids``; ascending.
        rows: shape (n,), int32, ``item_row``.
        types: shape (n,), uint8, codes of ``TYPE_CODES``.
        values: shape (n,), float32, rating or quantity, or NaN.
        at: shape (n,), float64, epoch seconds.
    """

    user_ids: Sequence[str] | Texts
    users: NDArray[np.int32]
    rows: Rows
    types: NDArray[np.uint8]
    values: NDArray[np.float32]
    at: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.users)
