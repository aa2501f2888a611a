"""Reads the further columns of items and users as one JSON object per row, with types."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from serve_app.loading.cells import Cells, Faults

AttributeKind = Literal["number", "flag", "list", "text", "typed"]
"""Type of an attribute's cells; "typed" cells have their types from a Parquet file."""

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?")
_FLAGS = {"true": True, "false": False}
# PostgreSQL cannot store NUL and lone surrogates. JSON escapes NUL; an even number of backslashes
# before it would be a text that speaks of the escape.
_UNSTORABLE = re.compile(r"(?<!\\)(\\\\)*\\u0000|[\ud800-\udfff]")


def infer_attribute_kinds(chunks: Iterable[Mapping[str, Cells]]) -> dict[str, AttributeKind]:
    """Infers one kind for each column of texts, from all its cells.

    A column is of numbers or flags (true, false) if all its cells are; of lists if any cell has a
    ``|``; else of texts. A number with leading zeros is a code, hence a text.
    """
    kinds: dict[str, set[AttributeKind]] = {}
    for columns in chunks:
        for name, cells in columns.items():
            kinds.setdefault(name, set()).update(
                _kind_of(str(cell)) for cell in cells if cell is not None
            )
    return {name: _settle(of_cells) for name, of_cells in kinds.items()}


def read_attributes(
    columns: Mapping[str, Cells], kinds: Mapping[str, AttributeKind], faults: Faults
) -> list[str]:
    """Writes one JSON object per row, ``null`` for an empty cell.

    Args:
        columns: at least one.
        kinds: of columns of texts; other columns are typed already.
    """
    typed = [_convert(cells, kinds.get(name, "typed")) for name, cells in columns.items()]
    objects = []
    for i, row in enumerate(zip(*typed, strict=True)):
        text = ""
        try:
            attributes = dict(zip(columns, row, strict=True))
            text = json.dumps(attributes, allow_nan=False, ensure_ascii=False, default=_plain)
        except ValueError:
            faults.setdefault(i, "an attribute is an infinite number")
        if _UNSTORABLE.search(text):
            faults.setdefault(i, "an attribute has a NUL character or is not UTF-8")
        objects.append(text)
    return objects


def _kind_of(text: str) -> AttributeKind:
    if _NUMBER.fullmatch(text):
        return "number"
    if text.lower() in _FLAGS:
        return "flag"
    return "list" if "|" in text else "text"


def _settle(kinds: set[AttributeKind]) -> AttributeKind:
    if len(kinds) == 1:
        return next(iter(kinds))
    return "list" if "list" in kinds else "text"


def _convert(cells: Cells, kind: AttributeKind) -> Sequence[object]:
    if kind in ("text", "typed"):
        return cells
    return [None if cell is None else _CONVERT[kind](str(cell)) for cell in cells]


_CONVERT: Mapping[str, Callable[[str], object]] = {
    "number": lambda text: float(text) if "." in text else int(text),
    "flag": lambda text: _FLAGS[text.lower()],
    "list": lambda text: [part.strip() for part in text.split("|") if part.strip()],
}


def _plain(value: object) -> object:
    """Converts a Parquet value that JSON does not know."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    return str(value)
