"""Chooses items for the demo shop's users by season, taste, price and fame."""

import numpy as np

from serve_app.arrays.columns import Rows
from serve_app.arrays.units import DAY_S
from serve_app.demo.assortment import CATEGORIES, SEASONS
from serve_app.demo.tastes import Assortment, Floats, Numbers, Shoppers, Vectors

_YEAR_S = 365.2425 * DAY_S
N_SEEN = 6
"""Items that a user looks over in one view of a category."""


def seasonal_demand(at: Floats) -> Floats:
    """Multipliers of each category's demand at some times, shape (n, n_categories)."""
    peak_at, width, rest, peak = np.array([SEASONS[category.season] for category in CATEGORIES]).T
    from_peak = np.abs((at / _YEAR_S % 1.0)[:, None] - peak_at)
    # The year is a circle: January is near December.
    from_peak = np.minimum(from_peak, 1.0 - from_peak)
    demand: Floats = rest + peak * np.exp(-0.5 * (from_peak / width) ** 2)
    return demand


def match(shoppers: Shoppers, users: Numbers, assortment: Assortment, items: Numbers) -> Floats:
    """Match of users and items, shape of both broadcast; mostly in -3 … 3, larger is better."""
    taste = (shoppers.tastes[users] * assortment.traits[items]).sum(axis=-1)
    return _add_up(taste, shoppers.price_levels[users], assortment, items)


def match_all(shoppers: Shoppers, users: Numbers, assortment: Assortment) -> Floats:
    """``match`` of the users with every item, shape (len(users), len(assortment))."""
    taste = shoppers.tastes[users] @ assortment.traits.T
    everything = np.arange(len(assortment))
    return _add_up(taste, shoppers.price_levels[users, None], assortment, everything)


def _add_up(
    taste: Floats | Vectors, price_levels: Vectors, assortment: Assortment, items: Numbers
) -> Floats:
    # Users dislike items below their price level as much as those above.
    off_price = price_levels - assortment.price_levels[items]
    total: Floats = taste + assortment.quality[items] - 0.4 * off_price.astype(np.float64) ** 2
    return total


def choose(
    shoppers: Shoppers,
    users: Rows,
    assortment: Assortment,
    categories: Rows,
    at: Floats,
    rng: np.random.Generator,
) -> Rows:
    """Chooses one item of the given category for each user, shape (n,).

    The user sees ``N_SEEN`` items, well-known ones more often, and takes one by a multinomial
    logit of ``match``. An item before its launch is taken only if no other is seen.

    Args:
        categories: shape (n,); each must hold an item.

    Source:
        McFadden, "Conditional logit analysis of qualitative choice behavior", 1974.
    """
    # An item's share of its shelf's attention is the length of its interval: a uniform position on
    # the shelf falls into it with that probability.
    drawn = rng.random((len(users), N_SEEN))
    low = assortment.attention[assortment.shelves[categories]]
    high = assortment.attention[assortment.shelves[categories + 1]]
    positions = low[:, None] + drawn * (high - low)[:, None]
    seen = np.searchsorted(assortment.attention, positions, side="right") - 1
    # Rounding can put a position at the end of the shelf.
    last = assortment.shelves[categories + 1] - 1
    seen = np.minimum(seen, last[:, None])
    # The largest utility plus Gumbel noise is a draw from the logit.
    utility = match(shoppers, users[:, None], assortment, seen) + rng.gumbel(size=seen.shape)
    utility[assortment.launched_at[seen] > at[:, None]] = -np.inf
    taken = np.take_along_axis(seen, utility.argmax(axis=1)[:, None], axis=1)
    return taken[:, 0].astype(np.int32)
