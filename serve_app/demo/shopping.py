"""Simulates the demo shop's visits: their users, times and views."""

from dataclasses import replace

import numpy as np

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.ragged import offsets_of, owners, positions_within
from serve_app.arrays.units import DAY_S
from serve_app.demo.assortment import CATEGORIES
from serve_app.demo.choices import choose, seasonal_demand
from serve_app.demo.purchases import (
    Interactions,
    Keys,
    bought_again,
    bought_along,
    funnel,
    purchase_keys,
    ratings,
    without_second_copies,
)
from serve_app.demo.tastes import Assortment, Floats, HiddenShop, Shoppers
from serve_app.domain.interactions import TYPE_CODES

_MOST_VISITS_AT_ONCE = 50_000
_MORE_THAN_A_VISIT_HOLDS = 20
VIEWS_PER_VISIT = 4.0
"""Mean number of views in a visit."""

SECOND_SHARE = 0.25
"""Share of a visit's views that are in its second category."""

_NAMES = [category.name for category in CATEGORIES]
_GOES_WITH = np.array([_NAMES.index(category.goes_with) for category in CATEGORIES], np.int32)


def find_partners(assortment: Assortment, rng: np.random.Generator) -> Rows:
    """Chooses an item with like traits for each item, from the category that goes with its own.

    Returns:
        Shape (n_items,), int32, ``MISSING`` if that category is empty.
    """
    # Items choose like users whose tastes are the items' traits.
    items = np.arange(len(assortment), dtype=np.int32)
    as_shoppers = Shoppers(
        favours=np.empty((0, 0), np.float32),
        tastes=2.0 * assortment.traits,
        price_levels=assortment.price_levels,
        arrived_at=assortment.launched_at,
        activity=np.ones(len(assortment)),
    )
    categories = _GOES_WITH[assortment.categories]
    paired = items[assortment.stocked[categories]]
    partners = np.full(len(assortment), MISSING, np.int32)
    any_time = np.full(len(paired), np.inf)
    partners[paired] = choose(as_shoppers, paired, assortment, categories[paired], any_time, rng)
    return partners


def simulate(shop: HiddenShop, n_interactions: int, rng: np.random.Generator) -> Interactions:
    """Simulates exactly ``n_interactions``, oldest first."""
    parts: list[Interactions] = []
    n_wanted, n_visits = n_interactions, 0
    owned: Keys = np.empty(0, np.int64)
    while n_wanted > 0:
        # Few visits at once: only the last part has interactions to cut off.
        n_next = min(_MOST_VISITS_AT_ONCE, n_wanted // _MORE_THAN_A_VISIT_HOLDS + 1)
        part = _interactions_of_visits(shop, n_next, owned, rng).where(slice(n_wanted))
        parts.append(replace(part, visits=part.visits + n_visits))
        owned = np.concatenate([owned, purchase_keys(shop, part)])
        n_visits += part.next_visit
        n_wanted -= len(part)
    interactions = Interactions.concatenate(parts)
    return interactions.where(np.argsort(interactions.at, kind="stable"))


def _interactions_of_visits(
    shop: HiddenShop, n_visits: int, owned: Keys, rng: np.random.Generator
) -> Interactions:
    """Simulates visits, numbered from 0, and the purchases and ratings that follow them."""
    browsed = funnel(shop, _views(shop, n_visits, rng), rng)
    visited = Interactions.concatenate([browsed, bought_along(shop, browsed, rng)])
    visited = without_second_copies(shop, visited, owned)
    bought = Interactions.concatenate([visited, bought_again(shop, visited, rng)])
    everything = Interactions.concatenate([bought, ratings(shop, bought, rng)])
    on_sale = shop.assortment.launched_at[everything.items] <= everything.at
    return everything.where(on_sale & (everything.at < shop.end_at))


def _views(shop: HiddenShop, n_visits: int, rng: np.random.Generator) -> Interactions:
    """Views of each visit in one category, and some in a second one."""
    users, at = _visits(shop, n_visits, rng)
    demand = shop.shoppers.favours[users] * seasonal_demand(at) * shop.assortment.stocked
    demand = demand.cumsum(axis=1)
    drawn = rng.random((n_visits, 2)) * demand[:, -1:]
    intents = (drawn[:, :, None] >= demand[:, None, :]).sum(axis=2).astype(np.int32)

    offsets = offsets_of(rng.geometric(1 / VIEWS_PER_VISIT, n_visits))
    visits = owners(offsets)
    second = (rng.random(len(visits)) < SECOND_SHARE).astype(np.int64)
    categories = intents[visits, second]
    viewed_at = at[visits] + positions_within(offsets) * 90.0 + rng.random(len(visits)) * 30.0
    items = choose(shop.shoppers, users[visits], shop.assortment, categories, viewed_at, rng)
    types = np.full(len(visits), TYPE_CODES["view"], np.uint8)
    return Interactions(
        users[visits], items, viewed_at, types, np.full(len(visits), np.nan), visits
    )


def _visits(shop: HiddenShop, n_visits: int, rng: np.random.Generator) -> tuple[Rows, Floats]:
    """Users and times of the visits, mostly in the evening."""
    stay_s = shop.end_at - shop.shoppers.arrived_at
    frequency = np.cumsum(shop.shoppers.activity * stay_s)
    users = np.searchsorted(frequency, rng.random(n_visits) * frequency[-1], side="right")
    day = shop.shoppers.arrived_at[users] + rng.random(n_visits) * stay_s[users]
    hour = rng.triangular(6.0, 19.5, 23.5, n_visits)
    return users.astype(np.int32), day // DAY_S * DAY_S + hour * 3600.0
