"""Loads files of items, users and interactions into PostgreSQL, all of them or none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from serve_app.domain.scoring.model_features import DAY_S
from serve_app.domain.settings import Settings
from serve_app.loading.files import read_chunks
from serve_app.loading.rejects import Rejects, rejects_file_of
from serve_app.loading.rows import Limits
from serve_app.loading.rules import bound_rejects, rules_of
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
"""Is told which file is being read, and the share of it read so far, 0 … 1."""


class LoadConfig(Settings):
    """What a load puts up with."""

    max_reject_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Rejected rows of a file above which nothing is loaded.",
    )
    earliest_at: float = Field(
        default=631_152_000.0,
        description="Interactions before this are rejected (epoch seconds; the default is 1990).",
    )
    max_days_ahead: float = Field(
        default=1.0, ge=0, description="Interactions further in the future are rejected."
    )
    max_rating: float = Field(default=5.0, gt=0, description="Ratings above it are rejected.")

    def limits(self, now_at: float) -> Limits:
        """What an interaction may say at a time (epoch seconds)."""
        latest_at = now_at + self.max_days_ahead * DAY_S
        return Limits(self.earliest_at, latest_at, self.max_rating)


@dataclass(frozen=True, slots=True)
class LoadFiles:
    """What to load: CSV or Parquet, by the ending of the name."""

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
    """
    Attributes:
        n_rows: rows read, rejected ones included.
        counts: what the others came to.
        rejects: rejected rows by reason.
        rejects_file: where they are listed; ``None`` when there are none.
    """

    kind: Kind
    file: Path
    n_rows: int
    counts: MergeCounts
    rejects: Mapping[str, int]
    rejects_file: Path | None


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """
    Attributes:
        files: in the order items, users, interactions.
        n_bare_items: items made because interactions name them and no file describes them.
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
    conn: Connection, files: LoadFiles, config: LoadConfig, progress: LoadProgress, *, now_at: float
) -> LoadSummary:
    """
    Load files in one transaction; loading them again changes nothing.

    Rows that cannot be loaded are listed in ``<file>.rejects.csv``. Memory does not grow with the
    files.

    Args:
        conn: in autocommit mode; the schema is created when it is missing.
        now_at: epoch seconds.

    Raises:
        DataRejected: a file that cannot be read, lacks a column, or has too many bad rows; then
            nothing of any file is loaded.
        SchemaMismatch: the database has another version of the schema.
    """
    limits = config.limits(now_at)
    ensure_schema(conn)
    with conn.transaction():
        # Everything is staged before anything is merged: a row number that a refused load had
        # taken would be lost.
        staged = [
            _stage_file(conn, kind, file, config, limits, progress) for kind, file in files.given()
        ]
        merged = [_merge(conn, file) for file in staged]
    return LoadSummary(
        tuple(_summary(*outcome) for outcome in zip(staged, merged, strict=True)),
        n_bare_items=sum(n_bare_items for _, n_bare_items in merged),
    )


def _stage_file(
    conn: Connection,
    kind: Kind,
    file: Path,
    config: LoadConfig,
    limits: Limits,
    progress: LoadProgress,
) -> _StagedFile:
    rules = rules_of(kind, file, limits)
    rejects = Rejects(file)
    n_rows = 0
    create_staging(conn, kind)
    for chunk in read_chunks(file):
        checked = rules.check(chunk)
        rejects.add(checked.rejects)
        stage(conn, kind, ("line", *rules.columns), checked.rows)
        n_rows += len(checked.rows) + len(checked.rejects)
        progress(file, chunk.share_read)
    where = f"; see {rejects_file_of(file).name}"
    bound_rejects(file, n_rows, rejects.counts, config.max_reject_share, where)
    return _StagedFile(kind, file, rules.columns, n_rows, rejects.counts)


def _merge(conn: Connection, file: _StagedFile) -> tuple[MergeCounts, int]:
    if file.kind == "interactions":
        return merge_interactions(conn)
    return merge_described(conn, file.kind, file.columns[1:]), 0


def _summary(file: _StagedFile, merged: tuple[MergeCounts, int]) -> FileSummary:
    rejects_file = rejects_file_of(file.file) if file.rejects else None
    counts, _ = merged
    return FileSummary(file.kind, file.file, file.n_rows, counts, file.rejects, rejects_file)
