"""How a user of the demo shop chooses: by season, taste, price and fame."""

import numpy as np

from serve_app.arrays.columns import Rows
from serve_app.demo.assortment import CATEGORIES, SEASONS
from serve_app.demo.tastes import (
    Assortment,
    Floats,
    Numbers,
    Shoppers,
    Vectors,
)
from serve_app.domain.scoring.model_features import DAY_S

_YEAR_S = 365.2425 * DAY_S
N_SEEN = 6


def seasonal_demand(at: Floats) -> Floats:
    """Multiplier of each category's demand at these times, shape (n, n_categories)."""
    peak_at, width, rest, peak = np.array([SEASONS[category.season] for category in CATEGORIES]).T
    from_peak = np.abs((at / _YEAR_S % 1.0)[:, None] - peak_at)
    from_peak = np.minimum(from_peak, 1.0 - from_peak)
    demand: Floats = rest + peak * np.exp(-0.5 * (from_peak / width) ** 2)
    return demand


def match(shoppers: Shoppers, users: Numbers, assortment: Assortment, items: Numbers) -> Floats:
    """How well items suit users, shape of ``users`` and ``items`` broadcast; mostly in -3 … 3."""
    taste = (shoppers.tastes[users] * assortment.traits[items]).sum(axis=-1)
    return _suits(taste, shoppers.price_levels[users], assortment, items)


def match_all(shoppers: Shoppers, users: Numbers, assortment: Assortment) -> Floats:
    """``match`` of every item, shape (len(users), len(assortment))."""
    taste = shoppers.tastes[users] @ assortment.traits.T
    everything = np.arange(len(assortment))
    return _suits(taste, shoppers.price_levels[users, None], assortment, everything)


def _suits(
    taste: Floats | Vectors, price_levels: Vectors, assortment: Assortment, items: Numbers
) -> Floats:
    too_dear = price_levels - assortment.price_levels[items]
    suits: Floats = taste + assortment.quality[items] - 0.4 * too_dear.astype(np.float64) ** 2
    return suits


def choose(
    shoppers: Shoppers,
    users: Rows,
    assortment: Assortment,
    categories: Rows,
    at: Floats,
    rng: np.random.Generator,
) -> Rows:
    """One item of the given category for each user, shape (n,); every category must be stocked.

    The user looks at a few items, well-known ones more often, and takes one by a multinomial
    logit of ``match`` (drawn as the largest utility plus Gumbel noise). An item before its launch
    is taken only if nothing else is seen.

    Source:
        McFadden, "Conditional logit analysis of qualitative choice behavior", 1974.
    """
    place = rng.random((len(users), N_SEEN))
    low = assortment.attention[assortment.shelves[categories]]
    high = assortment.attention[assortment.shelves[categories + 1]]
    shares = low[:, None] + place * (high - low)[:, None]
    seen = np.searchsorted(assortment.attention, shares, side="right") - 1
    last = assortment.shelves[categories + 1] - 1
    seen = np.minimum(seen, last[:, None])
    utility = match(shoppers, users[:, None], assortment, seen) + rng.gumbel(size=seen.shape)
    utility[assortment.launched_at[seen] > at[:, None]] = -np.inf
    taken = np.take_along_axis(seen, utility.argmax(axis=1)[:, None], axis=1)
    return taken[:, 0].astype(np.int32)
