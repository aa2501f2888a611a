"""Further columns of items and users: kept with their types as one JSON object per row."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from serve_app.loading.cells import Cells, Faults

AttributeKind = Literal["number", "flag", "list", "text", "typed"]
"""How the cells of an attribute are kept; "typed" ones have their type from the file."""

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?")
_FLAGS = {"true": True, "false": False}
# How JSON writes what PostgreSQL cannot store: NUL, and halves of characters.
_UNSTORABLE = re.compile(r"(?<!\\)(\\\\)*\\u0000|[\ud800-\udfff]")


def attribute_kinds(chunks: Iterable[Mapping[str, Cells]]) -> dict[str, AttributeKind]:
    """
    Find out what the texts of each column are, so that all cells of a column get one type.

    A column is numbers or flags (true, false) when all its cells are; lists when any cell has a
    ``|``; else texts. A number with leading zeros is a code, and a text.
    """
    found: dict[str, set[AttributeKind]] = {}
    for columns in chunks:
        for name, cells in columns.items():
            found.setdefault(name, set()).update(
                _kind_of(str(cell)) for cell in cells if cell is not None
            )
    return {name: _settle(kinds) for name, kinds in found.items()}


def attributes(
    columns: Mapping[str, Cells], kinds: Mapping[str, AttributeKind], faults: Faults
) -> list[str]:
    """
    One JSON object per row, ``null`` for an empty cell.

    Args:
        columns: at least one.
        kinds: of columns of texts; columns that are not in it are typed already.
    """
    typed = [_typed(cells, kinds.get(name, "typed")) for name, cells in columns.items()]
    objects = []
    for i, row in enumerate(zip(*typed, strict=True)):
        text = ""
        try:
            text = json.dumps(
                dict(zip(columns, row, strict=True)),
                allow_nan=False,
                ensure_ascii=False,
                default=_plain,
            )
        except ValueError:
            faults.setdefault(i, "an attribute is an infinite number")
        if _UNSTORABLE.search(text):
            faults.setdefault(i, "an attribute has a NUL character or is no UTF-8")
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


def _typed(cells: Cells, kind: AttributeKind) -> Sequence[object]:
    if kind in ("text", "typed"):
        return cells
    convert = {"number": _number, "flag": _flag, "list": _list}[kind]
    return [None if cell is None else convert(str(cell)) for cell in cells]


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _flag(text: str) -> bool:
    return _FLAGS[text.lower()]


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split("|") if part.strip()]


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    return str(value)
