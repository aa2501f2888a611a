"""Defines the bodies of ``POST /events``."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.domain.interactions import INTERACTION_TYPES
from serve_app.domain.posts import EVENT_FIELDS, Cells
from serve_app.http.entry_lists import EntryKind, Number


def _id(description: str) -> Any:
    return Field(default=None, max_length=MAX_ID_CHARS, description=description)


class Event(BaseModel):
    """Something that a user did with an item."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "event_id": "order-1044-line-1",
                    "user_id": "u000001",
                    "item_id": "i000007",
                    "type": "purchase",
                    "value": 2,
                    "timestamp": "2026-11-28T10:15:00Z",
                    "request_id": "5f0c6a0e4b1d4c6f9a4e7d1b2c3d4e5f",
                    "position": 0,
                }
            ]
        },
    )

    event_id: str | None = _id(
        "Identifies the event: a second one with this id is not stored. By default it is made from"
        " user, item, time, type, value and session."
    )
    user_id: str = Field(min_length=1, max_length=MAX_ID_CHARS, description="Any user, also new.")
    item_id: str = Field(min_length=1, max_length=MAX_ID_CHARS, description="Any item, also new.")
    type: str = Field(json_schema_extra={"enum": list(INTERACTION_TYPES)})
    value: Number | None = Field(
        default=None,
        description="Rating, or quantity of a purchase or return. A rating needs it.",
    )
    timestamp: str | Number | None = Field(
        default=None,
        description="ISO 8601, in UTC if it names no zone, or epoch seconds. Default: the time of"
        " arrival. Whoever may send an event again names its `event_id` or its `timestamp`.",
    )
    session_id: str | None = _id("Session in which it happened.")
    request_id: str | None = _id("`request_id` of the answer that led to the event.")
    position: int | None = Field(
        default=None, strict=True, ge=0, description="Position of the item in that answer, from 0."
    )


class EventsStored(BaseModel):
    """The events are committed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"accepted": 2, "repeated": 0, "differing": [], "visible": "now"}]
        }
    )

    accepted: int = Field(description="Events that were new.")
    repeated: int = Field(description="Events that were stored before, or twice in the list.")
    differing: list[int] = Field(
        description="Positions of repeated events that differ from the stored one, which stays."
    )
    visible: str = Field(
        description="`now` if every later answer counts the events. `within N s` if caches that do"
        " not answer may hide them for so long."
    )


EVENTS = EntryKind(
    Event,
    "events",
    {
        "value": "a number",
        "timestamp": "text in ISO 8601, or a number of epoch seconds",
        "position": "a whole number from 0",
        "type": f"one of {', '.join(INTERACTION_TYPES)}",
    },
)


def cells_of(event: Event) -> Cells:
    """The values of an event, in the order in which they travel."""
    return tuple(getattr(event, field) for field in EVENT_FIELDS)
