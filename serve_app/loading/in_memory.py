"""Reads a shop's files into memory, in the form that a fit takes; needs no database."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from serve_app.database.bulk_load import Kind
from serve_app.domain.catalogue import UNCATEGORISED
from serve_app.domain.interactions import InteractionLog
from serve_app.errors import DataRejected
from serve_app.loading.checks import bound_rejects, choose_check
from serve_app.loading.csv_and_parquet import read_chunks
from serve_app.loading.load import InputFiles, LoadConfig
from serve_app.loading.rejects import Reject, RejectCounts
from serve_app.loading.rows import CONFLICT, DESCRIBED, Limits

ReadProgress = Callable[[float], None]
"""Is told the share of a file read so far, 0 … 1."""


@dataclass(frozen=True, slots=True)
class LoadedFiles:
    """Content of a shop's files, in the form of ``database.fit_input``.

    Attributes:
        items: as ``read_items`` returns them, with the items that only interactions name.
        users: as ``read_users`` returns them; empty without a file.
        n_rejected: bad rows, by kind of file.
        n_bare_items: items that interactions name and the items' file does not; 0 without a file.
        notes: how the files are understood, in sentences that begin with the kind of file.
    """

    items: pd.DataFrame
    users: pd.DataFrame
    log: InteractionLog
    n_rejected: dict[str, int]
    n_bare_items: int = 0
    notes: tuple[str, ...] = ()


class _GoodRows(NamedTuple):
    frame: pd.DataFrame
    n_rejected: int = 0
    notes: tuple[str, ...] = ()


def read_files(
    files: InputFiles, config: LoadConfig, progress: ReadProgress, *, now_at: float
) -> LoadedFiles:
    """Reads and checks files as ``recserve load`` does.

    The last line of an item or user counts, and the first line of an event.

    Args:
        files: interactions are required.
        now_at: epoch seconds; later interactions are rejected.

    Raises:
        DataRejected: a file cannot be read, lacks a column, or has too many bad rows.
    """
    assert files.interactions is not None
    limits = config.limits(now_at)
    read: dict[Kind, _GoodRows] = {
        "items": _read_described("items", files.items, limits, config),
        "users": _read_described("users", files.users, limits, config),
        "interactions": _read_good_rows(
            "interactions", files.interactions, limits, config, progress
        ),
    }
    items, users = read["items"].frame, read["users"].frame
    events = read["interactions"].frame
    events = events.drop_duplicates("event_id")
    # Rows of the catalogue: described items as in their file, then the others as they are named.
    ids = pd.Index(items["item_id"]).append(pd.Index(events["item_id"])).unique()
    described = items.set_index("item_id").reindex(ids).rename_axis("item_id").reset_index()
    n_bare = len(ids) - len(items) if files.items else 0
    log = _log(events, ids)
    return LoadedFiles(
        _item_table(described),
        _user_table(users),
        log,
        {kind: rows.n_rejected for kind, rows in read.items()},
        n_bare,
        tuple(f"{kind}: {note}" for kind, rows in read.items() for note in rows.notes),
    )


def _read_good_rows(
    kind: Kind, file: Path, limits: Limits, config: LoadConfig, progress: ReadProgress
) -> _GoodRows:
    """The good rows, at least one of interactions."""
    row_check = choose_check(kind, file, limits, config.kinds_of(kind))
    columns = ["line", *row_check.columns]
    rejects = RejectCounts()
    frames = []
    for chunk in read_chunks(file):
        checked = row_check.check(chunk)
        rejects.add(checked.rejects)
        frames.append(pd.DataFrame(checked.rows, columns=columns))
        progress(chunk.share_read)
    # pandas warns of empty frames: they would change the types of the columns.
    filled = [frame for frame in frames if len(frame)]
    good = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)
    n_rows = len(good) + rejects.total()
    if kind == "interactions":
        good = _drop_conflicts(good, rejects)
    bound_rejects(file, n_rows, rejects, config.max_reject_share)
    if kind == "interactions" and good.empty:
        reason = f"all of its rows are bad: {rejects.in_words()}" if n_rows else "it has no rows"
        raise DataRejected(file, reason)
    return _GoodRows(good.drop(columns="line"), rejects.total(), row_check.notes)


def _drop_conflicts(events: pd.DataFrame, rejects: RejectCounts) -> pd.DataFrame:
    """Leaves out and counts events whose id an earlier line with other content has."""
    # As in PostgreSQL: the answer that led to an event is no part of what its id stands for.
    content = events.drop(columns=["line", "request_id", "position"])
    first = content.drop_duplicates("event_id").set_index("event_id")
    of_id = first.loc[content["event_id"]].reset_index()
    same = (content == of_id[content.columns]) | (content.isna() & of_id[content.columns].isna())
    differs = ~same.all(axis=1)
    rejects.add(
        Reject(line, CONFLICT, "event_id", event_id)
        for line, event_id in events.loc[differs, ["line", "event_id"]].itertuples(index=False)
    )
    return events[~differs]


def _read_described(
    kind: Literal["items", "users"], file: Path | None, limits: Limits, config: LoadConfig
) -> _GoodRows:
    key = DESCRIBED[kind].key
    if file is None:
        return _GoodRows(pd.DataFrame({key: pd.Series([], dtype="str")}))
    read = _read_good_rows(kind, file, limits, config, lambda share: None)
    return read._replace(frame=read.frame.drop_duplicates(key, keep="last"))


def _log(events: pd.DataFrame, item_ids: pd.Index) -> InteractionLog:
    # By user, then by time; the event's id makes the order of simultaneous events unique.
    ordered = events.sort_values(["user_id", "at", "event_id"], kind="stable")
    users, user_ids = pd.factorize(ordered["user_id"], sort=False)
    return InteractionLog(
        user_ids=tuple(user_ids),
        users=users.astype(np.int32),
        rows=item_ids.get_indexer(pd.Index(ordered["item_id"])).astype(np.int32),
        types=ordered["type"].to_numpy(np.uint8),
        values=ordered["value"].to_numpy(np.float32, na_value=np.nan),
        at=ordered["at"].to_numpy(np.float64),
    )


def _item_table(described: pd.DataFrame) -> pd.DataFrame:
    ids = described["item_id"]
    return pd.DataFrame(
        {
            "item_row": np.arange(len(described), dtype=np.int32),
            "item_id": ids,
            "title": _column(described, "title").where(lambda title: title.notna(), ids),
            "category": _filled(described, "category", lambda: UNCATEGORISED),
            "price": _column(described, "price").astype("float64"),
            "tags": _filled(described, "tags", list),
            "in_stock": np.array(_filled(described, "in_stock", lambda: True), bool),
            "attributes": [_attributes(text) for text in _filled(described, "attributes", str)],
            "created_at": _column(described, "created_at").astype("float64"),
        }
    )


def _user_table(users: pd.DataFrame) -> pd.DataFrame:
    created_at = _column(users, "created_at").astype("float64")
    return pd.DataFrame({"user_id": users["user_id"], "created_at": created_at})


def _column(frame: pd.DataFrame, name: str) -> "pd.Series[Any]":
    return frame[name] if name in frame else pd.Series(None, index=frame.index, dtype="object")


def _filled(frame: pd.DataFrame, name: str, empty: Callable[[], Any]) -> list[Any]:
    """Cells of a column; ``empty`` makes the value of each empty one."""
    cells = _column(frame, name).tolist()
    return [empty() if cell is None or cell != cell else cell for cell in cells]


def _attributes(text: str) -> dict[str, Any]:
    attributes = json.loads(text) if text else {}
    return {name: value for name, value in attributes.items() if value is not None}
