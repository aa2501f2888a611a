"""Scores items of the demo shop by the users' hidden tastes: the oracle that bounds all lists.

The simulation knows tastes, seasons, launches and partners. No recommender can make better lists
than those in the order of these scores.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.data_sets import DEMO
from serve_app.arrays.columns import MISSING, Rows
from serve_app.demo.choices import N_SEEN, match_all, seasonal_demand
from serve_app.demo.demo_ids import demo_item_id
from serve_app.demo.demo_shop import make_hidden_shop
from serve_app.demo.purchases import ALONG_SHARE, buying_chance
from serve_app.demo.shopping import VIEWS_PER_VISIT
from serve_app.demo.tastes import Floats, HiddenShop
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.training_matrix import ScoreItems
from serve_app.loading.in_memory import LoadedFiles

_N_MOMENTS = 4

# Trapezoids over the logarithm. The integrand falls off exponentially to the left and faster to the
# right: these few are exact to four digits (the tests compare them with drawn choices).
_LOG_STEPS = np.arange(-16.0, 16.0, 0.5)


def oracle_scorer(files: LoadedFiles, split: EvaluationSplit) -> ScoreItems:
    """Score the ranked items by the purchases to be expected in the test period."""
    shop = make_hidden_shop(DEMO)
    items = items_of(files.items["item_id"].to_numpy()[split.item_rows], shop)
    users = np.array([int(split.known.user_ids[i][1:]) for i in split.user_numbers], np.int32)
    bounds = np.linspace(split.cut_at, split.end_at, _N_MOMENTS + 1)
    moments = (bounds[:-1] + bounds[1:]) / 2

    def score(numbers: NDArray[np.int32]) -> NDArray[np.float64]:
        return oracle_scores(shop, users[numbers], items, moments)

    return score


def items_of(ids: Iterable[str], shop: HiddenShop) -> NDArray[np.int32]:
    """Numbers in the assortment of the items with these ids."""
    number_of = {demo_item_id(number): i for i, number in enumerate(shop.item_numbers.tolist())}
    return np.array([number_of[item_id] for item_id in ids], np.int32)


def oracle_scores(shop: HiddenShop, users: Rows, items: Rows, at: Floats) -> Floats:
    """
    Compute the expected first purchases of each item in one visit of each user.

    A visit holds several views. A view chooses a category by interest and season, then an item
    among those seen, which is bought if it suits. Some purchases bring their partner with them.
    Repeated purchases are left out: these items are not new to the user.

    Args:
        users, items: shapes (n_users,) and (n_items,), numbers in the shop.
        at: shape (n_moments,), epoch seconds; the scores are the mean over the moments.

    Returns:
        Shape (n_users, n_items).
    """
    browsed = np.zeros((len(users), len(shop.assortment)))
    for moment in at.tolist():
        browsed += _bought_browsing(shop, users, moment) / len(at)
    launched = (shop.assortment.launched_at <= at[:, None]).mean(axis=0)
    along = np.zeros_like(browsed)
    first = np.flatnonzero(shop.partners != MISSING)
    # Several items may have one partner: add.at adds all of them.
    np.add.at(along.T, shop.partners[first], ALONG_SHARE * browsed.T[first])
    scores: Floats = browsed + along * launched
    return scores[:, items]


def _bought_browsing(shop: HiddenShop, users: Rows, at: float) -> Floats:
    """Expected purchases of every item in a visit at a moment, shape (n_users, n of assortment)."""
    assortment = shop.assortment
    demand = shop.shoppers.favours[users] * seasonal_demand(np.array([at])) * assortment.stocked
    demand /= demand.sum(axis=1, keepdims=True)
    suits = match_all(shop.shoppers, users, assortment)
    chosen = choice_chances(shop, suits, at)
    bought: Floats = (
        VIEWS_PER_VISIT * demand[:, assortment.categories] * chosen * buying_chance(suits)
    )
    return bought


def choice_chances(shop: HiddenShop, suits: Floats, at: float) -> Floats:
    """
    Compute the probability that a view of its category chooses an item, shape of ``suits``.

    Of six items that are seen, each drawn by attention, one is chosen by a multinomial logit. With
    the weight w = exp(suits), and S the sum of the other five, that is 6 · attention · E[w/(w+S)],
    and 1/(w+S) is the integral of exp(-s(w+S)): five times the same expectation under it.

    Args:
        suits: shape (n_users, len(assortment)), as ``match``.
        at: epoch seconds; items launched later are seen but not chosen.
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
