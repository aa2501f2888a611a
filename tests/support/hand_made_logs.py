"""Gives tests small logs written by hand, and a simulated shop as the fit reads it."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from serve_app.arrays.units import DAY_S
from serve_app.demo.demo_shop import DemoConfig, make_demo
from serve_app.domain.interactions import TYPE_CODES, InteractionLog


def log_of(*interactions: tuple[Any, ...], users: Sequence[str] | None = None) -> InteractionLog:
    """Interactions as (user id, row, type, day[, value]); days count from 1970."""
    ids = tuple(sorted({each[0] for each in interactions} if users is None else users))
    columns = list(zip(*((*each, np.nan)[:5] for each in interactions), strict=True)) or [()] * 5
    number_of = {user: number for number, user in enumerate(ids)}
    numbers = np.array([number_of[user] for user in columns[0]], np.int32)
    at = np.array(columns[3], np.float64) * DAY_S
    order = np.lexsort((at, numbers))
    return InteractionLog(
        ids,
        numbers[order],
        np.array(columns[1], np.int32)[order],
        np.array([TYPE_CODES[name] for name in columns[2]], np.uint8)[order],
        np.array(columns[4], np.float32)[order],
        at[order],
    )


def items_of(n: int, **columns: Sequence[Any]) -> pd.DataFrame:
    """Items ``i0`` … as the fit reads them, alike except for the given columns."""
    same = {
        "item_row": np.arange(n, dtype=np.int32),
        "item_id": [f"i{row}" for row in range(n)],
        "title": [f"Item {row}" for row in range(n)],
        "category": ["things"] * n,
        "price": [1.0] * n,
        "tags": [[] for _ in range(n)],
        "in_stock": [True] * n,
        "attributes": [{} for _ in range(n)],
        "created_at": [np.nan] * n,
    }
    return pd.DataFrame({**same, **columns})


@cache
def demo_shop() -> tuple[pd.DataFrame, pd.DataFrame, InteractionLog]:
    """Items, users and interactions of 300 users in half a year."""
    shop = make_demo(
        DemoConfig(n_users=300, n_items=400, n_interactions=15_000, seed=5, n_days=180)
    )
    items, users = shop.items.to_pandas(), shop.users.to_pandas()
    interactions = shop.interactions.to_pandas()
    items["item_row"] = np.arange(len(items), dtype=np.int32)
    items["attributes"] = [{"brand": brand} for brand in items["brand"]]
    items["created_at"] = _epoch_s(items["created_at"])
    users["created_at"] = _epoch_s(users["created_at"])
    rows = interactions["item_id"].map(dict(zip(items["item_id"], items["item_row"], strict=True)))
    found = zip(
        interactions["user_id"],
        rows,
        interactions["type"],
        _epoch_s(interactions["timestamp"]) / DAY_S,
        interactions["value"].astype(float),
        strict=True,
    )
    return items, users, log_of(*found)


def _epoch_s(times: pd.Series) -> np.ndarray:
    return times.astype("datetime64[us, UTC]").astype("int64").to_numpy() / 1e6
