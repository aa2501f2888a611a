"""Simulates a shop in which views lead to carts, and carts to purchases.

The model, for shopper u and item i:

- An item has a hidden vector, that of its category plus its own, and a fame that is log-normal.
- A shopper has hidden tastes. Their affinity to an item is the product with its vector, plus a
  whim that holds for this shopper and item alone: nobody can guess it from other shoppers.
- A shopper makes visits at random moments, as often as a gamma distribution has it. Each visit is
  about one category, the more often the more they like its items.
- A visit begins with views of the items that the shopper remembers. The other views are noisy: a
  share goes to famous items of the whole shop, whoever the shopper is. The rest goes to items of
  the category, by fame and affinity.
- A viewed item is liked with a logistic chance of the affinity. It goes into the cart, or the
  shopper remembers it until their next visit.
- A visit ends with an order: the shopper buys some items that went into the cart in this visit, and
  fewer of those that were left in it by earlier visits. Items left for ``CART_DAYS`` are forgotten.
- Nobody wants an item again that they have bought.

Steps of a visit are a few minutes apart at most, and visits are hours apart: pauses of 30 minutes
part the visits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serve_app.arrays.units import DAY_S
from serve_app.loading.load import InputFiles

CART_DAYS = 14.0
"""Days after which an item that was left in the cart is forgotten."""

_START_AT = 1_735_689_600.0  # 2025-01-01 00:00 UTC
_N_FACTORS = 8
_WINDOW_SHARE = 0.35  # Views of famous items.
_MEAN_VIEWS = 6.0
_CHOOSINESS = 1.0
_LIKING, _DISTANCE = 1.6, 4.2  # Slope and threshold of the logistic chance to like an item.
_TO_CART = 0.7
_BUYS_NOW, _BUYS_LATER = 0.4, 0.16  # Greatest chances to buy what is in the cart.
_HALF_SURE_AT = 2.5  # Affinity at which the chance is half of the greatest.
_STEP_S, _LONGEST_STEP_S = 45.0, 600.0
_LEAST_PAUSE_S = 3 * 3_600.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FunnelConfig:
    """The size of the shop."""

    n_users: int = 1_000
    n_items: int = 300
    n_categories: int = 10
    n_days: int = 60
    visits_per_user: float = 8.0
    seed: int = 7


class FunnelTables(NamedTuple):
    """Tables in the format of ``recserve load``."""

    items: pd.DataFrame
    interactions: pd.DataFrame


class Event(NamedTuple):
    """One interaction of a shopper: its type, the number of the item, and epoch seconds."""

    type: str
    item: int
    at: float


@dataclass(frozen=True, slots=True)
class _Shop:
    """
    Attributes:
        categories: shape (n_items,), int64.
        fame: shape (n_items,), shares of 1.
        affinities: shape (n_users, n_items).
        interests: shape (n_users, n_categories), chance that a visit is about a category.
    """

    categories: NDArray[np.int64]
    fame: Floats
    affinities: Floats
    interests: Floats


@dataclass(slots=True)
class _Shopper:
    """
    Attributes:
        affinities: shape (n_items,).
        interests: shape (n_categories,).
        cart: moment at which each item went into the cart, by item.
        remembered: items to be viewed again.
        bought: items that they do not want again.
    """

    affinities: Floats
    interests: Floats
    cart: dict[int, float] = field(default_factory=dict)
    remembered: list[int] = field(default_factory=list)
    bought: set[int] = field(default_factory=set)


def make_funnel(config: FunnelConfig) -> FunnelTables:
    """Simulates the shop; equal settings give equal tables."""
    rng = np.random.default_rng(config.seed)
    shop = _build_shop(config, rng)
    n_visits = rng.poisson(rng.gamma(2.0, config.visits_per_user / 2.0, config.n_users))
    rows = [
        (f"u{user}", f"i{event.item}", event.type, event.at)
        for user in range(config.n_users)
        for event in _shop_around(shop, user, int(n_visits[user]), config.n_days, rng)
    ]
    interactions = pd.DataFrame(rows, columns=["user_id", "item_id", "type", "timestamp"])
    interactions["timestamp"] = pd.to_datetime(interactions["timestamp"], unit="s", utc=True)
    items = pd.DataFrame(
        {
            "item_id": [f"i{item}" for item in range(config.n_items)],
            "category": [f"category {category}" for category in shop.categories],
            "price": rng.lognormal(3.0, 0.7, config.n_items).round(2),
        }
    )
    return FunnelTables(items, interactions)


def funnel_files(config: FunnelConfig, folder: Path) -> InputFiles:
    """Simulates the shop and writes its files."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = make_funnel(config)
    for name, table in tables._asdict().items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return InputFiles(folder / "items.parquet", None, folder / "interactions.parquet")


def _build_shop(config: FunnelConfig, rng: np.random.Generator) -> _Shop:
    categories = rng.integers(config.n_categories, size=config.n_items)
    centres = rng.standard_normal((config.n_categories, _N_FACTORS))
    vectors = centres[categories] + rng.standard_normal((config.n_items, _N_FACTORS))
    tastes = rng.standard_normal((config.n_users, _N_FACTORS))
    whims = rng.standard_normal((config.n_users, config.n_items))
    affinities = tastes @ vectors.T / np.sqrt(2 * _N_FACTORS) + whims
    fame = rng.lognormal(0.0, 1.0, config.n_items)
    interests = _shares(np.exp(_CHOOSINESS * tastes @ centres.T / np.sqrt(_N_FACTORS)))
    # A category without an item cannot be looked at.
    interests = _shares(interests * np.isin(np.arange(config.n_categories), categories))
    return _Shop(categories, fame / fame.sum(), affinities, interests)


def _shares(weights: Floats) -> Floats:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _shop_around(
    shop: _Shop, user: int, n_visits: int, n_days: int, rng: np.random.Generator
) -> Iterator[Event]:
    """All events of a shopper, oldest first."""
    shopper = _Shopper(shop.affinities[user], shop.interests[user])
    starts = np.sort(rng.uniform(0, n_days * DAY_S - _LEAST_PAUSE_S, n_visits))
    # A visit that would begin during another one is left out.
    for start in starts[np.diff(starts, prepend=-np.inf) > _LEAST_PAUSE_S]:
        yield from _visit(shop, shopper, _START_AT + float(start), rng)


def _visit(shop: _Shop, shopper: _Shopper, at: float, rng: np.random.Generator) -> Iterator[Event]:
    wanted, shopper.remembered = shopper.remembered, []
    for item in (*wanted, *_browse(shop, shopper, rng)):
        at += _pause(rng)
        yield Event("view", item, at)
        if _likes(shopper, item, rng):
            if rng.random() < _TO_CART:
                at += _pause(rng)
                shopper.cart[item] = at
                yield Event("cart", item, at)
            else:
                shopper.remembered.append(item)
    yield from _order(shopper, at + _pause(rng), rng)


def _order(shopper: _Shopper, at: float, rng: np.random.Generator) -> Iterator[Event]:
    """Buys some of the cart in one order, and forgets what was left for long."""
    for item, carted_at in sorted(shopper.cart.items()):
        is_new = at - carted_at < _LEAST_PAUSE_S
        surest = _BUYS_NOW if is_new else _BUYS_LATER
        if rng.random() < surest * _logistic(shopper.affinities[item] - _HALF_SURE_AT):
            shopper.bought.add(item)
            yield Event("purchase", item, at)
    shopper.cart = {
        item: carted_at
        for item, carted_at in shopper.cart.items()
        if item not in shopper.bought and at - carted_at < CART_DAYS * DAY_S
    }


def _browse(shop: _Shop, shopper: _Shopper, rng: np.random.Generator) -> list[int]:
    """Items that are viewed in a visit, besides the remembered ones."""
    n = int(rng.geometric(1 / _MEAN_VIEWS))
    n_famous = int(rng.binomial(n, _WINDOW_SHARE))
    category = rng.choice(len(shopper.interests), p=shopper.interests)
    weights = np.where(shop.categories == category, shop.fame * np.exp(shopper.affinities), 0.0)
    famous = rng.choice(len(shop.fame), n_famous, p=shop.fame)
    others = rng.choice(len(shop.fame), n - n_famous, p=weights / weights.sum())
    return [int(item) for item in rng.permutation(np.concatenate((famous, others)))]


def _likes(shopper: _Shopper, item: int, rng: np.random.Generator) -> bool:
    if item in shopper.bought or item in shopper.cart:
        return False
    return bool(rng.random() < _logistic(_LIKING * shopper.affinities[item] - _DISTANCE))


def _logistic(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def _pause(rng: np.random.Generator) -> float:
    return float(min(rng.exponential(_STEP_S) + 1, _LONGEST_STEP_S))
