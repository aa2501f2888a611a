"""Describes rows as they come from a file, column by column, before they are checked.

One rule holds for cells of every format. Blanks around a text do not count, and an empty text is
missing, as is a word that other systems write for it (``MISSING``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from serve_app.loading.rejects import Reject

Cells = Sequence[object]
"""Cells of one column; a missing cell is ``None``."""

MISSING = frozenset(
    {"", "NULL", "Null", "null", "\\N", "NaN", "NAN", "nan", "-nan", "None", "NA", "N/A", "n/a"}
    | {"<NA>", "#N/A", "#NA"}
)
"""Texts that stand for a missing value, in any column. ``none`` is a word of a shop."""

EXACT_BELOW = 2.0**53
"""Above it, a float does not hold every integer: ids that differ become one."""


class Times(list[float | None]):
    """Cells of a column that the file declares to hold times, in epoch seconds."""


class Floats(list[float | None]):
    """Cells of a column of floats.

    Attributes:
        exact_below: from here on, the column's type does not hold every integer.
    """

    def __init__(self, cells: Iterable[float | None], exact_below: float) -> None:
        super().__init__(cells)
        self.exact_below = exact_below


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        lines: of each row, its line in a CSV file (the header is line 1) or its number from 1 in
            a Parquet file.
        columns: by name, the cells of all rows; a missing cell is ``None``. Cells of a CSV file are
            texts; times of a Parquet file are ``Times``.
        misshapen: rows that cannot be split into a cell for each column.
        share_read: share of the file read so far, 0 … 1.
        spans: first line and number of lines, of each row that spans several lines.
    """

    lines: Sequence[int]
    columns: Mapping[str, Cells]
    misshapen: Sequence[Reject]
    share_read: float
    spans: Sequence[tuple[int, int]] = ()


def known_text(text: str) -> str | None:
    """The text without blanks around it; ``None`` if it stands for a missing value."""
    text = text.strip()
    return None if text in MISSING else text


def known(cells: Iterable[object]) -> list[object]:
    """Applies ``known_text`` to the texts among the cells."""
    return [known_text(cell) if isinstance(cell, str) else cell for cell in cells]
