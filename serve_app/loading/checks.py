"""Chooses the check for a file's rows, and lists the rejected rows in a file next to it."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from serve_app.errors import DataRejected
from serve_app.loading.attributes import AttributeKind, infer_attribute_kinds
from serve_app.loading.csv_and_parquet import Chunk, column_names, read_chunks
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


class RowCheck(NamedTuple):
    """The check of a file's rows.

    Attributes:
        check: separates the good rows of a chunk from the bad ones.
        columns: of the good rows, after their line.
    """

    check: Callable[[Chunk], CheckedRows]
    columns: tuple[str, ...]


def choose_check(kind: Kind, file: Path, limits: Limits) -> RowCheck:
    """Chooses the check for a file's rows. Reads a CSV file with attributes to infer their types.

    Raises:
        DataRejected: the file cannot be read, or lacks a column.
    """
    names = column_names(file)
    for required in _REQUIRED[kind]:
        if required not in names:
            present = ", ".join(names)
            raise DataRejected(file, f"it has no column {required!r}; its columns are: {present}")
    if kind == "interactions":
        return RowCheck(partial(check_interactions, limits=limits), INTERACTION_COLUMNS)
    described = DESCRIBED[kind]
    kinds = _attribute_kinds(file, described, names)
    check = partial(check_described, described=described, kinds=kinds)
    return RowCheck(check, described.columns(names))


def _attribute_kinds(
    file: Path, described: Described, names: tuple[str, ...]
) -> Mapping[str, AttributeKind]:
    further = described.further(names)
    # The cells of a Parquet file are typed.
    if file.suffix.lower() != ".csv" or not further:
        return {}
    return infer_attribute_kinds(
        {name: chunk.columns[name] for name in further} for chunk in read_chunks(file)
    )


def bound_rejects(
    file: Path, n_rows: int, rejects: Counter[str], max_share: float, hint: str = ""
) -> None:
    """Refuses a file with too many rejected rows.

    Args:
        n_rows: rows of the file, rejected ones included.
        rejects: rejected rows by reason.
        hint: end of the error message.

    Raises:
        DataRejected: more than ``max_share`` of the rows are rejected.
    """
    if rejects.total() > max_share * n_rows:
        bad = f"{rejects.total()} of {n_rows} rows are bad, at most {max_share:.0%} may be"
        raise DataRejected(file, f"{bad}: {in_words(rejects)}{hint}")


def in_words(rejects: Counter[str]) -> str:
    """``3 × price is negative, 1 × item_id is empty``, most frequent first."""
    return ", ".join(f"{n} × {reason}" for reason, n in rejects.most_common())


def rejects_file_of(file: Path) -> Path:
    """``shop/items.csv`` → ``shop/items.csv.rejects.csv``."""
    return file.with_name(f"{file.name}.rejects.csv")


class Rejects:
    """Writes line and reason of a file's rejected rows; without any, no file is left behind.

    Attributes:
        counts: rejected rows by reason.
    """

    def __init__(self, file: Path) -> None:
        """Removes the rejects of an earlier load; raises DataRejected if it cannot."""
        self.counts: Counter[str] = Counter()
        self._file = file
        self._path = rejects_file_of(file)
        with self._writing():
            self._path.unlink(missing_ok=True)

    def add(self, rejects: Sequence[tuple[int, str]]) -> None:
        """Appends rejected lines, with their reasons, to the file, and counts the reasons.

        Raises:
            DataRejected: the folder of the file is not writable.
        """
        if not rejects:
            return
        with self._writing(), self._path.open("a", encoding="utf-8", newline="") as text:
            writer = csv.writer(text)
            if not self.counts:
                writer.writerow(("line", "reason"))
            writer.writerows(rejects)
        self.counts.update(reason for _, reason in rejects)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"cannot write {self._path.name} next to it: {error.strerror}"
            raise DataRejected(self._file, reason) from error
