"""Defines the bodies of ``POST /events``, and reads them entry by entry."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.domain.interactions import INTERACTION_TYPES
from serve_app.domain.posts import EVENT_FIELDS, Cells, EntryFault
from serve_app.errors import InvalidRequest
from serve_app.serving.events_config import MAX_EVENTS_PER_POST

NO_EVENTS = (
    f"must be one event, or a list of 1 to {MAX_EVENTS_PER_POST:,} events, as JSON in UTF-8 with"
    " content-type application/json"
)


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


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


_EVENTS = TypeAdapter(list[Event])

EVENTS_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        Event.model_json_schema(),
                        {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MAX_EVENTS_PER_POST,
                            "items": Event.model_json_schema(),
                        },
                    ]
                }
            }
        },
    }
}
"""The body for the documentation: the route reads it itself."""

_ALLOWED = {
    "value": "value must be a number",
    "timestamp": "timestamp must be text in ISO 8601, or a number of epoch seconds",
    "position": "position must be a whole number from 0",
    "type": f"type must be one of {', '.join(INTERACTION_TYPES)}",
}


class PostedEvents(NamedTuple):
    """
    Attributes:
        entries: cells of the well-formed events, by position.
        faults: one for each other entry.
        is_list: the body was a list.
    """

    entries: dict[int, Cells]
    faults: Sequence[EntryFault]
    is_list: bool


def read_events(raw: bytes) -> PostedEvents:
    """Reads a body.

    Raises:
        InvalidRequest: it is neither an event nor a list of 1 to 1,000 entries.
    """
    is_list = raw.lstrip()[:1] == b"["
    try:
        events = _EVENTS.validate_json(raw) if is_list else [Event.model_validate_json(raw)]
    except ValidationError:
        return _read_one_by_one(raw)
    _check_length(len(events))
    return PostedEvents({i: _cells(event) for i, event in enumerate(events)}, (), is_list)


def _read_one_by_one(raw: bytes) -> PostedEvents:
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(("body",), NO_EVENTS) from error
    if not isinstance(content, list | dict):
        raise InvalidRequest(("body",), NO_EVENTS)
    listed = content if isinstance(content, list) else [content]
    _check_length(len(listed))
    entries: dict[int, Cells] = {}
    faults = []
    for i, entry in enumerate(listed):
        try:
            entries[i] = _cells(Event.model_validate(entry))
        except ValidationError as error:
            faults.append(_fault(i, error))
    return PostedEvents(entries, faults, isinstance(content, list))


def _check_length(n: int) -> None:
    if not 1 <= n <= MAX_EVENTS_PER_POST:
        raise InvalidRequest(("body",), NO_EVENTS)


def _cells(event: Event) -> Cells:
    return tuple(getattr(event, field) for field in EVENT_FIELDS)


def _fault(index: int, error: ValidationError) -> EntryFault:
    """The first fault of an entry, in the words of the loader."""
    problem = error.errors(include_url=False, include_input=False)[0]
    if not problem["loc"]:
        return EntryFault(index, "", "must be an object with the fields of an event")
    field = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return EntryFault(index, field, f"unknown field; known are {', '.join(EVENT_FIELDS)}")
    if problem["type"] == "missing":
        return EntryFault(index, field, f"{field} is missing")
    allowed = f"{field} must be text of 1 to {MAX_ID_CHARS} characters"
    return EntryFault(index, field, _ALLOWED.get(field, allowed))
