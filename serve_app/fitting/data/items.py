"""Builds the catalogue from the items of the database, with typed columns of attributes."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.arrays.columns import (
    Column,
    FlagColumn,
    IdIndex,
    NumberColumn,
    TagsColumn,
    TextColumn,
    Texts,
)
from serve_app.domain.catalogue import STANDARD_COLUMNS, UNCATEGORISED, Catalogue
from serve_app.domain.interactions import InteractionLog
from serve_app.errors import NotEnoughData
from serve_app.recommending.scoring.model_features import ITEM_FEATURES

MIN_SPARE_ROWS = 500


def count_spare_rows(n_items: int, share: float) -> int:
    """Number of empty rows for the items that come before the next fit."""
    return max(math.ceil(share * n_items), MIN_SPARE_ROWS) if share else 0


def build_catalogue(
    items: pd.DataFrame,
    log: InteractionLog,
    n_dimensions: int,
    n_spare_rows: int = 0,
    kinds: Mapping[str, str] = MappingProxyType({}),
) -> Catalogue:
    """All items, without anything that is learnt from interactions: features and vectors are zero.

    An item exists since its creation or its first interaction, whichever is earlier.

    Args:
        items: as ``database.fit_input.read_items`` returns them.
        n_spare_rows: empty rows at the end.
        kinds: of attributes, see ``attribute_columns``.

    Raises:
        NotEnoughData: there are no items.
    """
    if items.empty:
        raise NotEnoughData("there are no items: load some with `recserve load`")
    n = int(items["item_row"].max()) + 1 + n_spare_rows
    return _catalogue_of(items, log, n_dimensions, n, kinds)


def empty_catalogue(n_rows: int, log: InteractionLog) -> Catalogue:
    """A catalogue without items, as ``build_catalogue`` makes one with items.

    Args:
        log: has no interactions.
    """
    numbers = {"item_row": "int32", "price": "float64", "created_at": "float64"}
    others = ("item_id", "title", "category", "tags", "in_stock", "attributes")
    nothing = pd.DataFrame({name: [] for name in (*numbers, *others)}).astype(numbers)
    return _catalogue_of(nothing, log, 0, n_rows, {})


def _catalogue_of(
    items: pd.DataFrame,
    log: InteractionLog,
    n_dimensions: int,
    n: int,
    kinds: Mapping[str, str],
) -> Catalogue:
    rows = items["item_row"].to_numpy()
    listed = np.zeros(n, bool)
    listed[rows] = True
    item_ids = _by_row(items["item_id"], rows, n, "")
    prices = np.full(n, np.nan)
    prices[rows] = items["price"]
    standard: dict[str, Column] = {
        "category": TextColumn.of(_by_row(_categories(items), rows, n, None)),
        "price": NumberColumn(prices),
        "tags": TagsColumn.of(_by_row(items["tags"], rows, n, ())),
        "in_stock": FlagColumn.of(_by_row(items["in_stock"], rows, n, False)),
        "created_at": NumberColumn(first_seen(items, log, n)),
        "avg_rating": NumberColumn(np.full(n, np.nan)),
        "num_ratings": NumberColumn(np.zeros(n)),
        "popularity": NumberColumn(np.zeros(n)),
    }
    return Catalogue(
        version="",
        item_ids=Texts.of(item_ids),
        titles=Texts.of(_by_row(items["title"], rows, n, "")),
        index=IdIndex.of(list(items["item_id"]), rows.astype(np.int32)),
        listed=listed,
        columns={**attribute_columns(_by_row(items["attributes"], rows, n, {}), kinds), **standard},
        vectors=np.zeros((n, n_dimensions), np.float32),
        features=np.zeros((n, len(ITEM_FEATURES)), np.float32),
    )


def _categories(items: pd.DataFrame) -> list[str | None]:
    return [None if name == UNCATEGORISED else name for name in items["category"]]


def first_seen(items: pd.DataFrame, log: InteractionLog, n_rows: int) -> NDArray[np.float64]:
    """Epoch seconds since when each item exists, shape (n_rows,), NaN where unknown."""
    earliest = np.full(n_rows, np.inf)
    earliest[items["item_row"]] = items["created_at"].fillna(np.inf)
    np.minimum.at(earliest, log.rows, log.at)
    return np.where(np.isfinite(earliest), earliest, np.nan)


def withdrawn_at(items: pd.DataFrame, n_rows: int) -> NDArray[np.float64]:
    """Epoch seconds since when each item is no longer listed, shape (n_rows,); NaN if it is."""
    withdrawn = np.full(n_rows, np.nan)
    # Data in memory have no such column: files cannot withdraw an item.
    if "withdrawn_at" in items:
        withdrawn[items["item_row"]] = items["withdrawn_at"]
    return withdrawn


def attribute_columns(
    attributes: Sequence[Mapping[str, Any]], kinds: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Column]:
    """One column per attribute of items.

    Args:
        attributes: one mapping per row; an absent key or a null is unknown for that row.
        kinds: number, flag, list or text by name, as the database remembers them. A filter on such
            an attribute is allowed even if no item has a value. An attribute without a kind here is
            of numbers, flags or lists if all its values are, else of texts.
    """
    names = (
        {name for values in attributes for name in values} | {*kinds}
    ) - STANDARD_COLUMNS.keys()
    columns = {name: [values.get(name) for values in attributes] for name in sorted(names)}
    return {
        name: _COLUMN_OF[kinds.get(name) or _kind_of(values)](values)
        for name, values in columns.items()
    }


def _kind_of(values: Sequence[Any]) -> str:
    known = [value for value in values if value is not None]
    for kind, holds in (("flag", _is_flag), ("number", _is_number), ("list", _is_list)):
        if known and all(map(holds, known)):
            return kind
    return "text"


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    # bool is a number in Python.
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


# Another program may have written values of another kind: they count as unknown.
_COLUMN_OF: Mapping[str, Callable[[Sequence[Any]], Column]] = {
    "number": lambda values: NumberColumn(
        np.array([value if _is_number(value) else np.nan for value in values], float)
    ),
    "flag": lambda values: FlagColumn.of([v if _is_flag(v) else None for v in values]),
    "list": lambda values: TagsColumn.of(
        [[str(word) for word in value] if _is_list(value) else [] for value in values]
    ),
    "text": lambda values: TextColumn.of([None if v is None else str(v) for v in values]),
}


def _by_row(values: Iterable[Any], rows: NDArray[np.integer], n: int, empty: Any) -> list[Any]:
    """Values by row; ``empty`` for rows without an item."""
    by_row = [empty] * n
    for row, value in zip(rows.tolist(), values, strict=True):
        by_row[row] = value
    return by_row
