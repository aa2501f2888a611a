"""Gives tests a small simulated shop as the stages see it."""

from functools import cache

import numpy as np
import pandas as pd

from serve_app.arrays.columns import Rows
from serve_app.demo.demo_shop import DemoConfig, make_demo
from serve_app.domain.batches import RequestBatch
from serve_app.domain.catalogue import UNCATEGORISED
from serve_app.domain.filters.masks import Filter
from serve_app.domain.interactions import PURCHASE, TYPE_CODES, Events, InteractionLog
from serve_app.fitting.data.items import build_catalogue
from serve_app.fitting.moments.snapshot import Snapshot, SnapshotConfig, take_snapshot

AT = DemoConfig().end_at
CONFIG = SnapshotConfig(embedding_dim=8)


@cache
def small_world(*, categorised: bool = True, n_spare_rows: int = 0) -> Snapshot:
    """80 users, 300 items, 4,000 interactions."""
    shop = make_demo(DemoConfig(n_users=80, n_items=300, n_interactions=4_000, seed=3))
    items = shop.items.to_pandas()
    items["item_row"] = np.arange(len(items))
    if not categorised:
        items["category"] = UNCATEGORISED
    items["created_at"] = _epoch_s(items["created_at"])
    items["attributes"] = [{"brand": brand} for brand in items["brand"]]
    log = _log(shop.interactions.to_pandas(), items)
    created_at = np.full(len(log.user_ids), np.nan)
    catalogue = build_catalogue(items, log, CONFIG.embedding_dim, n_spare_rows)
    return take_snapshot(catalogue, log, AT, catalogue.listed, created_at, CONFIG)


def batch_of(user_ids: tuple[str, ...], n: int = 10, wanted: Filter | None = None) -> RequestBatch:
    """Requests that differ only in their user."""
    sizes = np.full(len(user_ids), n, np.int32)
    return RequestBatch("", user_ids, sizes, (wanted,) * len(user_ids), np.full(len(user_ids), AT))


def purchased(events: Events) -> Rows:
    """Distinct rows that the user bought, ascending."""
    return np.unique(events["row"][events["type"] == PURCHASE])


def _log(interactions: pd.DataFrame, items: pd.DataFrame) -> InteractionLog:
    user_ids = tuple(sorted(interactions["user_id"].unique()))
    users = pd.Categorical(interactions["user_id"], categories=user_ids).codes.astype(np.int32)
    at = _epoch_s(interactions["timestamp"])
    order = np.lexsort((at, users))
    rows = interactions["item_id"].map(dict(zip(items["item_id"], items["item_row"], strict=True)))
    return InteractionLog(
        user_ids,
        users[order],
        rows.to_numpy(np.int32)[order],
        np.asarray(interactions["type"].map(TYPE_CODES), np.uint8)[order],
        interactions["value"].to_numpy(np.float32)[order],
        at[order],
    )


def _epoch_s(times: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(times):
        return times.to_numpy(np.float64)
    return times.astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e6
