"""Writes the described values of changed items into a catalogue: price, stock, words, attributes.

The columns that every request reads become new arrays where a value differs. Others get patches,
because only filters and metadata read them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import (
    MISSING,
    Column,
    FlagColumn,
    IdIndex,
    NumberColumn,
    Rows,
    TextColumn,
    Texts,
)
from serve_app.arrays.patches import PatchedIndex, PatchedTexts
from serve_app.domain.catalogue import STANDARD_COLUMNS, UNCATEGORISED, Catalogue
from serve_app.domain.item_changes import ItemChange
from serve_app.live.patched_columns import changed_attribute, changed_tags
from serve_app.recommending.scoring.model_features import DAYS_SINCE_LAST


def describe_anew(
    catalogue: Catalogue, items: Sequence[ItemChange], rows: Rows, kinds: Mapping[str, str]
) -> Catalogue:
    """The catalogue with the items as they are described now.

    Args:
        rows: of the items, ascending, each below ``len(catalogue)``.
        kinds: of attributes, as in ``Changes``.
    """
    ids, index = _identified(catalogue, items, rows)
    return replace(
        catalogue,
        item_ids=ids,
        index=index,
        titles=_patched_texts(catalogue.titles, [item.title for item in items], rows),
        listed=_set(catalogue.listed, rows, np.array([item.is_listed for item in items])),
        columns={
            **catalogue.columns,
            **_standard_columns(catalogue, items, rows),
            **_attributes(catalogue, items, rows, kinds),
        },
    )


def _identified(
    catalogue: Catalogue, items: Sequence[ItemChange], rows: Rows
) -> tuple[Texts, IdIndex]:
    item_ids = [item.item_id for item in items]
    ids = _patched_texts(catalogue.item_ids, item_ids, rows)
    if ids is catalogue.item_ids:
        return ids, catalogue.index
    return ids, PatchedIndex.over(catalogue.index, IdIndex.of(item_ids, rows))


def _standard_columns(
    catalogue: Catalogue, items: Sequence[ItemChange], rows: Rows
) -> dict[str, Column]:
    in_stock = catalogue.columns["in_stock"]
    assert isinstance(in_stock, FlagColumn)
    flags = _set(in_stock.values, rows, np.array([item.in_stock for item in items], np.int8))
    columns: dict[str, Column] = {
        "price": _numbers(catalogue, "price", rows, [item.price for item in items]),
        "created_at": _numbers(catalogue, "created_at", rows, _ages(catalogue, items, rows)),
        "category": _categorised(catalogue.categories, items, rows),
        "tags": changed_tags(catalogue.columns["tags"], rows, [item.tags for item in items]),
    }
    if flags is not in_stock.values:
        columns["in_stock"] = FlagColumn(flags)
    return columns


def _numbers(
    catalogue: Catalogue, name: str, rows: Rows, numbers: Iterable[float | None]
) -> Column:
    new = np.array([np.nan if number is None else number for number in numbers], float)
    values = catalogue.number(name)
    changed = _set(values, rows, new.astype(values.dtype))
    return catalogue.columns[name] if changed is values else NumberColumn(changed)


def _ages(catalogue: Catalogue, items: Sequence[ItemChange], rows: Rows) -> list[float | None]:
    """An item exists since its creation or its first interaction, whichever is earlier."""
    known = catalogue.number("created_at")[rows].tolist()
    # The fit knows no interaction with these items: their age is what the shop says of it.
    is_untried = np.isnan(catalogue.features[rows, DAYS_SINCE_LAST]).tolist()
    return [
        item.created_at if untried else _earlier(before, item.created_at)
        for item, before, untried in zip(items, known, is_untried, strict=True)
    ]


def _earlier(before: float, now: float | None) -> float:
    # ``fmin`` gives the other number where one is NaN.
    return float(np.fmin(before, np.nan if now is None else now))


def _categorised(categories: TextColumn, items: Sequence[ItemChange], rows: Rows) -> TextColumn:
    words = [None if item.category == UNCATEGORISED else item.category for item in items]
    code_of = categories.code_of
    new = list(dict.fromkeys(word for word in words if word is not None and word not in code_of))
    if new:
        # Behind the others: codes of a batch that is under way keep their meaning.
        n_known = categories.n_words
        code_of = code_of | {word: n_known + i for i, word in enumerate(new)}
        categories = TextColumn(categories.codes, categories.vocabulary.join(Texts.of(new)))
    codes = np.array([MISSING if word is None else code_of[word] for word in words], np.int32)
    changed = _set(categories.codes, rows, codes)
    if changed is categories.codes:
        return categories
    return TextColumn(changed, categories.vocabulary)


def _attributes(
    catalogue: Catalogue, items: Sequence[ItemChange], rows: Rows, kinds: Mapping[str, str]
) -> dict[str, Column]:
    names = {name for item in items for name in item.attributes}
    names |= catalogue.columns.keys()
    changed: dict[str, Column] = {}
    for name in sorted(names - STANDARD_COLUMNS.keys()):
        values = [item.attributes.get(name) for item in items]
        column = catalogue.columns.get(name)
        new = changed_attribute(column, rows, values, kinds.get(name), len(catalogue))
        if new is not None and new is not column:
            changed[name] = new
    return changed


def _patched_texts(texts: Texts, new: Sequence[str], rows: Rows) -> Texts:
    differ = _positions(lambda i: texts.at(int(rows[i])) != new[i], len(new))
    if not len(differ):
        return texts
    return PatchedTexts.over(texts, rows[differ], Texts.of([new[i] for i in differ]))


def _positions(holds: Callable[[int], bool], n: int) -> NDArray[np.intp]:
    return np.array([i for i in range(n) if holds(i)], np.intp)


def _set(array: NDArray[Any], rows: Rows, values: NDArray[Any]) -> NDArray[Any]:
    """The array with other values of some rows; the same object if nothing differs."""
    old = array[rows]
    # NaN, an unknown number, differs from itself.
    differ = (old != values) & ~((old != old) & (values != values))
    if not differ.any():
        return array
    changed = array.copy()
    changed[rows[differ]] = values[differ]
    return changed
