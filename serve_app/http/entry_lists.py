"""Reads a body that is one entry or a list of them, and says of each bad entry what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.domain.posts import EntryFault
from serve_app.errors import InvalidRequest

MAX_ENTRIES = 1_000

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A number as JSON has it: no text, and no flag."""

Entry = TypeVar("Entry", bound=BaseModel)

_JSON = "application/json"
_TEXT = f"text of 1 to {MAX_ID_CHARS} characters"


@dataclass(frozen=True, slots=True)
class EntryKind(Generic[Entry]):
    """One kind of entry.

    Attributes:
        name: in the plural, for messages.
        allowed: what a field may be, by its name; all others are ids.
    """

    model: type[Entry]
    name: str
    allowed: Mapping[str, str]

    @property
    def expected(self) -> str:
        """The demand on the whole body, for messages."""
        return (
            f"must be one or a list of 1 to {MAX_ENTRIES:,} {self.name}, as JSON in UTF-8 with"
            " content-type application/json"
        )


@dataclass(frozen=True, slots=True)
class Entries(Generic[Entry]):
    """
    Attributes:
        good: the well-formed entries, by position.
        faults: one for each other entry.
        is_list: the body was a list.
    """

    good: Mapping[int, Entry]
    faults: Sequence[EntryFault]
    is_list: bool


async def read_body(request: Request, kind: EntryKind[Entry]) -> Entries[Entry]:
    """Reads the body of a request; raises as ``read_entries``."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise InvalidRequest(("body",), kind.expected)
    return read_entries(await request.body(), kind)


def read_entries(raw: bytes, kind: EntryKind[Entry]) -> Entries[Entry]:
    """Reads a body.

    Raises:
        InvalidRequest: it is neither an entry nor a list of 1 to ``MAX_ENTRIES``.
    """
    is_list = raw.lstrip()[:1] == b"["
    try:
        entries = (
            _list_of(kind.model).validate_json(raw)
            if is_list
            else [kind.model.model_validate_json(raw)]
        )
    except ValidationError:
        return _read_one_by_one(raw, kind)
    _check_length(len(entries), kind)
    return Entries(dict(enumerate(entries)), (), is_list)


def body_schema(kind: EntryKind[Any], *, lists: bool = True) -> dict[str, Any]:
    """The body for the documentation, because the routes read it themselves."""
    one = kind.model.model_json_schema()
    several = {"type": "array", "minItems": 1, "maxItems": MAX_ENTRIES, "items": one}
    content = {_JSON: {"schema": {"anyOf": [one, several]} if lists else one}}
    return {"requestBody": {"required": True, "content": content}}


@cache
def _list_of(model: type[Entry]) -> TypeAdapter[list[Entry]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type]


def _read_one_by_one(raw: bytes, kind: EntryKind[Entry]) -> Entries[Entry]:
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(("body",), kind.expected) from error
    if not isinstance(content, list | dict):
        raise InvalidRequest(("body",), kind.expected)
    listed = content if isinstance(content, list) else [content]
    _check_length(len(listed), kind)
    good: dict[int, Entry] = {}
    faults = []
    for i, entry in enumerate(listed):
        try:
            good[i] = kind.model.model_validate(entry)
        except ValidationError as error:
            faults.append(_fault(i, error, kind))
    return Entries(good, faults, isinstance(content, list))


def _check_length(n: int, kind: EntryKind[Any]) -> None:
    if not 1 <= n <= MAX_ENTRIES:
        raise InvalidRequest(("body",), kind.expected)


def _fault(index: int, error: ValidationError, kind: EntryKind[Any]) -> EntryFault:
    """The first fault of an entry."""
    problem = error.errors(include_url=False, include_input=False)[0]
    if not problem["loc"]:
        return EntryFault(index, "", f"must be an object with the fields of {kind.name}")
    field = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        known = ", ".join(kind.model.model_fields)
        return EntryFault(index, field, f"unknown field; known are {known}")
    if problem["type"] == "missing":
        return EntryFault(index, field, f"{field} is missing")
    return EntryFault(index, field, f"{field} must be {kind.allowed.get(field, _TEXT)}")
