"""Defines what travels between the ingress and the stage that writes: posts, and their outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

EVENT_FIELDS = (
    *("event_id", "user_id", "item_id", "type", "value", "timestamp", "session_id"),
    *("request_id", "position"),
)
"""Fields of a posted event, in the order of its cells."""

Cells = tuple[object, ...]
"""The values of one event, in the order of ``EVENT_FIELDS``; ``None`` where none was sent."""


@dataclass(frozen=True, slots=True)
class EventPost:
    """The events of one request, as they were sent.

    Attributes:
        arrived_at: epoch seconds; the time of the events that name none.
    """

    events: Sequence[Cells]
    arrived_at: float

    def __len__(self) -> int:
        return len(self.events)


class EventRow(NamedTuple):
    """A checked interaction; times are epoch seconds.

    Attributes:
        is_dated: the sender gave the time. Otherwise the time does not tell interactions apart.
    """

    event_id: str
    user_id: str
    item_id: str
    type: int
    value: float | None
    at: float
    session_id: str | None
    request_id: str | None
    position: int | None
    is_dated: bool


@dataclass(frozen=True, slots=True)
class PostBatch:
    """Posts that are written together.

    Attributes:
        shop_id: of the served bundle; empty before the first one.
    """

    posts: Sequence[EventPost]
    shop_id: str = ""


class EntryFault(NamedTuple):
    """One thing that is wrong with an entry of a post.

    Attributes:
        entry: its position in the post.
        field: name of the field that is to blame; empty for the whole entry.
    """

    entry: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A post is stored: its events are committed.

    Attributes:
        n_accepted: events that were new.
        n_repeated: events that were known already.
        differing: positions of events whose ``event_id`` stands for another event, which stays.
        is_visible: every later answer counts the events. Else caches may hide them for a while.
    """

    n_accepted: int
    n_repeated: int
    differing: tuple[int, ...]
    is_visible: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of a post is stored, because of its content."""

    faults: tuple[EntryFault, ...]


@dataclass(frozen=True, slots=True)
class NotWritten:
    """It is not known whether the post is stored; the same post again is safe."""

    reason: str


PostOutcome = Receipt | Refused | NotWritten
