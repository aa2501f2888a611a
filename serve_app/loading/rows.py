"""Decides of every row of a file whether it can be loaded, and in what form.

Pure: cells in, values and reasons out. A column is checked as a whole; a row that fails keeps the
first reason that was found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from serve_app.domain.interactions import INTERACTION_TYPES, RATING, TYPE_CODES
from serve_app.loading.attributes import AttributeKind, attributes
from serve_app.loading.cells import Cells, Faults, flags, ids, lists, numbers, texts, times
from serve_app.loading.files import Chunk


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """
    Attributes:
        rows: what can be loaded, each row ``(line, value, …)``.
        rejects: line and reason of every other row, in order of lines.
    """

    rows: Sequence[tuple[object, ...]]
    rejects: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an interaction may say; times in epoch seconds."""

    earliest_at: float
    latest_at: float
    max_rating: float


@dataclass(frozen=True, slots=True)
class Described:
    """Files whose rows describe things with an id.

    Attributes:
        key: the column of the id.
        read: how to read the columns that are no attributes.
    """

    key: str
    read: Mapping[str, Callable[[str, Cells, Faults], Cells]]

    def columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Which columns of the database a file with these columns says something about."""
        known = (self.key, *(name for name in self.read if name in names))
        return (*known, "attributes") if self.further(names) else known

    def further(self, names: Iterable[str]) -> tuple[str, ...]:
        """The columns that become attributes."""
        return tuple(name for name in names if name != self.key and name not in self.read)


DESCRIBED: Mapping[Literal["items", "users"], Described] = {
    "items": Described(
        "item_id",
        {
            "title": texts,
            "category": texts,
            "price": numbers,
            "tags": lists,
            "in_stock": flags,
            "created_at": times,
        },
    ),
    "users": Described("user_id", {"created_at": times}),
}


def check_described(
    chunk: Chunk, described: Described, kinds: Mapping[str, AttributeKind]
) -> CheckedRows:
    """
    Check rows that describe an item or a user.

    Args:
        kinds: of the attributes of a CSV file.

    Returns:
        Rows with the columns that ``described.columns`` names.
    """
    faults: Faults = {}
    given = chunk.columns
    columns: list[Cells] = [ids(described.key, given[described.key], faults)]
    for name, read in described.read.items():
        if name in given:
            columns.append(read(name, given[name], faults))
    if further := described.further(given):
        columns.append(attributes({name: given[name] for name in further}, kinds, faults))
    return _sorted_out(chunk, columns, faults)


INTERACTION_COLUMNS = ("event_id", "user_id", "item_id", "type", "value", "at", "session_id")


def check_interactions(chunk: Chunk, limits: Limits) -> CheckedRows:
    """
    Check rows that say what a user did; further columns are left out.

    Returns:
        Rows with ``INTERACTION_COLUMNS``.
    """
    faults: Faults = {}
    empty: Cells = [None] * len(chunk.lines)
    users = ids("user_id", chunk.columns["user_id"], faults)
    items = ids("item_id", chunk.columns["item_id"], faults)
    at = times(
        "timestamp",
        chunk.columns["timestamp"],
        faults,
        required=True,
        earliest_at=limits.earliest_at,
        latest_at=limits.latest_at,
    )
    types = _types(chunk.columns.get("type", empty), faults)
    values = _values(chunk.columns.get("value", empty), types, limits, faults)
    sessions = ids("session_id", chunk.columns.get("session_id", empty), faults, required=False)
    given = ids("event_id", chunk.columns.get("event_id", empty), faults, required=False)
    told = zip(users, items, at, types, values, sessions, strict=True)
    events = [event or event_id_of(*parts) for event, parts in zip(given, told, strict=True)]
    return _sorted_out(chunk, [events, users, items, types, values, at, sessions], faults)


def event_id_of(*parts: object) -> str:
    """
    An id for an event that has none: BLAKE2b over all that is known of it, 32 hex digits.

    Two events that agree in everything are one event, in one file or in two.
    """
    # The length before each part keeps ("a", "bc") and ("ab", "c") apart.
    texts = [str(part).encode(errors="replace") for part in parts]
    told = b"".join(len(text).to_bytes(4) + text for text in texts)
    return blake2b(told, digest_size=16).hexdigest()


def _types(cells: Cells, faults: Faults) -> list[int]:
    names = ["purchase" if cell is None else str(cell).lower() for cell in cells]
    for i, name in enumerate(names):
        if name not in TYPE_CODES:
            faults.setdefault(i, f"type is none of {', '.join(INTERACTION_TYPES)}")
    return [TYPE_CODES.get(name, RATING) for name in names]


def _values(
    cells: Cells, types: Sequence[int], limits: Limits, faults: Faults
) -> list[float | None]:
    values = numbers("value", cells, faults)
    for i, (code, value) in enumerate(zip(types, values, strict=True)):
        if code == RATING and value is None:
            faults.setdefault(i, "a rating without a value")
        elif code == RATING and value is not None and value > limits.max_rating:
            faults.setdefault(i, f"a rating above {limits.max_rating:g}")
    return values


def _sorted_out(chunk: Chunk, columns: Sequence[Cells], faults: Faults) -> CheckedRows:
    rows = zip(chunk.lines, *columns, strict=True)
    rejects = [(chunk.lines[i], reason) for i, reason in faults.items()]
    return CheckedRows(
        [row for i, row in enumerate(rows) if i not in faults],
        sorted([*rejects, *chunk.misshapen]),
    )
