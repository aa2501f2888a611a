"""Chooses the check for a file's rows, and lists the rejected rows in a file next to it."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from serve_app.database.bulk_load import Kind
from serve_app.errors import DataRejected
from serve_app.loading.attributes import AttributeKind, infer_attribute_kinds
from serve_app.loading.chunk import Chunk
from serve_app.loading.csv_and_parquet import column_names, is_parquet, read_chunks
from serve_app.loading.notes import notes_on_columns
from serve_app.loading.rejects import Reject, RejectCounts
from serve_app.loading.rows import (
    DESCRIBED,
    INTERACTION_COLUMNS,
    REQUIRED,
    CheckedRows,
    Described,
    Limits,
    check_described,
    check_interactions,
)

_OTHER_SIGNS: Mapping[str, str] = {";": "semicolons", "\t": "tabs", "|": "bars"}


class RowCheck(NamedTuple):
    """
    Attributes:
        check: separates the good rows of a chunk from the bad ones.
        columns: of the good rows, after their line.
        notes: what the file leaves open and how it is understood, in sentences.
        new_kinds: kinds of the attributes that were not known before.
    """

    check: Callable[[Chunk], CheckedRows]
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    new_kinds: Mapping[str, AttributeKind] = {}


def choose_check(
    kind: Kind, file: Path, limits: Limits, known: Mapping[str, AttributeKind]
) -> RowCheck:
    """Chooses the check for a file's rows. Reads a file with new attributes to infer their kinds.

    Args:
        known: kinds of the attributes that are known already.

    Raises:
        DataRejected: the file cannot be read, lacks a column, or has a column that a fit computes.
    """
    names = column_names(file)
    for required in REQUIRED[kind]:
        if required not in names:
            raise DataRejected(file, f"it has no column {required!r}; {_present(names)}")
    if kind == "interactions":
        check = partial(check_interactions, limits=limits)
        return RowCheck(check, INTERACTION_COLUMNS, tuple(notes_on_columns(kind, names)))
    return _check_of_described(kind, file, names, known)


def _present(names: Sequence[str]) -> str:
    for sign, found in _OTHER_SIGNS.items():
        if sign in names[0]:
            return f"its header has {found} between its names: separate the cells by commas"
    return f"its columns are: {', '.join(filter(None, names))}"


def _check_of_described(
    kind: Literal["items", "users"],
    file: Path,
    names: Sequence[str],
    known: Mapping[str, AttributeKind],
) -> RowCheck:
    described = DESCRIBED[kind]
    if taken := sorted(described.computed & {*names}):
        reason = f"recserve computes {taken[0]!r} itself: give this column another name, such as"
        raise DataRejected(file, f"{reason} shop_{taken[0]}, and it becomes an attribute")
    named = [name for name in names if name]
    new = _infer_kinds(file, described, named, known)
    check = partial(check_described, described=described, kinds={**new, **known})
    listed = ", ".join(f"{name} ({of})" for name, of in sorted(new.items()))
    notes = [f"new attributes: {listed}"] if new else []
    return RowCheck(check, described.columns(named), (*notes, *notes_on_columns(kind, names)), new)


def _infer_kinds(
    file: Path, described: Described, names: Sequence[str], known: Mapping[str, AttributeKind]
) -> Mapping[str, AttributeKind]:
    new = [name for name in described.further(names) if name not in known]
    if not new:
        return {}
    chunks = ({name: chunk.columns[name] for name in new} for chunk in read_chunks(file))
    return infer_attribute_kinds(chunks, typed=is_parquet(file))


def bound_rejects(
    file: Path, n_rows: int, rejects: RejectCounts, max_share: float, hint: str = ""
) -> None:
    """Refuses a file with too many rejected rows.

    Args:
        n_rows: rows of the file, rejected ones included.
        hint: end of the error message.

    Raises:
        DataRejected: more than ``max_share`` of the rows are rejected.
    """
    if rejects.total() > max_share * n_rows:
        bad = f"{rejects.total()} of {n_rows} rows are bad, at most {max_share:.0%} may be"
        raise DataRejected(file, f"{bad}: {rejects.in_words()}{hint}")


def rejects_file_of(file: Path) -> Path:
    """``shop/items.csv`` → ``shop/items.csv.rejects.csv``."""
    return file.with_name(f"{file.name}.rejects.csv")


class Rejects:
    """Writes a file's rejected rows to a file beside it; without any, no file is left behind.

    Attributes:
        counts: rejected rows by reason.
    """

    def __init__(self, file: Path) -> None:
        """
        Raises:
            DataRejected: the rejects of an earlier load cannot be removed.
        """
        self.counts = RejectCounts()
        self._file = file
        self._path = rejects_file_of(file)
        with self._writing():
            self._path.unlink(missing_ok=True)

    def add(self, rejects: Sequence[Reject]) -> None:
        """Appends rejected rows to the file, and counts their reasons.

        Raises:
            DataRejected: the folder of the file is not writable.
        """
        if not rejects:
            return
        with (
            self._writing(),
            self._path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as text,
        ):
            writer = csv.writer(text)
            if not self.counts.total():
                writer.writerow(Reject._fields)
            writer.writerows(rejects)
        self.counts.add(rejects)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"cannot write {self._path.name} next to it: {error.strerror}"
            raise DataRejected(self._file, reason) from error
