"""Reads files in the format of ``recserve load`` into memory, without a database."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from serve_app.domain.catalogue import UNCATEGORISED
from serve_app.domain.interactions import InteractionLog
from serve_app.errors import DataRejected
from serve_app.loading.files import read_chunks
from serve_app.loading.load import LoadConfig, LoadFiles
from serve_app.loading.rows import DESCRIBED, Limits
from serve_app.loading.rules import bound_rejects, in_words, rules_of
from serve_app.stores.postgres.bulk_load import Kind

ReadProgress = Callable[[float], None]
"""Told the share of a file that has been read."""


@dataclass(frozen=True, slots=True)
class LoadedFiles:
    """
    What the files say, in the form in which the warehouse gives it.

    Attributes:
        items: as ``fit_input.read_items``; those that only interactions name are in it.
        users: as ``read_users``; empty without a file.
        n_rejected: rows that say nothing that can be used, by kind of file.
        n_bare_items: that interactions name and the items' file does not; 0 without a file.
    """

    items: pd.DataFrame
    users: pd.DataFrame
    log: InteractionLog
    n_rejected: dict[str, int]
    n_bare_items: int = 0


def read_shop(
    files: LoadFiles, config: LoadConfig, progress: ReadProgress, *, now_at: float
) -> LoadedFiles:
    """
    Rows are checked as ``recserve load`` checks them: the last line of an item or user wins, the
    first of an event.

    Args:
        files: interactions are required.
        now_at: epoch seconds; interactions far behind it are rejected.

    Raises:
        DataRejected: a file that cannot be read, lacks a column, or has too many bad rows.
    """
    assert files.interactions is not None
    limits = config.limits(now_at)
    n_rejected: dict[str, int] = {}
    items, n_rejected["items"] = _described("items", files.items, limits, config)
    users, n_rejected["users"] = _described("users", files.users, limits, config)
    events, n_rejected["interactions"] = _usable(
        "interactions", files.interactions, limits, config, progress
    )
    events = events.drop_duplicates("event_id")
    ids = pd.Index(items["item_id"]).append(pd.Index(events["item_id"])).unique()
    described = items.set_index("item_id").reindex(ids).rename_axis("item_id").reset_index()
    n_bare = len(ids) - len(items) if files.items else 0
    log = _log(events, ids)
    return LoadedFiles(_item_table(described), _user_table(users), log, n_rejected, n_bare)


def _usable(
    kind: Kind, file: Path, limits: Limits, config: LoadConfig, progress: ReadProgress
) -> tuple[pd.DataFrame, int]:
    """The rows that can be used, at least one, and how many cannot."""
    rules = rules_of(kind, file, limits)
    rejects: Counter[str] = Counter()
    frames = []
    for chunk in read_chunks(file):
        checked = rules.check(chunk)
        rejects.update(reason for _, reason in checked.rejects)
        frames.append(pd.DataFrame([row[1:] for row in checked.rows], columns=list(rules.columns)))
        progress(chunk.share_read)
    n_usable = sum(map(len, frames))
    bound_rejects(file, n_usable + rejects.total(), rejects, config.max_reject_share)
    if not n_usable:
        raise DataRejected(file, f"all of its rows are bad: {in_words(rejects)}")
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True), rejects.total()


def _described(
    kind: Literal["items", "users"], file: Path | None, limits: Limits, config: LoadConfig
) -> tuple[pd.DataFrame, int]:
    key = DESCRIBED[kind].key
    if file is None:
        return pd.DataFrame({key: pd.Series([], dtype="str")}), 0
    frame, n_rejected = _usable(kind, file, limits, config, lambda share: None)
    return frame.drop_duplicates(key, keep="last"), n_rejected


def _log(events: pd.DataFrame, item_ids: pd.Index) -> InteractionLog:
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
    n = len(described)
    ids = described["item_id"]
    price = _column(described, "price").astype("float64")
    created_at = _column(described, "created_at").astype("float64")
    return pd.DataFrame(
        {
            "item_row": np.arange(n, dtype=np.int32),
            "item_id": ids,
            "title": _column(described, "title").where(lambda title: title.notna(), ids),
            "category": _given(described, "category", lambda: UNCATEGORISED),
            "price": price,
            "tags": _given(described, "tags", list),
            "in_stock": np.array(_given(described, "in_stock", lambda: True), bool),
            "attributes": [_attributes(text) for text in _given(described, "attributes", str)],
            "created_at": created_at,
        }
    )


def _user_table(users: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": users["user_id"],
            "created_at": _column(users, "created_at").astype("float64"),
        }
    )


def _column(frame: pd.DataFrame, name: str) -> "pd.Series[Any]":
    return frame[name] if name in frame else pd.Series(None, index=frame.index, dtype="object")


def _given(frame: pd.DataFrame, name: str, empty: Callable[[], Any]) -> list[Any]:
    """The cells, what ``empty`` makes where there is none."""
    cells = _column(frame, name).tolist()
    return [empty() if cell is None or cell != cell else cell for cell in cells]


def _attributes(text: str) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return {name: value for name, value in found.items() if value is not None}
