"""Checks items that are described over HTTP by the rules for rows of files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from serve_app.arrays.columns import MAX_ID_CHARS
from serve_app.domain.posts import EntryFault
from serve_app.domain.shop_requests import DescribedItem, ItemEntry
from serve_app.loading.attributes import AttributeKind, infer_attribute_kinds
from serve_app.loading.chunk import Chunk, known
from serve_app.loading.rows import DESCRIBED, check_described

_ITEMS = DESCRIBED["items"]


@dataclass(frozen=True, slots=True)
class CheckedItems:
    """
    Attributes:
        items: with distinct ids; a later entry of an item adds to the earlier one.
        kinds: of the attributes that are given.
    """

    items: Sequence[DescribedItem]
    kinds: Mapping[str, str]


def check_items(
    entries: Sequence[ItemEntry], known_kinds: Mapping[str, str]
) -> CheckedItems | tuple[EntryFault, ...]:
    """Checks entries; gives the items, or everything that is wrong."""
    given = [{**entry.fields, **entry.attributes} for entry in entries]
    names = tuple(dict.fromkeys(["item_id", *(name for fields in given for name in fields)]))
    if faults := _faults_of_names(entries):
        return faults
    columns = {name: known(fields.get(name) for fields in given) for name in names}
    further = {name: columns[name] for name in _ITEMS.further(names)}
    new = {name: cells for name, cells in further.items() if name not in known_kinds}
    # JSON says what is text: as in a Parquet file.
    kinds = {**infer_attribute_kinds([new], typed=True), **known_kinds}
    chunk = Chunk(range(len(entries)), columns, (), 1.0)
    checked = check_described(chunk, _ITEMS, cast("Mapping[str, AttributeKind]", kinds))
    if checked.rejects:
        return tuple(
            EntryFault(reject.line, reject.column, reject.reason) for reject in checked.rejects
        )
    columns_of_rows = _ITEMS.columns(names)
    items: dict[str, DescribedItem] = {}
    for entry, row in zip(entries, checked.rows, strict=True):
        item = _item(dict(zip(columns_of_rows, row[1:], strict=True)), entry)
        items[item.item_id] = _merge(items.get(item.item_id), item)
    return CheckedItems(
        list(items.values()), {name: kinds[name] for name in further if name in kinds}
    )


def _faults_of_names(entries: Sequence[ItemEntry]) -> tuple[EntryFault, ...]:
    return tuple(
        EntryFault(i, name, reason)
        for i, entry in enumerate(entries)
        for name in entry.attributes
        if (reason := _fault_of_name(name))
    )


def _fault_of_name(name: str) -> str:
    if name == _ITEMS.key or name in _ITEMS.read:
        return f"{name} is a field of the item, and no attribute"
    if name in _ITEMS.computed:
        return f"recserve computes {name} itself: give this attribute another name"
    if not 0 < len(name) <= MAX_ID_CHARS or not name.isprintable() or name != name.strip():
        return f"names of attributes have 1 to {MAX_ID_CHARS} printable characters"
    return ""


def _item(values: Mapping[str, Any], entry: ItemEntry) -> DescribedItem:
    # The rows of a chunk have equal columns: what other entries have is null here.
    attributes = json.loads(values.get("attributes") or "{}")
    return DescribedItem(
        values["item_id"],
        {name: values[name] for name in _ITEMS.read if name in entry.fields},
        {name: attributes[name] for name in entry.attributes},
    )


def _merge(earlier: DescribedItem | None, item: DescribedItem) -> DescribedItem:
    if earlier is None:
        return item
    return DescribedItem(
        item.item_id,
        {**earlier.columns, **item.columns},
        {**earlier.attributes, **item.attributes},
    )
