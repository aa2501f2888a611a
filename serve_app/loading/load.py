"""Loads files of items, users and interactions into PostgreSQL, all of them or none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from serve_app.arrays.units import DAY_S
from serve_app.domain.settings import Settings
from serve_app.loading.checks import Rejects, bound_rejects, choose_check, rejects_file_of
from serve_app.loading.csv_and_parquet import read_chunks
from serve_app.loading.rows import Limits
from serve_app.stores.postgres.bulk_load import (
    Kind,
    MergeCounts,
    create_staging,
    merge_described,
    merge_interactions,
    stage,
)
from serve_app.stores.postgres.schema import Connection, ensure_schema

LoadProgress = Callable[[Path, float], None]
"""Is told the file that is being read and the share read so far, 0 … 1."""


class LoadConfig(Settings):
    """Limits of a load."""

    max_reject_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest share of rejected rows in a file. Above it nothing is loaded.",
    )
    earliest_at: float = Field(
        default=631_152_000.0,
        description="Earliest time of an interaction in epoch seconds. Earlier ones are rejected;"
        " the default is 1990.",
    )
    max_days_ahead: float = Field(
        default=1.0,
        ge=0,
        description="Days that an interaction may lie in the future. Later ones are rejected.",
    )
    max_rating: float = Field(
        default=5.0, gt=0, description="Largest rating. Larger ones are rejected."
    )

    def limits(self, now_at: float) -> Limits:
        """Bounds of an interaction at a time (epoch seconds)."""
        latest_at = now_at + self.max_days_ahead * DAY_S
        return Limits(self.earliest_at, latest_at, self.max_rating)


@dataclass(frozen=True, slots=True)
class InputFiles:
    """Paths of a shop's files, CSV or Parquet by the ending of the name."""

    items: Path | None = None
    users: Path | None = None
    interactions: Path | None = None

    def given(self) -> Iterator[tuple[Kind, Path]]:
        files: Mapping[Kind, Path | None] = {
            "items": self.items,
            "users": self.users,
            "interactions": self.interactions,
        }
        return ((kind, file) for kind, file in files.items() if file is not None)


@dataclass(frozen=True, slots=True)
class FileSummary:
    """Numbers of the rows of one file, by what the load did with them.

    Attributes:
        n_rows: rows read, rejected ones included.
        counts: rows added, changed and unchanged.
        rejects: rejected rows by reason.
    """

    kind: Kind
    file: Path
    n_rows: int
    counts: MergeCounts
    rejects: Mapping[str, int]

    @property
    def rejects_file(self) -> Path | None:
        """Lists the rejected rows; ``None`` without any."""
        return rejects_file_of(self.file) if self.rejects else None


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """The result of a load, file by file.

    Attributes:
        files: in the order items, users, interactions.
        n_bare_items: items that interactions name and no file describes.
    """

    files: tuple[FileSummary, ...]
    n_bare_items: int


@dataclass(frozen=True, slots=True)
class _StagedFile:
    kind: Kind
    file: Path
    columns: tuple[str, ...]
    n_rows: int
    rejects: Mapping[str, int]


def load(
    conn: Connection,
    files: InputFiles,
    config: LoadConfig,
    progress: LoadProgress,
    *,
    now_at: float,
) -> LoadSummary:
    """Loads files in one transaction; loading them again changes nothing.

    Rejected rows are listed in ``<file>.rejects.csv``. Memory does not grow with the files.

    Args:
        conn: in autocommit mode; a missing schema is created.
        now_at: epoch seconds.

    Raises:
        DataRejected: a file cannot be read, lacks a column, or has too many bad rows. Nothing of
            any file is loaded then.
        SchemaMismatch: the database has another version of the schema.
    """
    limits = config.limits(now_at)
    ensure_schema(conn)
    with conn.transaction():
        # All files are staged before any is merged: sequences do not roll back, and a refused
        # load would waste the row numbers that it took.
        staged = [
            _stage_file(conn, kind, file, config, limits, progress) for kind, file in files.given()
        ]
        merged = [_merge(conn, file) for file in staged]
    summaries = [
        FileSummary(file.kind, file.file, file.n_rows, counts, file.rejects)
        for file, (counts, _) in zip(staged, merged, strict=True)
    ]
    return LoadSummary(tuple(summaries), sum(n_bare_items for _, n_bare_items in merged))


def _stage_file(
    conn: Connection,
    kind: Kind,
    file: Path,
    config: LoadConfig,
    limits: Limits,
    progress: LoadProgress,
) -> _StagedFile:
    row_check = choose_check(kind, file, limits)
    rejects = Rejects(file)
    n_rows = 0
    create_staging(conn, kind)
    for chunk in read_chunks(file):
        checked = row_check.check(chunk)
        rejects.add(checked.rejects)
        stage(conn, kind, ("line", *row_check.columns), checked.rows)
        n_rows += len(checked.rows) + len(checked.rejects)
        progress(file, chunk.share_read)
    hint = f"; see {rejects_file_of(file).name}"
    bound_rejects(file, n_rows, rejects.counts, config.max_reject_share, hint)
    return _StagedFile(kind, file, row_check.columns, n_rows, rejects.counts)


def _merge(conn: Connection, file: _StagedFile) -> tuple[MergeCounts, int]:
    if file.kind == "interactions":
        return merge_interactions(conn)
    return merge_described(conn, file.kind, file.columns[1:]), 0
