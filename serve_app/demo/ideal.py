"""The demo shop's own known tastes: which new items each user is likely to buy, and how likely.

What no recommender is told: tastes, seasons, launches and what goes with what. Lists in the order
of these scores are the best that anybody could make, and the yardstick for what others make.
"""

import numpy as np

from serve_app.arrays.columns import MISSING, Rows
from serve_app.demo.choices import N_SEEN, match_all, seasonal_demand
from serve_app.demo.purchases import ALONG_SHARE, Shop, buying_chance
from serve_app.demo.shopping import VIEWS_PER_VISIT
from serve_app.demo.tastes import Floats

# Trapezoids over the logarithm: the integrand falls off exponentially to the left and faster to
# the right, so that few of them are exact to four digits (compared with 400 in the tests).
_LOG_STEPS = np.arange(-16.0, 16.0, 0.5)


def ideal_scores(shop: Shop, users: Rows, items: Rows, at: Floats) -> Floats:
    """
    Purchases to be expected of each user in one visit, of each item that is not yet his.

    A visit holds several views of a category chosen by interest and season, an item of those that
    are seen is looked at, and bought if it suits; some purchases bring their partner with them.
    What is bought again is left out: these items are the user's already.

    Args:
        users, items: shapes (n_users,) and (n_items,), numbers in the shop.
        at: shape (n_moments,), epoch seconds; the mean over the moments is given.

    Returns:
        Shape (n_users, n_items).
    """
    browsed = np.zeros((len(users), len(shop.assortment)))
    for moment in at.tolist():
        browsed += _bought_browsing(shop, users, moment) / len(at)
    launched = (shop.assortment.launched_at <= at[:, None]).mean(axis=0)
    along = np.zeros_like(browsed)
    first = np.flatnonzero(shop.partners != MISSING)
    np.add.at(along.T, shop.partners[first], ALONG_SHARE * browsed.T[first])
    scores: Floats = browsed + along * launched
    return scores[:, items]


def _bought_browsing(shop: Shop, users: Rows, at: float) -> Floats:
    """Purchases of every item in a visit at this moment, shape (n_users, len(assortment))."""
    assortment = shop.assortment
    demand = shop.shoppers.favours[users] * seasonal_demand(np.array([at])) * assortment.stocked
    demand /= demand.sum(axis=1, keepdims=True)
    suits = match_all(shop.shoppers, users, assortment)
    taken = choice_chances(shop, suits, at)
    bought: Floats = (
        VIEWS_PER_VISIT * demand[:, assortment.categories] * taken * buying_chance(suits)
    )
    return bought


def choice_chances(shop: Shop, suits: Floats, at: float) -> Floats:
    """
    How likely an item is looked at in a view of its category, shape of ``suits``.

    Of six items that are seen, each drawn by attention, one is taken by a multinomial logit. With
    the weight w = exp(suits), and S the sum of the other five, that is 6 · attention · E[w/(w+S)],
    and 1/(w+S) is the integral of exp(-s(w+S)): five times the same expectation under it.

    Args:
        suits: shape (n_users, len(assortment)), as ``match``.
        at: epoch seconds; what is launched later is seen but not taken.
    """
    assortment = shop.assortment
    attention = np.diff(assortment.attention)
    shelves = assortment.shelves[:-1][assortment.stocked]
    lengths = np.diff(assortment.shelves)[assortment.stocked]
    weights = np.where(assortment.launched_at <= at, np.exp(suits), 0.0)
    total = np.zeros_like(weights)
    for log_s in _LOG_STEPS:
        decayed = np.exp(-np.exp(log_s) * weights)
        others = np.add.reduceat(attention * decayed, shelves, axis=1) ** (N_SEEN - 1)
        total += np.exp(log_s) * decayed * np.repeat(others, lengths, axis=1)
    step = _LOG_STEPS[1] - _LOG_STEPS[0]
    chances: Floats = N_SEEN * attention * weights * total * step
    return chances
