"""Defines the catalogue: all items as columns, an immutable snapshot for all stages.

Row numbers are PostgreSQL's ``item_row``, which is never reused. A row is empty if its item was
deleted, or came after the snapshot. ``listed`` marks the rows with an item.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import (
    Column,
    FlagColumn,
    IdIndex,
    Mask,
    NumberColumn,
    TagsColumn,
    TextColumn,
    Texts,
)

UNCATEGORISED = "unknown"
"""The stores' name for items without a category. The catalogue has no code for it."""

STANDARD_COLUMNS: Mapping[str, type] = {
    "category": TextColumn,
    "price": NumberColumn,
    "tags": TagsColumn,
    "in_stock": FlagColumn,
    "created_at": NumberColumn,
    "avg_rating": NumberColumn,
    "num_ratings": NumberColumn,
    "popularity": NumberColumn,
}
"""Columns of every catalogue. ``Catalogue.columns`` also contains the declared attributes."""

TIME_COLUMNS = frozenset({"created_at"})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items of a bundle as columns, by ``item_row``.

    Attributes:
        version: the version of the bundle.
        item_ids: shape (n,); empty text in rows without an item.
        titles: shape (n,); the item id if an item has no title.
        index: finds listed rows by item id.
        listed: shape (n,), bool, rows with an item.
        columns: the fields of filters, each of length n; at least ``STANDARD_COLUMNS``.
        vectors: shape (n, d), float32, unit length, or all zero for items without history.
        features: shape (n, f), float32, columns as ``model_features.ITEM_FEATURES``.
    """

    version: str
    item_ids: Texts
    titles: Texts
    index: IdIndex
    listed: Mask
    columns: Mapping[str, Column]
    vectors: NDArray[np.float32]
    features: NDArray[np.float32]
    sellable: Mask = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Computed once: masks of filters start from it. The class is frozen, hence `object`.
        object.__setattr__(self, "sellable", self.listed & self.in_stock)

    def __len__(self) -> int:
        return len(self.listed)

    def number(self, name: str) -> NDArray[np.floating]:
        column = self.columns[name]
        assert isinstance(column, NumberColumn), name
        return column.values

    @property
    def categories(self) -> TextColumn:
        column = self.columns["category"]
        assert isinstance(column, TextColumn)
        return column

    @property
    def in_stock(self) -> Mask:
        column = self.columns["in_stock"]
        assert isinstance(column, FlagColumn)
        return np.asarray(column.values == 1)
