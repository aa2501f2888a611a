"""Defines the errors that the caller of the HTTP API can correct."""

from collections.abc import Sequence
from typing import ClassVar

from serve_app.errors.root import RecserveError


class CallerError(RecserveError):
    """A request that its caller can correct."""

    http_status: ClassVar[int] = 400


class InvalidRequest(CallerError):
    """A request has a value that is not allowed; ``message`` says what is allowed."""

    http_status = 422
    location: Sequence[str | int]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.location))}: {self.message}"


class UnknownItem(CallerError):
    """The served catalogue has no such item."""

    http_status = 404
    text = "item {item_id!r} is not in the catalogue"
    item_id: str


class UnknownRecord(CallerError):
    """Nothing is stored under this id."""

    http_status = 404
    text = "nothing is stored under this id"


class EntriesInvalid(CallerError):
    """Entries of a post are not valid, and nothing of it is stored.

    Attributes:
        entries: position, field and reason of each bad entry.
        is_list: the body was a list; otherwise it was its only entry.
    """

    http_status = 422
    entries: Sequence[tuple[int, str, str]]
    is_list: bool = True

    def __str__(self) -> str:
        return "; ".join(f"entry {index}: {reason}" for index, _, reason in self.entries)


class BodyTooLarge(CallerError):
    """The request body is longer than the limit."""

    http_status = 413
    text = "the body may have at most {limit_bytes} bytes"
    limit_bytes: int


class Overloaded(CallerError):
    """More requests are waiting than can be answered in time."""

    http_status = 429
    text = "too many requests are waiting: try again in {retry_after_s} s"
    retry_after_s: int


class NotStored(CallerError):
    """A post was not stored in time, as far as is known. The same post again is safe."""

    http_status = 503
    text = "not known to be stored ({reason}): send the same body again in {retry_after_s} s"
    reason: str
    retry_after_s: int
