"""Checks the rows of a file and converts their cells to the database's types.

Pure: cells in, values and reasons out. Columns are checked one by one; a bad row keeps its first
reason.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from serve_app.database.records import shortest_float32
from serve_app.domain.catalogue import STANDARD_COLUMNS
from serve_app.domain.interactions import INTERACTION_TYPES, PURCHASE, RATING, RETURN, TYPE_CODES
from serve_app.loading import cells
from serve_app.loading.attributes import AttributeKind, read_attributes
from serve_app.loading.chunk import Cells, Chunk
from serve_app.loading.rejects import Faults, Reject
from serve_app.loading.times import read_times

EventIdentity = Literal["event", "order"]
"""What an ``event_id`` identifies: an interaction, or an order of several."""


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """Some rows of a file: good ones and rejected ones.

    Attributes:
        rows: the good rows, each ``(line, value, …)``.
        rejects: the bad rows, by line.
    """

    rows: Sequence[tuple[object, ...]]
    rejects: Sequence[Reject]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of an interaction; times in epoch seconds.

    Attributes:
        max_rating_setting: name of the setting of ``max_rating``, for the reason of a rejection.
        or_skip: end of the reason for an odd quantity, if bad rows can be left out.
    """

    earliest_at: float
    latest_at: float
    max_rating: float
    event_id: EventIdentity = "event"
    max_rating_setting: str = "--max-rating"
    or_skip: str = ", or skip such rows with --max-reject-share"


@dataclass(frozen=True, slots=True)
class Described:
    """Columns of a file that describes items or users.

    Attributes:
        key: column of the id.
        read: by name, reads a column of the database. All other columns become attributes.
        computed: names of the columns that a fit computes; no attribute may have one.
    """

    key: str
    read: Mapping[str, Callable[[str, Cells, Faults], Cells]]
    computed: Set[str] = frozenset()

    def columns(self, names: Sequence[str]) -> tuple[str, ...]:
        """Columns of the database that a file with these columns fills."""
        known = (self.key, *(name for name in self.read if name in names))
        return (*known, "attributes") if self.further(names) else known

    def further(self, names: Iterable[str]) -> tuple[str, ...]:
        """Columns that become attributes."""
        return tuple(name for name in names if name != self.key and name not in self.read)


_ITEM_COLUMNS: Mapping[str, Callable[[str, Cells, Faults], Cells]] = {
    "title": cells.read_texts,
    "category": cells.read_texts,
    "price": cells.read_numbers,
    "tags": cells.read_lists,
    "in_stock": cells.read_flags,
    "created_at": read_times,
}

DESCRIBED: Mapping[Literal["items", "users"], Described] = {
    "items": Described("item_id", _ITEM_COLUMNS, STANDARD_COLUMNS.keys() - _ITEM_COLUMNS.keys()),
    "users": Described("user_id", {"created_at": read_times}),
}


def check_described(
    chunk: Chunk, described: Described, kinds: Mapping[str, AttributeKind]
) -> CheckedRows:
    """Checks rows that describe an item or a user.

    Args:
        kinds: of the attributes.

    Returns:
        Rows with the columns of ``described.columns``.
    """
    faults = Faults()
    given = chunk.columns
    columns: list[Cells] = [cells.read_ids(described.key, given[described.key], faults)]
    for name, read in described.read.items():
        if name in given:
            columns.append(read(name, given[name], faults))
    if further := described.further(given):
        columns.append(read_attributes({name: given[name] for name in further}, kinds, faults))
    return _sort_out(chunk, columns, faults)


REQUIRED: Mapping[Literal["items", "users", "interactions"], tuple[str, ...]] = {
    "items": ("item_id",),
    "users": ("user_id",),
    "interactions": ("user_id", "item_id", "timestamp"),
}
"""Columns that must be given."""

OPTIONAL = ("type", "value", "event_id", "session_id", "request_id", "position")
"""Columns of interactions beside the required ones."""

CONFLICT = (
    "event_id is that of another interaction: give each interaction its own, or use"
    " --event-id order if it is the id of an order"
)
"""Why an interaction is rejected whose ``event_id`` another one has."""

INTERACTION_COLUMNS = (
    *("event_id", "user_id", "item_id", "type", "value", "at", "session_id"),
    *("request_id", "position"),
)


def check_interactions(chunk: Chunk, limits: Limits) -> CheckedRows:
    """Checks rows of interactions; further columns are left out.

    Returns:
        Rows with ``INTERACTION_COLUMNS``.
    """
    # The first fault of a row is kept: the order of these calls is that of the reasons.
    faults = Faults()
    empty: Cells = [None] * len(chunk.lines)
    given = defaultdict(lambda: empty, chunk.columns)
    users = cells.read_ids("user_id", given["user_id"], faults)
    items = cells.read_ids("item_id", given["item_id"], faults)
    at = read_times(
        "timestamp",
        given["timestamp"],
        faults,
        required=True,
        earliest_at=limits.earliest_at,
        latest_at=limits.latest_at,
    )
    types = _read_types(given["type"], faults)
    values = _read_values(given["value"], types, limits, faults)
    sessions = cells.read_ids("session_id", given["session_id"], faults, required=False)
    event_ids = cells.read_ids("event_id", given["event_id"], faults, required=False)
    requests = cells.read_ids("request_id", given["request_id"], faults, required=False)
    positions = cells.read_whole_numbers("position", given["position"], faults)
    # Without the answer that led to it: a file that does not name one describes the same event.
    parts = zip(users, items, at, types, values, sessions, strict=True)
    # An order is one part of the identity of its lines.
    is_order = limits.event_id == "order"
    events = [
        event_id_of(event, *row) if is_order else event or event_id_of(*row)
        for event, row in zip(event_ids, parts, strict=True)
    ]
    columns: list[Cells] = [events, users, items, types, values, at, sessions, requests, positions]
    return _sort_out(chunk, columns, faults)


def event_id_of(*parts: object) -> str:
    """Makes the id of an event that has none: BLAKE2b of its fields, 32 hex digits.

    Events that agree in every field are one event, in one file or in two.
    """
    # The length before each part keeps ("a", "bc") and ("ab", "c") apart.
    texts = [str(part).encode(errors="replace") for part in parts]
    joined = b"".join(len(text).to_bytes(4) + text for text in texts)
    return blake2b(joined, digest_size=16).hexdigest()


def _read_types(column: Cells, faults: Faults) -> list[int]:
    names = ["purchase" if cell is None else str(cell).lower() for cell in column]
    for i, name in enumerate(names):
        if name not in TYPE_CODES:
            reason = f"type is none of {', '.join(INTERACTION_TYPES)}"
            faults.note(i, reason, "type", column[i])
    # A row with an unknown type is rejected: its code does not matter.
    return [TYPE_CODES.get(name, RATING) for name in names]


def _read_values(
    column: Cells, types: Sequence[int], limits: Limits, faults: Faults
) -> list[float | None]:
    """Reads values as PostgreSQL's type ``real`` will hold them."""
    numbers = cells.to_numbers(column).tolist()
    for i, (code, number) in enumerate(zip(types, numbers, strict=True)):
        if reason := _fault_of_value(code, column[i], number, limits):
            faults.note(i, reason, "value", column[i])
    return [shortest_float32(value) for value in cells.read_numbers("value", column, faults)]


def _fault_of_value(code: int, cell: object, number: float, limits: Limits) -> str | None:
    """Says why a value does not fit its type; the number of a cell without one is NaN."""
    if code == RATING and cell is None:
        return "a rating without a value"
    if code == RATING and number > limits.max_rating:
        setting = limits.max_rating_setting
        return f"a rating above {limits.max_rating:g}: {setting} sets the top of another scale"
    if code == PURCHASE and number <= 0:
        return f"a purchase of quantity 0 or less: give a return the type `return`{limits.or_skip}"
    if code == RETURN and number <= 0:
        return f"a return of quantity 0 or less: give what comes back, or nothing{limits.or_skip}"
    return None


def _sort_out(chunk: Chunk, columns: Sequence[Cells], faults: Faults) -> CheckedRows:
    rows = zip(chunk.lines, *columns, strict=True)
    rejects = [reject._replace(line=chunk.lines[i]) for i, reject in faults.items()]
    good = [row for i, row in enumerate(rows) if i not in faults]
    return CheckedRows(good, sorted([*rejects, *chunk.misshapen]))
