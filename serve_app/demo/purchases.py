"""Simulates the demo shop's interactions from a view to a purchase, and after the purchase."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Mask, Rows
from serve_app.arrays.ragged import offsets_of, owners, positions_within
from serve_app.arrays.units import DAY_S
from serve_app.demo.assortment import CATEGORIES
from serve_app.demo.choices import match
from serve_app.demo.tastes import Floats, HiddenShop
from serve_app.domain.interactions import PURCHASE, TYPE_CODES

Keys = NDArray[np.int64]

_CONSUMABLE = np.array([category.consumable for category in CATEGORIES])
_DECISIVENESS = 0.4
_CLICK_LEVEL, _CART_LEVEL = 0.6, 0.3

PAID_SHARE = 0.65
"""Share of the items in a cart that are bought."""

RATING_NOISE = 0.7
"""Standard deviation of the stars around ``usual_stars``."""

ALONG_SHARE = 0.15
"""Share of purchases that bring their partner with them."""


@dataclass(frozen=True, slots=True)
class Interactions:
    """Interactions of the demo shop as columns.

    Attributes:
        users: shape (n,), int32.
        items: shape (n,), int32.
        at: shape (n,), epoch seconds.
        types: shape (n,), uint8, index into ``INTERACTION_TYPES``.
        values: shape (n,), quantity of a purchase, stars of a rating, else NaN.
        visits: shape (n,), int64, number of the visit.
    """

    users: Rows
    items: Rows
    at: Floats
    types: NDArray[np.uint8]
    values: Floats
    visits: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.users)

    @property
    def next_visit(self) -> int:
        """First number that no visit has."""
        return int(self.visits.max(initial=-1)) + 1

    def where(self, kept: NDArray[np.integer] | Mask | slice) -> "Interactions":
        return Interactions(*(getattr(self, column.name)[kept] for column in fields(self)))

    @classmethod
    def concatenate(cls, parts: "Sequence[Interactions]") -> "Interactions":
        names = [column.name for column in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def then(
        self, kind: str, delay_s: Floats | float, values: Floats | float = np.nan
    ) -> "Interactions":
        """Interactions of another type, by these users with these items, some time later."""
        return replace(
            self,
            at=self.at + delay_s,
            types=np.full(len(self), TYPE_CODES[kind], np.uint8),
            values=np.full(len(self), values),
        )


def _chance(suits: Floats, level: float) -> Floats:
    chance: Floats = 1.0 / (1.0 + np.exp(level - _DECISIVENESS * suits))
    return chance


def clicking_chance(suits: Floats) -> Floats:
    """Probability that a viewed item is clicked, shape of ``suits``."""
    return _chance(suits, _CLICK_LEVEL)


def carting_chance(suits: Floats) -> Floats:
    """Probability that a clicked item goes into the cart, shape of ``suits``."""
    return _chance(suits, _CART_LEVEL)


def buying_chance(suits: Floats) -> Floats:
    """Probability that a viewed item is bought, shape of ``suits``."""
    return clicking_chance(suits) * carting_chance(suits) * PAID_SHARE


def is_consumable(categories: Rows) -> Mask:
    """Marks the categories whose items are used up, and bought again, shape of ``categories``."""
    marked: Mask = _CONSUMABLE[categories]
    return marked


def _quantities(shop: HiddenShop, items: Rows, rng: np.random.Generator) -> Floats:
    consumable = is_consumable(shop.assortment.categories[items])
    further = rng.poisson(np.where(consumable, 0.8, 0.1))
    return further.astype(np.float64) + 1.0


def funnel(shop: HiddenShop, views: Interactions, rng: np.random.Generator) -> Interactions:
    """Adds clicks, carts and purchases to views; items with a better match get more of them."""
    suits = match(shop.shoppers, views.users, shop.assortment, views.items)
    clicked = rng.random(len(views)) < clicking_chance(suits)
    carted = clicked & (rng.random(len(views)) < carting_chance(suits))
    bought = carted & (rng.random(len(views)) < PAID_SHARE)
    quantities = _quantities(shop, views.items[bought], rng)
    return Interactions.concatenate(
        [
            views,
            views.where(clicked).then("click", 7.0),
            views.where(carted).then("cart", 25.0),
            views.where(bought).then("purchase", 55.0, quantities),
        ]
    )


def bought_along(shop: HiddenShop, browsed: Interactions, rng: np.random.Generator) -> Interactions:
    """Purchases of partners along with some of the purchases, within the same visit."""
    partners = shop.partners[browsed.items]
    has_partner = (browsed.types == PURCHASE) & (partners != MISSING)
    taken = has_partner & (rng.random(len(browsed)) < ALONG_SHARE)
    along = replace(browsed.where(taken), items=partners[taken])
    quantities = _quantities(shop, along.items, rng)
    return Interactions.concatenate(
        [
            along.then("view", 10.0),
            along.then("click", 14.0),
            along.then("cart", 20.0),
            along.then("purchase", 30.0, quantities),
        ]
    )


def purchase_keys(shop: HiddenShop, interactions: Interactions) -> Keys:
    """Pairs of user and item of the purchases, one number each, shape (n_purchases,)."""
    bought = interactions.where(interactions.types == PURCHASE)
    return bought.users.astype(np.int64) * len(shop.assortment) + bought.items


def without_second_copies(shop: HiddenShop, visited: Interactions, owned: Keys) -> Interactions:
    """Removes repeated purchases of items that are not consumable.

    Args:
        owned: keys of the purchases in other visits.
    """
    consumable = is_consumable(shop.assortment.categories[visited.items])
    rows = np.flatnonzero((visited.types == PURCHASE) & ~consumable)
    keys = purchase_keys(shop, visited.where(rows))
    _, first = np.unique(keys, return_index=True)
    again = np.isin(keys, owned)
    again[np.setdiff1d(np.arange(len(rows)), first)] = True
    return visited.where(np.delete(np.arange(len(visited)), rows[again]))


def bought_again(shop: HiddenShop, visited: Interactions, rng: np.random.Generator) -> Interactions:
    """Repeated purchases of consumable items, at intervals of one to two months."""
    consumable = is_consumable(shop.assortment.categories[visited.items])
    bought = visited.where((visited.types == PURCHASE) & consumable)
    offsets = offsets_of(rng.geometric(0.6, len(bought)) - 1)
    again = bought.where(owners(offsets))
    intervals_s = (30.0 + 30.0 * rng.random(len(bought)))[owners(offsets)] * DAY_S
    delay_s = (positions_within(offsets) + 1) * intervals_s + rng.normal(0.0, 3600.0, len(again))
    again = replace(again, visits=visited.next_visit + np.arange(len(again)))
    quantities = _quantities(shop, again.items, rng)
    return Interactions.concatenate(
        [again.then("cart", delay_s), again.then("purchase", delay_s + 40.0, quantities)]
    )


def usual_stars(suits: Floats) -> Floats:
    """Mean rating before it is rounded, shape of ``suits``."""
    return 2.6 + 0.55 * suits


def ratings(shop: HiddenShop, visited: Interactions, rng: np.random.Generator) -> Interactions:
    """Ratings days after some purchases: one to five stars, more for a better match."""
    bought = visited.where(visited.types == PURCHASE)
    rated = bought.where(rng.random(len(bought)) < 0.25)
    suits = match(shop.shoppers, rated.users, shop.assortment, rated.items)
    noise = rng.normal(0.0, RATING_NOISE, len(rated))
    stars = np.clip(np.rint(usual_stars(suits) + noise), 1.0, 5.0)
    delay_s = (2.0 + 12.0 * rng.random(len(rated))) * DAY_S
    rated = replace(rated, visits=visited.next_visit + np.arange(len(rated)))
    return rated.then("rating", delay_s, stars)
