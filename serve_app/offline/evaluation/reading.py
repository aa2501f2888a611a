"""Reads files in the format of ``recserve load`` into memory, without a database."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from serve_app.domain.catalogue import UNCATEGORISED
from serve_app.errors import DataRejected
from serve_app.offline.load import DAY_S, LoadConfig, LoadFiles
from serve_app.offline.load_attributes import AttributeKind, attribute_kinds
from serve_app.offline.load_files import column_names, read_chunks
from serve_app.offline.load_rows import (
    DESCRIBED,
    INTERACTION_COLUMNS,
    CheckedRows,
    Limits,
    check_described,
    check_interactions,
)
from serve_app.stores.warehouse import InteractionLog

ReadProgress = Callable[[float], None]
"""Told the share of a file that has been read."""


@dataclass(frozen=True, slots=True)
class Shop:
    """
    What the files say, in the form in which the warehouse gives it.

    Attributes:
        items: as ``stores.warehouse.read_items``; those that only interactions name are in it.
        users: as ``read_users``; empty without a file.
        n_rejected: rows that say nothing that can be used, by kind of file.
    """

    items: pd.DataFrame
    users: pd.DataFrame
    log: InteractionLog
    n_rejected: dict[str, int]


def read_shop(
    files: LoadFiles, config: LoadConfig, progress: ReadProgress, *, now_at: float
) -> Shop:
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
    limits = Limits(config.earliest_at, now_at + config.max_days_ahead * DAY_S, config.max_rating)
    n_rejected: dict[str, int] = {}
    items, n_rejected["items"] = _described("items", files.items, config)
    users, n_rejected["users"] = _described("users", files.users, config)
    events, n_rejected["interactions"] = _events(files.interactions, limits, config, progress)
    ids = pd.Index(items["item_id"]).append(pd.Index(events["item_id"])).unique()
    described = items.set_index("item_id").reindex(ids).rename_axis("item_id").reset_index()
    return Shop(_item_table(described), _user_table(users), _log(events, ids), n_rejected)


def _events(
    file: Path, limits: Limits, config: LoadConfig, progress: ReadProgress
) -> tuple[pd.DataFrame, int]:
    names = column_names(file)
    _require(file, names, ("user_id", "item_id", "timestamp"))

    def checked() -> Iterator[CheckedRows]:
        for chunk in read_chunks(file):
            yield check_interactions(chunk, limits)
            progress(chunk.share_read)

    frame, n_rejected = _collect(file, checked(), INTERACTION_COLUMNS, config)
    return frame.drop_duplicates("event_id"), n_rejected


def _described(
    kind: Literal["items", "users"], file: Path | None, config: LoadConfig
) -> tuple[pd.DataFrame, int]:
    described = DESCRIBED[kind]
    if file is None:
        return pd.DataFrame({described.key: pd.Series([], dtype="str")}), 0
    names = column_names(file)
    _require(file, names, (described.key,))
    kinds: dict[str, AttributeKind] = {}
    if file.suffix.lower() == ".csv" and described.further(names):
        kinds = attribute_kinds(
            {name: chunk.columns[name] for name in described.further(names)}
            for chunk in read_chunks(file)
        )
    checked = (check_described(chunk, described, kinds) for chunk in read_chunks(file))
    frame, n_rejected = _collect(file, checked, described.columns(names), config)
    return frame.drop_duplicates(described.key, keep="last"), n_rejected


def _require(file: Path, names: Sequence[str], required: Sequence[str]) -> None:
    for name in required:
        if name not in names:
            found = ", ".join(names)
            raise DataRejected(file, f"it has no column {name!r}; its columns are: {found}")


def _collect(
    file: Path, parts: Iterator[CheckedRows], columns: Sequence[str], config: LoadConfig
) -> tuple[pd.DataFrame, int]:
    reasons: Counter[str] = Counter()
    frames = []
    for part in parts:
        reasons.update(reason for _, reason in part.rejects)
        frames.append(pd.DataFrame([row[1:] for row in part.rows], columns=list(columns)))
    n_rows = sum(map(len, frames))
    if reasons.total() > config.max_reject_share * (n_rows + reasons.total()) or not n_rows:
        found = ", ".join(f"{n} × {reason}" for reason, n in reasons.most_common())
        raise DataRejected(
            file, f"{reasons.total()} of {n_rows + reasons.total()} rows are bad: {found}"
        )
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True), reasons.total()


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
