"""Reads the filters of requests: checks them, and brings them to one spelling."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from serve_app.arrays.columns import (
    MAX_ID_CHARS,
    FlagColumn,
    IdIndex,
    NumberColumn,
    TagsColumn,
    TextColumn,
)
from serve_app.domain.catalogue import TIME_COLUMNS
from serve_app.domain.filters.contradictions import exclude_all
from serve_app.domain.filters.masks import ITEM_ID, Condition, Filter, Operand
from serve_app.errors import InvalidRequest

MAX_CONDITIONS = 20
"""Each operator of a field is a condition, and costs a pass over the catalogue."""
MAX_VALUES = 1_000
"""Largest number of values in all lists together."""
MAX_TEXT_CHARS = MAX_ID_CHARS
"""Every id of an item has to fit."""

LIST_OPERATORS = frozenset({"in", "not_in", "any", "all", "none"})
HOLD_WITHOUT_OPERANDS = frozenset({"not_in", "all", "none"})


@dataclass(frozen=True, slots=True)
class Grammar:
    """The syntax of conditions on one kind of column.

    Attributes:
        operators: the operators of the kind; the first one is the default.
        operand: describes a valid operand in messages.
        read: returns the operand, or ``None`` if the value is no valid one.
    """

    operators: tuple[str, ...]
    operand: str
    read: Callable[[object], Operand | None]


def parse_filter(raw: Mapping[str, object], columns: Mapping[str, type]) -> Filter | None:
    """Reads the ``filters`` of a request; ``None`` if there is no condition.

    Each field has a value, a list of values (any of them), or operators that must all hold:
    ``{"category": ["a", "b"], "price": {"gt": 5, "lte": 20}, "tags": {"none": ["x"]}}``. An
    empty list is allowed for ``not_in``, ``none`` and ``all``, which then always hold.

    Args:
        raw: the decoded JSON object.
        columns: kind of column by name, for instance ``STANDARD_COLUMNS``; ``item_id`` is implied.

    Raises:
        InvalidRequest: located at the field and, if one is named, the operator.
    """
    _check_size(raw)
    # A set, then a fixed order: equal filters have to be equal keys of caches.
    conditions: set[Condition] = set()
    for field, spelt in raw.items():
        of_field = list(_conditions(field, spelt, columns))
        if exclude_all(of_field):
            raise InvalidRequest(_location(field), "no item can meet all of these conditions")
        conditions.update(of_field)
    in_order = sorted(conditions, key=lambda c: (c.field, c.operator, c.operands))
    return Filter(tuple(in_order)) if in_order else None


def _check_size(raw: Mapping[str, object]) -> None:
    """Refuse filters that take long to read or to compute, before anything is read."""
    conditions = [
        condition
        for spelt in raw.values()
        for condition in (spelt.values() if isinstance(spelt, Mapping) else [spelt])
    ]
    n_values = sum(
        len(condition) if isinstance(condition, list | tuple) else 1 for condition in conditions
    )
    for n, limit, counted in (
        (max(len(conditions), len(raw)), MAX_CONDITIONS, "conditions"),
        (n_values, MAX_VALUES, "values"),
    ):
        if n > limit:
            raise InvalidRequest(
                ("body", "filters"), f"at most {limit} {counted} are allowed in all, these are {n}"
            )


def _conditions(field: str, spelt: object, columns: Mapping[str, type]) -> Iterator[Condition]:
    kind = IdIndex if field == ITEM_ID else columns.get(field)
    if kind is None:
        known = ", ".join(sorted({*columns, ITEM_ID}))
        raise InvalidRequest(_location(field), f"unknown field; known are {known}")
    grammar = TIME_GRAMMAR if field in TIME_COLUMNS else GRAMMARS[kind]
    if not isinstance(spelt, Mapping):
        operator = grammar.operators[0]
        yield from _condition(field, kind, operator, _read(spelt, operator, grammar, field))
        return
    for operator, operand in spelt.items():
        if operator not in grammar.operators:
            known = ", ".join(grammar.operators)
            raise InvalidRequest(_location(field, operator), f"unknown operator; known are {known}")
        operands = _read(operand, operator, grammar, field, operator)
        yield from _condition(field, kind, operator, operands)


def _condition(
    field: str, kind: type, operator: str, operands: tuple[Operand, ...]
) -> Iterator[Condition]:
    if operands or operator not in HOLD_WITHOUT_OPERANDS:
        yield Condition(field, kind, "in" if operator == "eq" else operator, operands)


def _read(spelt: object, operator: str, grammar: Grammar, *where: str) -> tuple[Operand, ...]:
    """Operands, distinct and ascending."""
    # Where no list is allowed, a list is one value, which `read` then rejects.
    takes_list = operator in LIST_OPERATORS
    values = spelt if takes_list and isinstance(spelt, list | tuple) else [spelt]
    operands: set[Operand] = set()
    for value in values:
        operand = grammar.read(value)
        if operand is None:
            or_list = ", or a list of them" if takes_list else ""
            raise InvalidRequest(_location(*where), f"must be {grammar.operand}{or_list}")
        operands.add(operand)
    if not operands and operator not in HOLD_WITHOUT_OPERANDS:
        raise InvalidRequest(_location(*where), "must name a value: an empty list allows no item")
    return tuple(sorted(operands))


def _location(*where: str) -> tuple[str, ...]:
    # A made-up name may be long, or contain half a surrogate pair, which JSON in UTF-8 cannot.
    shown = (word[:MAX_TEXT_CHARS].encode(errors="replace").decode() for word in where)
    return ("body", "filters", *shown)


def _number(value: object) -> float | None:
    # True is an int to Python.
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # Rejects NaN, infinities, and integers too large for a float.
    if not -sys.float_info.max <= value <= sys.float_info.max:
        return None
    return float(value) + 0.0  # -0.0 and 0.0 are one number and need one spelling


def _time(value: object) -> float | None:
    if not isinstance(value, str):
        return _number(value)
    if value[4:5] != "-":  # Python also reads dates without hyphens; those may be epoch seconds
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: object) -> str | None:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        return None
    is_unicode = not any("\ud800" <= char <= "\udfff" for char in value)
    return value if is_unicode else None


TEXT = f"text of at most {MAX_TEXT_CHARS} characters"

GRAMMARS: Mapping[type, Grammar] = {
    NumberColumn: Grammar(
        ("in", "eq", "not_in", "gt", "gte", "lt", "lte"), "a finite number", _number
    ),
    FlagColumn: Grammar(("eq",), "true or false", _flag),
    TextColumn: Grammar(("in", "eq", "not_in"), TEXT, _text),
    TagsColumn: Grammar(("any", "all", "none"), TEXT, _text),
    IdIndex: Grammar(("in", "eq", "not_in"), TEXT, _text),
}

TIME_GRAMMAR = replace(
    GRAMMARS[NumberColumn], operand="epoch seconds or an ISO 8601 time", read=_time
)
