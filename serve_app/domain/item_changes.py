"""Defines the changes of a shop since a fit, as the live catalogue takes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item as the shop describes it now.

    Attributes:
        revision: of the item's last change.
        row: ``item_row``.
        title: the item id if the item has no title.
        category: ``UNCATEGORISED`` for none.
        price, created_at: ``None`` where unknown; epoch seconds.
        is_listed: False once the item is withdrawn.
        attributes: values by name, of any kind of JSON.
    """

    revision: int
    row: int
    item_id: str
    title: str
    category: str
    price: float | None = None
    tags: Sequence[str] = ()
    in_stock: bool = True
    created_at: float | None = None
    is_listed: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that changed after one revision, up to another.

    Attributes:
        revision: of the last change; all changes up to it are here, or were read before.
        items: in the order of their revisions, each row once.
        forgotten: ``hash_ids`` of users whose data were deleted.
        kinds: kinds of attributes by name: number, flag, list or text. Empty without items.
        is_complete: False if more changes wait to be read.
    """

    revision: int
    items: Sequence[ItemChange] = ()
    forgotten: Sequence[int] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    is_complete: bool = True
