"""Defines requests about items and users that are no question for a list, and their outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from serve_app.domain.posts import NotWritten, Refused


class ItemEntry(NamedTuple):
    """The description of an item, as it was sent.

    Attributes:
        fields: by name; one that is missing stays as it is, and ``None`` stands for its default.
        attributes: by name; one that is missing stays, and ``None`` deletes it.
    """

    fields: Mapping[str, object]
    attributes: Mapping[str, object]


class DescribedItem(NamedTuple):
    """A checked description of an item.

    Attributes:
        columns: of the table, by name; other columns stay. ``None`` stands for the default.
        attributes: values by name; others stay. ``None`` deletes an attribute.
    """

    item_id: str
    columns: Mapping[str, Any]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PutItems:
    """Adds or changes items, and lists them again if they were withdrawn."""

    entries: Sequence[ItemEntry]


@dataclass(frozen=True, slots=True)
class PatchItem:
    """Changes an item that is there."""

    entry: ItemEntry


@dataclass(frozen=True, slots=True)
class WithdrawItem:
    """Takes an item out of all lists; what users did with it stays."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ReadItem:
    """Asks what is stored of an item."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ReadUser:
    """Asks what is stored of a user."""

    user_id: str


@dataclass(frozen=True, slots=True)
class ForgetUser:
    """Deletes everything that is stored of a user."""

    user_id: str


ShopRequest = PutItems | PatchItem | WithdrawItem | ReadItem | ReadUser | ForgetUser


@dataclass(frozen=True, slots=True)
class Changed:
    """A change is committed.

    Attributes:
        counts: numbers of the rows by what was done with them.
        is_visible: caches know the change. Else they may hide it for a while.
    """

    counts: Mapping[str, int]
    is_visible: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The record that is stored."""

    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NotThere:
    """There is no such item or user."""


ShopOutcome = Changed | Found | NotThere | Refused | NotWritten
