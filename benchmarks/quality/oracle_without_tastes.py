"""Scores items of the demo shop by tastes that are inferred from events: the oracle without tastes.

Knows the rules of the simulation and all items, hidden traits included; of each user only their
events. Draws tastes and interests that the events make likely, and scores items by the expected
purchases. Nobody who learns from events can be expected to make better lists.
"""

from dataclasses import replace

import numpy as np

from benchmarks.quality.data_sets import DEMO
from benchmarks.quality.metropolis import Density, draw
from benchmarks.quality.oracle import items_of, oracle_scores
from benchmarks.quality.user_events import Looks, UserEvents, collect_events
from serve_app.arrays.columns import MISSING, Rows
from serve_app.demo.choices import N_SEEN, match_all, seasonal_demand
from serve_app.demo.demo_shop import make_hidden_shop
from serve_app.demo.purchases import (
    RATING_NOISE,
    carting_chance,
    clicking_chance,
    usual_stars,
)
from serve_app.demo.shopping import SECOND_SHARE
from serve_app.demo.tastes import (
    CATEGORY_CONCENTRATION,
    PRICE_SPREAD,
    TASTE_STRENGTH,
    Assortment,
    Floats,
    HiddenShop,
    Shoppers,
    appeals,
    favours_of,
)
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.training_matrix import ScoreItems
from serve_app.loading.in_memory import LoadedFiles

N_DRAWS = 16
_N_STEPS_TASTES = 1_500
_N_STEPS_INTERESTS = 6_000
_SEED = 7


def oracle_without_tastes_scorer(files: LoadedFiles, split: EvaluationSplit) -> ScoreItems:
    """Score the ranked items for the middle of the test period, from training interactions."""
    shop = make_hidden_shop(DEMO)
    item_of_row = np.full(int(files.items["item_row"].max()) + 1, MISSING, np.int32)
    item_of_row[files.items["item_row"]] = items_of(files.items["item_id"], shop)
    test_users = split.user_numbers[split.users]
    events = collect_events(split.known, test_users, item_of_row, shop.assortment)
    middle_at = np.array([(split.cut_at + split.end_at) / 2])
    targets = item_of_row[split.item_rows]
    rng = np.random.default_rng(_SEED)
    scores = expected_purchases(shop, events, targets, middle_at, rng)
    # Only test users are scored: the chains of all users would take too long.
    score_row = np.full(len(split.user_numbers), -1)
    score_row[split.users] = np.arange(len(test_users))
    return lambda users: scores[score_row[users]]


def expected_purchases(
    shop: HiddenShop, events: UserEvents, items: Rows, at: Floats, rng: np.random.Generator
) -> Floats:
    """Sum of ``oracle_scores`` over the draws of tastes, shape (events.n_users, len(items))."""
    users = np.arange(events.n_users, dtype=np.int32)
    scores = np.zeros((events.n_users, len(items)))
    for shoppers in likely_shoppers(shop, events, rng):
        scores += oracle_scores(replace(shop, shoppers=shoppers), users, items, at)
    return scores


def likely_shoppers(
    shop: HiddenShop, events: UserEvents, rng: np.random.Generator
) -> list[Shoppers]:
    """Draw ``N_DRAWS`` sets of tastes and interests that the events make likely."""
    neutral = np.zeros((events.n_users, shop.assortment.traits.shape[1] + 1))
    density = taste_density(shop.assortment, events)
    tastes = draw(density, neutral, _N_STEPS_TASTES, N_DRAWS, rng)
    usual = np.tile(np.log(appeals()), (events.n_users, 1))
    interests = draw(interest_density(shop, events), usual, _N_STEPS_INTERESTS, N_DRAWS, rng)
    return [
        _shoppers(state, favours_of(np.exp(logs)))
        for state, logs in zip(tastes, interests, strict=True)
    ]


def taste_density(assortment: Assortment, events: UserEvents) -> Density:
    """
    Density of tastes and price levels, given the views, clicks, carts and ratings.

    States have shape (n_users, d + 1): tastes, then the price level.
    """
    users, no_interests = np.arange(events.n_users), np.empty((events.n_users, 0))
    looks, ratings = events.looks, events.ratings

    def density(state: Floats) -> Floats:
        suits = match_all(_shoppers(state, no_interests), users, assortment)
        of_looks = suits[looks.users, looks.items]
        click, cart = clicking_chance(of_looks), carting_chance(of_looks)
        logs = looks.viewed * _log_choices(assortment, suits, looks)
        logs += looks.clicked * np.log(click) + (looks.viewed - looks.clicked) * np.log1p(-click)
        logs += looks.carted * np.log(cart) + (looks.clicked - looks.carted) * np.log1p(-cart)
        off = (ratings.stars - usual_stars(suits[ratings.users, ratings.items])) / RATING_NOISE
        # The prior is normal: tastes are drawn independently in tastes.make_shoppers.
        squares = ((state / _taste_spreads(state.shape[1])) ** 2).sum(axis=1)
        squares += np.bincount(ratings.users, off**2, minlength=events.n_users)
        log_density: Floats = np.bincount(looks.users, logs, minlength=events.n_users) - squares / 2
        return log_density

    return density


def interest_density(shop: HiddenShop, events: UserEvents) -> Density:
    """
    Density of interests in categories, given the viewed categories and their seasons.

    States have shape (n_users, n_categories): logarithms of gamma variables.
    """
    shapes = CATEGORY_CONCENTRATION * appeals()
    visits = events.visits
    seasons = seasonal_demand(visits.at) * shop.assortment.stocked
    categories = visits.categories[:, None].astype(np.int64)
    # A visit draws two categories, perhaps one twice. With k views in one category, the other may
    # not have had its turn.
    no_turn = (1 - SECOND_SHARE) ** visits.n_views + SECOND_SHARE**visits.n_views

    def density(state: Floats) -> Floats:
        demand = favours_of(np.exp(state))[visits.users] * seasons
        share = np.take_along_axis(demand, categories, axis=1)[:, 0] / demand.sum(axis=1)
        alone = np.where(visits.is_only, share + (1 - share) * no_turn, 1.0)
        logs = np.log(share * alone)
        prior: Floats = (shapes * state - np.exp(state)).sum(axis=1)
        return prior + np.bincount(visits.users, logs, minlength=events.n_users)

    return density


def _log_choices(assortment: Assortment, suits: Floats, looks: Looks) -> Floats:
    """
    Log-probability of each viewed item among those of its category, up to a constant.

    As ``oracle.choice_chances``, with the mean weight in place of the other seen items' weights.
    """
    attention = np.diff(assortment.attention)
    shelves = assortment.shelves[:-1][assortment.stocked]
    lengths = np.diff(assortment.shelves)[assortment.stocked]
    columns = np.cumsum(assortment.stocked)[assortment.categories[looks.items]] - 1
    weights = np.exp(suits)
    others = (N_SEEN - 1) * np.add.reduceat(attention * weights, shelves, axis=1)
    shares = weights / (weights + np.repeat(others, lengths, axis=1))
    of_category = np.add.reduceat(attention * shares, shelves, axis=1)
    logs: Floats = np.log(shares[looks.users, looks.items] / of_category[looks.users, columns])
    return logs


def _taste_spreads(n: int) -> Floats:
    """Standard deviations of tastes and, last, of the price level; shape (n,)."""
    return np.array([TASTE_STRENGTH] * (n - 1) + [PRICE_SPREAD])


def _shoppers(state: Floats, favours: Floats) -> Shoppers:
    n_users = len(state)
    return Shoppers(
        favours=favours.astype(np.float32),
        tastes=state[:, :-1].astype(np.float32),
        price_levels=state[:, -1].astype(np.float32),
        arrived_at=np.zeros(n_users),
        activity=np.ones(n_users),
    )
