"""Reads the further columns of items and users as one JSON object per row, with types.

Each attribute has one kind, which the database remembers: a filter that works today works after any
later file. A cell of another type is converted where nothing is lost, else its row is rejected.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Literal, get_args

from serve_app.loading.cells import flag_of, parts_of, text_of
from serve_app.loading.chunk import EXACT_BELOW, Cells
from serve_app.loading.csv_rows import MAX_CELL_CHARS, TOO_LONG_TEXT
from serve_app.loading.rejects import Faults

AttributeKind = Literal["number", "flag", "list", "text"]
KINDS: tuple[AttributeKind, ...] = get_args(AttributeKind)

_WRITTEN_AS_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?", re.ASCII)
"""A column of such texts holds numbers. Leading zeros and more digits are those of a code."""
_INTEGER = re.compile(r"[-+]?\d{1,20}", re.ASCII)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
"""Python would also take ``1_000`` and digits of other scripts for numbers; prices are neither."""
# PostgreSQL cannot store NUL and lone surrogates. JSON escapes NUL; an even number of backslashes
# before it would be a text that speaks of the escape.
_UNSTORABLE = re.compile(r"(?<!\\)(\\\\)*\\u0000|[\ud800-\udfff]")


def infer_attribute_kinds(
    chunks: Iterable[Mapping[str, Cells]], *, typed: bool
) -> dict[str, AttributeKind]:
    """Infers one kind for each column, from all its cells; a column without cells has none.

    A column is of numbers or flags (true, false) if all its cells are; of lists if any cell has a
    ``|``; else of texts.

    Args:
        typed: a text of a Parquet file is a text, whatever is written in it.
    """
    kinds: dict[str, set[AttributeKind]] = {}
    for columns in chunks:
        for name, cells in columns.items():
            of_cells = {_kind_of(cell, typed=typed) for cell in cells if cell is not None}
            kinds.setdefault(name, set()).update(of_cells)
    return {name: _settle(of_cells) for name, of_cells in kinds.items() if of_cells}


def read_attributes(
    columns: Mapping[str, Cells], kinds: Mapping[str, AttributeKind], faults: Faults
) -> list[str]:
    """Writes one JSON object per row, ``null`` for a missing cell.

    Args:
        columns: at least one.
        kinds: of the columns that have cells.
    """
    converted = [
        _convert(name, cells, kinds.get(name, "text"), faults) for name, cells in columns.items()
    ]
    objects = []
    for i, row in enumerate(zip(*converted, strict=True)):
        text = json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
        if _UNSTORABLE.search(text):
            faults.note(i, "an attribute has a NUL character or is not UTF-8", "", text)
        objects.append(text)
    return objects


def _kind_of(cell: object, *, typed: bool) -> AttributeKind:
    if isinstance(cell, bool):
        return "flag"
    if isinstance(cell, int | float | Decimal | timedelta):
        return "number"
    if isinstance(cell, list):
        return "list"
    return "text" if typed else _kind_of_text(str(cell))


def _kind_of_text(text: str) -> AttributeKind:
    if _WRITTEN_AS_NUMBER.fullmatch(text):
        return "number"
    if text.lower() in ("true", "false"):
        return "flag"
    return "list" if "|" in text else "text"


def _settle(kinds: set[AttributeKind]) -> AttributeKind:
    if len(kinds) == 1:
        return next(iter(kinds))
    return "list" if "list" in kinds else "text"


def _convert(name: str, cells: Cells, kind: AttributeKind, faults: Faults) -> list[object]:
    convert = _CONVERT[kind]
    values: list[object] = []
    for i, cell in enumerate(cells):
        try:
            values.append(None if cell is None else convert(cell))
        except ValueError as error:
            values.append(None)
            reason = f"attribute {name} {error} (--attribute changes its kind)"
            faults.note(i, reason, name, cell)
    return values


def _number(cell: Any) -> int | float:
    if isinstance(cell, timedelta):
        cell = cell.total_seconds()
    if isinstance(cell, str):
        if not _NUMBER.fullmatch(cell):
            raise ValueError("is not a number")
        cell = int(cell) if _INTEGER.fullmatch(cell) else float(cell)
    try:
        number = cell if isinstance(cell, int) and not isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("is not a number") from None
    if isinstance(cell, bool) or not isfinite(number):
        raise ValueError("is not a number")
    # Filters compare floats, and JSON libraries refuse integers of more than 64 bits.
    if abs(number) > EXACT_BELOW:
        raise ValueError("is a number beyond 2^53, which would lose digits")
    return number


def _flag(cell: object) -> bool:
    flag = flag_of(cell)
    if flag is None:
        raise ValueError("is neither true nor false")
    return flag


def _text(cell: object) -> str | None:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, list):
        return "|".join(parts_of(cell))
    if isinstance(cell, dict):
        return json.dumps(cell, ensure_ascii=False, default=str)
    if isinstance(cell, timedelta):
        return str(cell.total_seconds())
    text = text_of(cell)
    if text is not None and len(text) > MAX_CELL_CHARS:
        raise ValueError(TOO_LONG_TEXT)
    return text


_CONVERT: Mapping[AttributeKind, Callable[[Any], object]] = {
    "number": _number,
    "flag": _flag,
    "list": lambda cell: parts_of(cell if isinstance(cell, list) else _text(cell)),
    "text": _text,
}
