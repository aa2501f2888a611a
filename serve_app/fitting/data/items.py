"""Builds the catalogue from the items of the database, with typed columns of attributes."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
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


def build_catalogue(items: pd.DataFrame, log: InteractionLog, n_dimensions: int) -> Catalogue:
    """All items, without anything that is learnt from interactions: features and vectors are zero.

    An item exists since its creation or its first interaction, whichever is earlier.

    Args:
        items: as ``database.fit_input.read_items`` returns them.

    Raises:
        NotEnoughData: there are no items.
    """
    if items.empty:
        raise NotEnoughData("there are no items: load some with `recserve load`")
    rows = items["item_row"].to_numpy()
    n = int(rows.max()) + 1
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
        columns={**attribute_columns(_by_row(items["attributes"], rows, n, {})), **standard},
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


def attribute_columns(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """One column per key: of numbers, flags or lists if all values are of that kind, else of texts.

    Args:
        attributes: one mapping per row; an absent key or a null is unknown for that row.
    """
    names = sorted({name for values in attributes for name in values} - STANDARD_COLUMNS.keys())
    return {name: _column([values.get(name) for values in attributes]) for name in names}


def _column(values: Sequence[Any]) -> Column:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, bool) for value in known):
        return FlagColumn.of(values)
    # bool is a number in Python, hence the flags before and the exception here.
    if known and all(isinstance(value, Real) and not isinstance(value, bool) for value in known):
        return NumberColumn(
            np.array([np.nan if value is None else value for value in values], float)
        )
    if known and all(isinstance(value, list | tuple) for value in known):
        return TagsColumn.of([[str(word) for word in value or ()] for value in values])
    return TextColumn.of([None if value is None else str(value) for value in values])


def _by_row(values: Iterable[Any], rows: NDArray[np.integer], n: int, empty: Any) -> list[Any]:
    """Values by row; ``empty`` for rows of deleted items, which no item takes again."""
    by_row = [empty] * n
    for row, value in zip(rows.tolist(), values, strict=True):
        by_row[row] = value
    return by_row
