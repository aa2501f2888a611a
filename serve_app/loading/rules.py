"""What a file must have, and how its rows are checked: for the database and for reading alone."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from serve_app.errors import DataRejected
from serve_app.loading.attributes import AttributeKind, attribute_kinds
from serve_app.loading.files import Chunk, column_names, read_chunks
from serve_app.loading.rows import (
    DESCRIBED,
    INTERACTION_COLUMNS,
    CheckedRows,
    Described,
    Limits,
    check_described,
    check_interactions,
)
from serve_app.stores.postgres.bulk_load import Kind

_REQUIRED: Mapping[Kind, tuple[str, ...]] = {
    "items": ("item_id",),
    "users": ("user_id",),
    "interactions": ("user_id", "item_id", "timestamp"),
}


class Rules(NamedTuple):
    """
    Attributes:
        check: sorts out the rows of a chunk.
        columns: of the rows that it lets through, after their line.
    """

    check: Callable[[Chunk], CheckedRows]
    columns: tuple[str, ...]


def rules_of(kind: Kind, file: Path, limits: Limits) -> Rules:
    """
    How the rows of a file are to be checked. A CSV file with attributes is read for it.

    Raises:
        DataRejected: it cannot be read, or lacks a column.
    """
    names = column_names(file)
    for required in _REQUIRED[kind]:
        if required not in names:
            found = ", ".join(names)
            raise DataRejected(file, f"it has no column {required!r}; its columns are: {found}")
    if kind == "interactions":
        return Rules(partial(check_interactions, limits=limits), INTERACTION_COLUMNS)
    described = DESCRIBED[kind]
    kinds = _attribute_kinds(file, described, names)
    check = partial(check_described, described=described, kinds=kinds)
    return Rules(check, described.columns(names))


def bound_rejects(
    file: Path, n_rows: int, rejects: Counter[str], max_share: float, where: str = ""
) -> None:
    """
    Args:
        n_rows: of the file, rejected ones included.
        rejects: rejected rows by reason.
        where: the rows are listed; the end of the sentence.

    Raises:
        DataRejected: there are too many of them.
    """
    if rejects.total() > max_share * n_rows:
        raise DataRejected(
            file,
            f"{rejects.total()} of {n_rows} rows are bad, at most {max_share:.0%} may be:"
            f" {in_words(rejects)}{where}",
        )


def in_words(rejects: Counter[str]) -> str:
    """``3 × price is negative, 1 × item_id is empty``, the most frequent first."""
    return ", ".join(f"{n} × {reason}" for reason, n in rejects.most_common())


def _attribute_kinds(
    file: Path, described: Described, names: tuple[str, ...]
) -> Mapping[str, AttributeKind]:
    """Of the cells of a CSV file; those of others are typed."""
    further = described.further(names)
    if file.suffix.lower() != ".csv" or not further:
        return {}
    return attribute_kinds(
        {name: chunk.columns[name] for name in further} for chunk in read_chunks(file)
    )
