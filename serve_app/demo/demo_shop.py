"""A simulated shop to try everything on: users with hidden tastes, seasons, trends and habits.

The same settings always give the same shop. See ``demo_tastes`` for what a recommender can find.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from serve_app.demo.demo_files import interactions_table, items_table, users_table
from serve_app.demo.purchases import Shop
from serve_app.demo.shopping import find_partners, simulate
from serve_app.demo.tastes import Numbers, make_assortment, make_shoppers
from serve_app.domain.scoring.model_features import DAY_S
from serve_app.errors import SettingsInvalid


@dataclass(frozen=True, slots=True)
class DemoConfig:
    """
    Attributes:
        seed: the same seed gives the same shop.
        end_at: epoch seconds at which the history ends.
        n_days: length of the history.
    """

    n_users: int = 2_000
    n_items: int = 5_000
    n_interactions: int = 100_000
    seed: int = 7
    end_at: float = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    n_days: int = 365

    def __post_init__(self) -> None:
        for name in ("n_users", "n_items", "n_interactions", "n_days"):
            number = getattr(self, name)
            if number < 1:
                raise SettingsInvalid("demo", f"{name} must be at least 1, not {number}")
        if self.seed < 0:
            raise SettingsInvalid("demo", f"seed must not be negative, as {self.seed} is")

    @property
    def start_at(self) -> float:
        return self.end_at - self.n_days * DAY_S


@dataclass(frozen=True, slots=True)
class DemoShop:
    """
    Attributes:
        items: item_id, title, category, price, tags, in_stock, created_at, brand.
        users: user_id, created_at.
        interactions: event_id, user_id, item_id, timestamp, type, value, session_id; oldest first.
    """

    items: pa.Table
    users: pa.Table
    interactions: pa.Table


@dataclass(frozen=True, slots=True)
class Hidden:
    """
    What a recommender has to find out.

    Attributes:
        shop: users stand in it by the numbers in their ids.
        item_numbers: shape (n_items,), the numbers in the ids of its items.
    """

    shop: Shop
    item_numbers: Numbers


@dataclass(frozen=True, slots=True)
class DemoFiles:
    items: Path
    users: Path
    interactions: Path


def make_demo(config: DemoConfig) -> DemoShop:
    """Simulate the shop; no file is touched."""
    hidden, of_items, of_visits = _make(config)
    shop, item_numbers = hidden.shop, hidden.item_numbers
    interactions = simulate(shop, config.n_interactions, of_visits)
    return DemoShop(
        items_table(shop.assortment, item_numbers, of_items),
        users_table(shop.shoppers),
        interactions_table(interactions, item_numbers),
    )


def make_hidden(config: DemoConfig) -> Hidden:
    """What ``make_demo`` tells nobody."""
    return _make(config)[0]


def _make(config: DemoConfig) -> tuple[Hidden, np.random.Generator, np.random.Generator]:
    """The shop before anything happens, and what the words and the visits are drawn with."""
    # A stream of its own for each, so that more interactions leave items and users as they are.
    of_items, of_users, of_visits = np.random.default_rng(config.seed).spawn(3)
    assortment = make_assortment(config.n_items, config.start_at, config.end_at, of_items)
    shoppers = make_shoppers(config.n_users, config.start_at, config.end_at, of_users)
    shop = Shop(assortment, shoppers, config.end_at, find_partners(assortment, of_items))
    # Items stand by category and fame: their ids must not tell.
    return Hidden(shop, of_items.permutation(config.n_items)), of_items, of_visits


def write_demo(shop: DemoShop, folder: Path) -> DemoFiles:
    """Write three Parquet files, each of which appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    files = DemoFiles(*(folder / f"{name}.parquet" for name in ("items", "users", "interactions")))
    with TemporaryDirectory(dir=folder) as unfinished:
        for table, file in (
            (shop.items, files.items),
            (shop.users, files.users),
            (shop.interactions, files.interactions),
        ):
            pq.write_table(table, Path(unfinished) / file.name, compression="zstd")
            os.replace(Path(unfinished) / file.name, file)
    return files
