"""The demo shop's funnel from view to purchase, and what follows a purchase."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.ragged import offsets_of, owners, positions_within
from serve_app.demo.assortment import CATEGORIES
from serve_app.demo.choices import match
from serve_app.demo.demo_interactions import Interactions
from serve_app.demo.tastes import Assortment, Floats, Shoppers
from serve_app.domain.interactions import PURCHASE
from serve_app.domain.scoring.model_features import DAY_S

Keys = NDArray[np.int64]

_CONSUMABLE = np.array([category.consumable for category in CATEGORIES])
_DECISIVENESS = 0.4
_CLICK_LEVEL, _CART_LEVEL, _PAID_SHARE = 0.6, 0.3, 0.65

RATING_NOISE = 0.7

ALONG_SHARE = 0.15
"""Of the purchases, those that bring their partner with them."""


@dataclass(frozen=True, slots=True)
class Shop:
    """
    Attributes:
        end_at: epoch seconds; nothing happens from then on.
        partners: shape (n_items,), int32, what is bought along with an item, or ``MISSING``.
    """

    assortment: Assortment
    shoppers: Shoppers
    end_at: float
    partners: Rows


def _chance(suits: Floats, level: float) -> Floats:
    chance: Floats = 1.0 / (1.0 + np.exp(level - _DECISIVENESS * suits))
    return chance


def clicking_chance(suits: Floats) -> Floats:
    """How likely an item that is looked at is clicked, shape of ``suits``."""
    return _chance(suits, _CLICK_LEVEL)


def carting_chance(suits: Floats) -> Floats:
    """How likely an item that is clicked comes into the cart, shape of ``suits``."""
    return _chance(suits, _CART_LEVEL)


def buying_chance(suits: Floats) -> Floats:
    """How likely an item that is looked at is bought, shape of ``suits``."""
    return clicking_chance(suits) * carting_chance(suits) * _PAID_SHARE


def _quantities(shop: Shop, items: Rows, rng: np.random.Generator) -> Floats:
    consumable = _CONSUMABLE[shop.assortment.categories[items]]
    further = rng.poisson(np.where(consumable, 0.8, 0.1))
    return further.astype(np.float64) + 1.0


def funnel(shop: Shop, views: Interactions, rng: np.random.Generator) -> Interactions:
    """Views, and of those that suit the user some clicks, carts and purchases."""
    suits = match(shop.shoppers, views.users, shop.assortment, views.items)
    clicked = rng.random(len(views)) < clicking_chance(suits)
    carted = clicked & (rng.random(len(views)) < carting_chance(suits))
    bought = carted & (rng.random(len(views)) < _PAID_SHARE)
    quantities = _quantities(shop, views.items[bought], rng)
    return Interactions.joined(
        [
            views,
            views.where(clicked).then("click", 7.0),
            views.where(carted).then("cart", 25.0),
            views.where(bought).then("purchase", 55.0, quantities),
        ]
    )


def bought_along(shop: Shop, browsed: Interactions, rng: np.random.Generator) -> Interactions:
    """Of some purchases the partner, within the same visit."""
    partners = shop.partners[browsed.items]
    is_bought = (browsed.types == PURCHASE) & (partners != MISSING)
    taken = is_bought & (rng.random(len(browsed)) < ALONG_SHARE)
    along = replace(browsed.where(taken), items=partners[taken])
    quantities = _quantities(shop, along.items, rng)
    return Interactions.joined(
        [
            along.then("view", 10.0),
            along.then("click", 14.0),
            along.then("cart", 20.0),
            along.then("purchase", 30.0, quantities),
        ]
    )


def purchase_keys(shop: Shop, interactions: Interactions) -> Keys:
    """One number for each user and item of the purchases, shape (n_purchases,)."""
    bought = interactions.where(interactions.types == PURCHASE)
    return bought.users.astype(np.int64) * len(shop.assortment) + bought.items


def without_second_copies(shop: Shop, visited: Interactions, owned: Keys) -> Interactions:
    """Nobody buys twice what is not used up; ``owned`` are keys of purchases in other visits."""
    consumable = _CONSUMABLE[shop.assortment.categories[visited.items]]
    rows = np.flatnonzero((visited.types == PURCHASE) & ~consumable)
    keys = purchase_keys(shop, visited.where(rows))
    _, first = np.unique(keys, return_index=True)
    again = np.isin(keys, owned)
    again[np.setdiff1d(np.arange(len(rows)), first)] = True
    return visited.where(np.delete(np.arange(len(visited)), rows[again]))


def bought_again(shop: Shop, visited: Interactions, rng: np.random.Generator) -> Interactions:
    """What is used up is bought again, at intervals of one to two months."""
    consumable = _CONSUMABLE[shop.assortment.categories[visited.items]]
    bought = visited.where((visited.types == PURCHASE) & consumable)
    offsets = offsets_of(rng.geometric(0.6, len(bought)) - 1)
    again = bought.where(owners(offsets))
    intervals_s = (30.0 + 30.0 * rng.random(len(bought)))[owners(offsets)] * DAY_S
    delay_s = (positions_within(offsets) + 1) * intervals_s + rng.normal(0.0, 3600.0, len(again))
    again = replace(again, visits=visited.next_visit + np.arange(len(again)))
    quantities = _quantities(shop, again.items, rng)
    return Interactions.joined(
        [again.then("cart", delay_s), again.then("purchase", delay_s + 40.0, quantities)]
    )


def usual_stars(suits: Floats) -> Floats:
    """What an item is rated on average, before it is rounded; shape of ``suits``."""
    return 2.6 + 0.55 * suits


def ratings(shop: Shop, visited: Interactions, rng: np.random.Generator) -> Interactions:
    """Days after a purchase, one to five stars by how well the item suits."""
    bought = visited.where(visited.types == PURCHASE)
    rated = bought.where(rng.random(len(bought)) < 0.25)
    suits = match(shop.shoppers, rated.users, shop.assortment, rated.items)
    noise = rng.normal(0.0, RATING_NOISE, len(rated))
    stars = np.clip(np.rint(usual_stars(suits) + noise), 1.0, 5.0)
    delay_s = (2.0 + 12.0 * rng.random(len(rated))) * DAY_S
    rated = replace(rated, visits=visited.next_visit + np.arange(len(rated)))
    return rated.then("rating", delay_s, stars)
