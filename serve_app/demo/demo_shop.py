"""Simulates a shop and writes its files: users with hidden tastes, seasons, trends and habits.

Equal settings always give equal shops.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from serve_app.arrays.units import DAY_S
from serve_app.demo.demo_files import interactions_table, items_table, users_table
from serve_app.demo.shopping import find_partners, simulate
from serve_app.demo.tastes import HiddenShop, make_assortment, make_shoppers
from serve_app.errors import SettingsInvalid


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """The size, the time span and the seed of a demo shop.

    Attributes:
        seed: equal seeds give equal shops.
        end_at: epoch seconds; end of the history.
        n_days: length of the history in days.
    """

    n_users: int = 2_000
    n_items: int = 5_000
    n_interactions: int = 100_000
    seed: int = 7
    end_at: float = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    n_days: int = 365

    def __post_init__(self) -> None:
        for name in ("n_users", "n_items", "n_interactions", "seed", "n_days"):
            lowest, number = int(name != "seed"), getattr(self, name)
            if number < lowest:
                raise SettingsInvalid("demo", f"{name} must be at least {lowest}, not {number}")

    @property
    def start_at(self) -> float:
        return self.end_at - self.n_days * DAY_S


class DemoShop(NamedTuple):
    """The tables of a demo shop.

    Attributes:
        items: item_id, title, category, price, tags, in_stock, created_at, brand.
        users: user_id, created_at.
        interactions: event_id, user_id, item_id, timestamp, type, value, session_id; oldest first.
    """

    items: pa.Table
    users: pa.Table
    interactions: pa.Table


class DemoFiles(NamedTuple):
    items: Path
    users: Path
    interactions: Path


def make_demo(config: DemoConfig) -> DemoShop:
    """Simulates the shop; writes no file."""
    shop, item_rng, visit_rng = _make(config)
    interactions = simulate(shop, config.n_interactions, visit_rng)
    return DemoShop(
        items_table(shop.assortment, shop.item_numbers, item_rng),
        users_table(shop.shoppers),
        interactions_table(interactions, shop.item_numbers),
    )


def make_hidden_shop(config: DemoConfig) -> HiddenShop:
    """Makes the hidden state of ``make_demo``'s shop, for measuring recommenders against it."""
    return _make(config)[0]


def _make(config: DemoConfig) -> tuple[HiddenShop, np.random.Generator, np.random.Generator]:
    """Makes the shop before its first visit; returns the generators of its words and visits too."""
    # A generator each: another number of interactions leaves items and users unchanged.
    item_rng, user_rng, visit_rng = np.random.default_rng(config.seed).spawn(3)
    assortment = make_assortment(config.n_items, config.start_at, config.end_at, item_rng)
    shoppers = make_shoppers(config.n_users, config.start_at, config.end_at, user_rng)
    partners = find_partners(assortment, item_rng)
    # Items are ordered by category and fame; random ids do not reveal that.
    item_numbers = item_rng.permutation(config.n_items)
    shop = HiddenShop(assortment, shoppers, config.end_at, partners, item_numbers)
    return shop, item_rng, visit_rng


def demo_files(folder: Path) -> DemoFiles:
    """Names the files of a demo shop in a folder."""
    return DemoFiles(*(folder / f"{name}.parquet" for name in DemoFiles._fields))


def write_demo(shop: DemoShop, folder: Path) -> DemoFiles:
    """Writes three Parquet files; each appears complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    files = demo_files(folder)
    with TemporaryDirectory(dir=folder) as unfinished:
        for table, file in zip(shop, files, strict=True):
            pq.write_table(table, Path(unfinished) / file.name, compression="zstd")
            os.replace(Path(unfinished) / file.name, file)
    return files
