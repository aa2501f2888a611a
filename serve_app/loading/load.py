"""Loads files of items, users and interactions into PostgreSQL, all of them or none."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import Field

from serve_app.arrays.units import DAY_S
from serve_app.database.attribute_kinds import convert_stored, read_kinds, remember_kinds
from serve_app.database.bulk_load import (
    Kind,
    MergeCounts,
    create_staging,
    crowds_in_words,
    drop_conflicting_events,
    merge_described,
    merge_interactions,
    stage,
    staged_crowds,
)
from serve_app.database.preparing import LOAD_RIGHTS, prepare_to_write
from serve_app.database.schema import Connection, lock_loads, saying_failures
from serve_app.domain.settings import Settings
from serve_app.errors import DataRejected, SettingsInvalid
from serve_app.loading.attributes import KINDS, AttributeKind
from serve_app.loading.checks import (
    Rejects,
    bound_rejects,
    choose_check,
    rejects_file_of,
)
from serve_app.loading.csv_and_parquet import read_chunks
from serve_app.loading.notes import OddRows
from serve_app.loading.rejects import Reject
from serve_app.loading.rows import CONFLICT, EventIdentity, Limits

ATTRIBUTE_KINDS = KINDS
"""Kinds that an attribute may have."""

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
    event_id: EventIdentity = Field(
        default="event",
        description="What an `event_id` identifies. `event`: an interaction. `order`: an order of"
        " several lines; all columns together then identify an interaction.",
    )
    attributes: Mapping[str, AttributeKind] = Field(
        default={},
        description="Kinds of attributes (number, flag, list, text) by `items.<name>` or"
        " `users.<name>`. Others keep the kind that the database remembers.",
    )

    def kinds_of(self, kind: Kind) -> dict[str, AttributeKind]:
        """The chosen kinds of the attributes of items or of users, by name."""
        chosen = self.attributes.items()
        return {
            name.removeprefix(f"{kind}."): of for name, of in chosen if name.startswith(f"{kind}.")
        }

    def limits(self, now_at: float) -> Limits:
        """Bounds of an interaction at a time (epoch seconds)."""
        latest_at = now_at + self.max_days_ahead * DAY_S
        return Limits(self.earliest_at, latest_at, self.max_rating, self.event_id)


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
        notes: what the file leaves open, and what looks odd in it, in sentences.
    """

    kind: Kind
    file: Path
    n_rows: int
    counts: MergeCounts
    rejects: Mapping[str, int]
    notes: tuple[str, ...] = ()

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
    notes: tuple[str, ...]


def load(
    conn: Connection,
    files: InputFiles,
    config: LoadConfig,
    progress: LoadProgress,
    *,
    now_at: float,
    wait: Callable[[], None] = lambda: None,
) -> LoadSummary:
    """Loads files in one transaction; loading them again changes nothing.

    Rejected rows are listed in ``<file>.rejects.csv``. Memory does not grow with the files.

    Args:
        conn: in autocommit mode; a missing schema is created.
        now_at: epoch seconds.
        wait: is called before a wait for another load.

    Raises:
        DataRejected: a file cannot be read, lacks a column, or has too many bad rows. Nothing of
            any file is loaded then.
        SettingsInvalid: the database cannot be written to.
        SchemaMismatch: the database has a newer schema than this build knows.
        DatabaseFailed: the server ended the work.
    """
    _refuse_repeats(files)
    with saying_failures("the load"):
        prepare_to_write(conn, LOAD_RIGHTS)
        with conn.transaction():
            lock_loads(conn, wait)
            staged = [
                _stage_file(conn, kind, file, config, progress, now_at)
                for kind, file in files.given()
            ]
            merged = [_merge(conn, file) for file in staged]
            _change_kinds(conn, config)
    summaries = [
        FileSummary(file.kind, file.file, file.n_rows, counts, file.rejects, file.notes)
        for file, (counts, _) in zip(staged, merged, strict=True)
    ]
    return LoadSummary(tuple(summaries), sum(n_bare_items for _, n_bare_items in merged))


def _refuse_repeats(files: InputFiles) -> None:
    """Refuses a file for two kinds of rows: they would also share the file of rejected rows."""
    kinds: dict[Path, Kind] = {}
    for kind, file in files.given():
        other = kinds.setdefault(file.resolve(), kind)
        if other != kind:
            reason = f"it is given twice: {other} and {kind} have files of their own"
            raise DataRejected(file, reason)


def _stage_file(
    conn: Connection,
    kind: Kind,
    file: Path,
    config: LoadConfig,
    progress: LoadProgress,
    now_at: float,
) -> _StagedFile:
    row_check = choose_check(kind, file, config.limits(now_at), _known_kinds(conn, kind, config))
    if kind != "interactions":
        remember_kinds(conn, kind, row_check.new_kinds)
    rejects = Rejects(file)
    n_rows = 0
    odd = OddRows(row_check.columns, now_at)
    create_staging(conn, kind)
    for chunk in read_chunks(file):
        checked = row_check.check(chunk)
        rejects.add(checked.rejects)
        stage(conn, kind, ("line", *row_check.columns), checked.rows)
        n_rows += len(checked.rows) + len(checked.rejects)
        odd.add(chunk, checked.rows)
        progress(file, chunk.share_read)
    if kind == "interactions":
        rejects.add(
            [
                Reject(line, CONFLICT, "event_id", event_id)
                for line, event_id in drop_conflicting_events(conn)
            ]
        )
    hint = f"; see {rejects_file_of(file).name}"
    bound_rejects(file, n_rows, rejects.counts, config.max_reject_share, hint)
    crowds = staged_crowds(conn) if kind == "interactions" else []
    notes = (
        *row_check.notes,
        *odd.in_words(),
        *crowds_in_words(crowds),
        *_notes_on_scale(kind, config),
    )
    return _StagedFile(kind, file, row_check.columns, n_rows, rejects.counts.by_reason, notes)


def _known_kinds(conn: Connection, kind: Kind, config: LoadConfig) -> Mapping[str, AttributeKind]:
    if kind == "interactions":
        return {}
    remembered = cast("dict[str, AttributeKind]", read_kinds(conn, kind))
    return {**remembered, **config.kinds_of(kind)}


def _notes_on_scale(kind: Kind, config: LoadConfig) -> Iterator[str]:
    default = LoadConfig().max_rating
    if kind == "interactions" and config.max_rating != default:
        yield (
            "a fit that counts ratings takes four fifths of the largest as liked:"
            " `label.min_rating` in configs/fit.yaml sets another"
        )


def _merge(conn: Connection, file: _StagedFile) -> tuple[MergeCounts, int]:
    if file.kind == "interactions":
        return merge_interactions(conn)
    return merge_described(conn, file.kind, file.columns[1:]), 0


def _change_kinds(conn: Connection, config: LoadConfig) -> None:
    """Remembers the chosen kinds, and converts the values that are stored already."""
    for of_table in ("items", "users"):
        chosen = config.kinds_of(of_table)
        remember_kinds(conn, of_table, chosen)
        for name, kind in chosen.items():
            if n_left := convert_stored(conn, of_table, name, kind):
                raise SettingsInvalid(
                    f"--attribute {of_table}.{name}={kind}",
                    f"{n_left} stored values are no {kind}: load these {of_table} with new values",
                )
