"""Patches the columns that only filters read: tags, and the attributes that a shop declares."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serve_app.arrays.columns import (
    Column,
    FlagColumn,
    NumberColumn,
    PatchedColumn,
    Rows,
    StoredColumn,
    TagsColumn,
    TextColumn,
    kind_of,
)
from serve_app.arrays.grouping import matches
from serve_app.arrays.patches import merge

KINDS: Mapping[str, type[StoredColumn]] = {
    "number": NumberColumn,
    "flag": FlagColumn,
    "list": TagsColumn,
    "text": TextColumn,
}
"""Class of the column of each kind of attribute."""

Value = float | bool | str | tuple[str, ...] | None

MAX_NUMBER = float(np.finfo(np.float64).max)

_WORDS_PER_ROW = 4
"""Words per row of a patch, beyond which words that no row has any more are dropped."""


def changed_tags(column: Column, rows: Rows, tags: Sequence[Sequence[str]]) -> Column:
    """The column of tags with those of some rows; the same object if nothing differs."""
    return _changed(column, rows, [_as_kind(list(words), TagsColumn) for words in tags])


def changed_attribute(
    column: Column | None, rows: Rows, values: Sequence[Any], kind: str | None, n_rows: int
) -> Column | None:
    """The column of an attribute with the values of some rows; ``None`` if no row has any.

    Args:
        values: as JSON has them; ``None`` where an item lacks the attribute.
        kind: the declared kind, a key of ``KINDS``; ``None`` if nothing is declared.
        n_rows: length of the column.
    """
    has_values = any(value is not None for value in values)
    if column is None and not has_values:
        return None
    declared = KINDS.get(kind or "") or (kind_of(column) if column is not None else TextColumn)
    if column is None:
        column = PatchedColumn(None, np.empty(0, np.int32), _of_values([], declared))
    elif has_values and kind_of(column) is not declared:
        column = _converted(column, declared, n_rows)
    return _changed(column, rows, [_as_kind(value, kind_of(column)) for value in values])


def values_at(column: Column, rows: Rows) -> list[Value]:
    """Values of rows of a column, in a form that can be compared; ``None`` where unknown."""
    if not isinstance(column, PatchedColumn):
        return _values(column, rows)
    values: list[Value] = [_as_kind(None, kind_of(column))] * len(rows)
    if column.stored is not None:
        values = _values(column.stored, rows)
    positions, at = matches(rows, column.rows)
    patched = _values(column.patch, at.astype(np.int32))
    for position, value in zip(positions.tolist(), patched, strict=True):
        values[position] = value
    return values


def _changed(column: Column, rows: Rows, values: Sequence[Value]) -> Column:
    old = values_at(column, rows)
    differ = np.array([i for i, value in enumerate(values) if value != old[i]], np.intp)
    if not len(differ):
        return column
    new = _of_values([values[i] for i in differ], kind_of(column))
    if not isinstance(column, PatchedColumn):
        return PatchedColumn(column, rows[differ], new)
    merged_rows, merged = merge(column.rows, column.patch, rows[differ], new)
    return PatchedColumn(
        column.stored, merged_rows, _without_unused_words(merged, len(merged_rows))
    )


def _without_unused_words(column: StoredColumn, n_rows: int) -> StoredColumn:
    if not isinstance(column, TextColumn | TagsColumn):
        return column
    if len(column.vocabulary) <= _WORDS_PER_ROW * n_rows + 64:
        return column
    return _of_values(_values(column, np.arange(n_rows, dtype=np.int32)), type(column))


def _converted(column: Column, kind: type[StoredColumn], n_rows: int) -> Column:
    """The column in another kind, which a load declared; values that do not fit are unknown."""
    rows = np.arange(n_rows, dtype=np.int32)
    values = [_converted_value(value, kind) for value in values_at(column, rows)]
    known = np.array([i for i, value in enumerate(values) if value not in (None, ())], np.intp)
    return PatchedColumn(None, rows[known], _of_values([values[i] for i in known], kind))


def _converted_value(value: Value, kind: type[StoredColumn]) -> Value:
    if kind is not NumberColumn or not isinstance(value, str):
        return _as_kind(list(value) if isinstance(value, tuple) else value, kind)
    try:
        return float(value)
    except ValueError:
        return None


def _as_kind(value: Any, kind: type) -> Value:
    """A value of JSON as one of a kind of column; ``None``, or no words, if it is of another."""
    if kind is TagsColumn:
        return tuple(sorted({str(word) for word in value})) if isinstance(value, list) else ()
    if value is None:
        return None
    if kind is FlagColumn:
        return value if isinstance(value, bool) else None
    if kind is NumberColumn:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # A whole number of JSON may be larger than any float.
        is_float = is_number and abs(value) <= MAX_NUMBER
        return float(value) if is_float else None
    return str(value)


def _values(column: StoredColumn, rows: Rows) -> list[Value]:
    match column:
        case NumberColumn():
            numbers = column.values[rows].tolist()
            return [None if number != number else number for number in numbers]
        case FlagColumn():
            return [None if flag < 0 else flag == 1 for flag in column.values[rows].tolist()]
        case TextColumn():
            return [column.word(row) for row in rows.tolist()]
        case TagsColumn():
            return [tuple(sorted(column.words(row))) for row in rows.tolist()]


def _of_values(values: Sequence[Any], kind: type) -> StoredColumn:
    if kind is NumberColumn:
        return NumberColumn(np.array([np.nan if each is None else each for each in values], float))
    if kind is FlagColumn:
        return FlagColumn.of(values)
    return TagsColumn.of(values) if kind is TagsColumn else TextColumn.of(values)
