"""Defines filters, and computes the items that they allow. ``filters.parsing`` reads them."""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import (
    MISSING,
    FlagColumn,
    Mask,
    NumberColumn,
    PatchedColumn,
    Rows,
    StoredColumn,
    TagsColumn,
    TextColumn,
    kind_of,
)
from serve_app.arrays.grouping import matches
from serve_app.domain.catalogue import Catalogue

ITEM_ID = "item_id"
"""The field that every catalogue has beside its columns."""

Operand = str | float | bool

NEGATIONS: Mapping[str, str] = {"not_in": "in", "none": "any"}
"""Operators that hold exactly where another one does not, also for unknown values."""

COMPARISONS: Mapping[str, Callable[[NDArray[np.floating], np.floating], Mask]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one field.

    Attributes:
        field: a column of the catalogue, or ``ITEM_ID``.
        kind: class of the column that the condition expects; ``IdIndex`` for ``ITEM_ID``.
        operator: one of ``in``, ``any``, ``all``, ``COMPARISONS`` and ``NEGATIONS``.
        operands: distinct, ascending; a comparison has one.
    """

    field: str
    kind: type
    operator: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Allows the items for which all conditions hold.

    Filters with the same meaning are equal: ``eq`` or a list of one, any order, repetitions.

    Attributes:
        conditions: distinct, at least one, in a fixed order.
    """

    conditions: tuple[Condition, ...]


def filter_mask(wanted: Filter, catalogue: Catalogue, rows: Rows | None = None) -> Mask:
    """Rows that the filter allows, shape (n,), bool.

    Unknown values (NaN, no category, no tags) match only ``not_in`` and ``none``. All values are
    unknown if the catalogue lacks the field, or has another kind of column under its name. Rows
    without an item may be allowed, too: combine the mask with ``listed``.

    Args:
        rows: the n rows to look at; all by default.
    """
    allowed = np.ones(len(catalogue) if rows is None else len(rows), bool)
    for condition in wanted.conditions:
        allowed &= _condition_mask(condition, catalogue, rows)
    return allowed


def size_of(wanted: Filter) -> int:
    """Estimate the memory of a filter, in bytes."""
    operands = (operand for condition in wanted.conditions for operand in condition.operands)
    # About 64 bytes for an object of Python and its place in the tuple.
    return sum(64 + (len(operand) if isinstance(operand, str) else 0) for operand in operands)


def cache_key(wanted: Filter | None) -> str:
    """Text that is equal for equal filters, in every process; also for ``None``."""
    conditions = () if wanted is None else wanted.conditions
    return json.dumps(
        [(c.field, c.operator, c.operands) for c in conditions], separators=(",", ":")
    )


def _condition_mask(condition: Condition, catalogue: Catalogue, rows: Rows | None) -> Mask:
    positive = NEGATIONS.get(condition.operator, condition.operator)
    operands = condition.operands
    holds = np.zeros(len(catalogue) if rows is None else len(rows), bool)
    if condition.field == ITEM_ID:
        found = catalogue.index.find([str(item_id) for item_id in operands])
        found = found[found != MISSING]
        if rows is None:
            holds[found] = True
        else:
            holds = np.isin(rows, found)
    else:
        column = catalogue.columns.get(condition.field)
        if column is not None and kind_of(column) is condition.kind:
            if isinstance(column, PatchedColumn):
                holds = _patched_matches(column, positive, operands, rows, holds)
            else:
                holds = _matches(column, positive, operands, rows)
    # Negated last: an unknown value fails the positive operator, and so matches its negation.
    return ~holds if condition.operator in NEGATIONS else holds


def _patched_matches(
    column: PatchedColumn, op: str, operands: Sequence[Operand], rows: Rows | None, unknown: Mask
) -> Mask:
    holds = unknown
    if column.stored is not None:
        holds = _matches(column.stored, op, operands, rows)
    patched = _matches(column.patch, op, operands, None)
    if rows is None:
        holds[column.rows] = patched
    else:
        positions, at = matches(rows, column.rows)
        holds[positions] = patched[at]
    return holds


def _matches(column: StoredColumn, op: str, operands: Sequence[Operand], rows: Rows | None) -> Mask:
    at = slice(None) if rows is None else rows
    match column:
        case NumberColumn():
            return _numbers_match(column.values[at], op, operands)
        case FlagColumn():
            return np.asarray(column.values[at] == int(bool(operands[0])))
        case TextColumn():
            # Code MISSING is -1 and reads the last entry, which stands for rows without a word.
            return np.asarray(_wanted_words(column, operands)[column.codes[at]])
        case TagsColumn():
            # The few rows are cut out: their words are those of the whole column.
            return _tags_match(column if rows is None else column.select(rows), op, operands)


def _numbers_match(values: NDArray[np.floating], op: str, operands: Sequence[Operand]) -> Mask:
    # In the column's precision: 19.99 must equal the 19.99 of a float32 column. A bound that is too
    # large for float32 becomes infinite, which compares correctly.
    with np.errstate(over="ignore"):
        bounds = np.array(operands, np.float64).astype(values.dtype)
    if op == "in":
        return np.isin(values, bounds)
    return COMPARISONS[op](values, bounds[0])


def _tags_match(column: TagsColumn, op: str, operands: Sequence[Operand]) -> Mask:
    wanted = _wanted_words(column, operands)
    hits = np.flatnonzero(wanted[column.codes])
    row_of_hit = np.searchsorted(column.offsets, hits, side="right") - 1
    n_hits = np.bincount(row_of_hit, minlength=len(column.offsets) - 1)
    # Tags are distinct within a row: as many hits as operands means all operands.
    return n_hits >= (len(operands) if op == "all" else 1)


def _wanted_words(column: TextColumn | TagsColumn, words: Sequence[Operand]) -> Mask:
    """Tells for each code whether it is wanted, shape (n_words + 1,); the last entry is False."""
    wanted, code_of = np.zeros(len(column.vocabulary) + 1, bool), column.code_of
    wanted[[code_of[str(word)] for word in words if word in code_of]] = True
    return wanted
