"""The demo shop by an insider: what history tells of tastes to one who knows everything else.

The insider knows the rules of the simulation and all items, hidden traits included, and of each
user only what he did. Between his lists and the ideal ones lies what no history tells, so nobody
who learns from histories can be expected to do better. Tastes and interests are drawn from what the
events make likely of them, and the lists are in the order of the purchases to be expected.
"""

from dataclasses import replace

import numpy as np

from benchmarks.quality.data import DEMO
from benchmarks.quality.ideal import items_of
from benchmarks.quality.metropolis import Density, sampled
from benchmarks.quality.traces import Looks, Seen, seen_of
from serve_app.arrays.columns import MISSING, Rows
from serve_app.demo.choices import N_SEEN, match_all, seasonal_demand
from serve_app.demo.demo_shop import make_hidden
from serve_app.demo.ideal import ideal_scores
from serve_app.demo.purchases import (
    RATING_NOISE,
    Shop,
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
    Shoppers,
    appeals,
    favours_of,
)
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.training_matrix import ScoreItems
from serve_app.loading.in_memory import LoadedFiles as Files

N_DRAWS = 16
_N_STEPS_TASTES = 1_500
_N_STEPS_INTERESTS = 6_000
_SEED = 7


def insider_scorer(shop: Files, split: EvaluationSplit) -> ScoreItems:
    """Scores of the ranked items in the middle of the test's window, from the past alone."""
    hidden = make_hidden(DEMO)
    item_of_row = np.full(int(shop.items["item_row"].max()) + 1, MISSING, np.int32)
    item_of_row[shop.items["item_row"]] = items_of(shop.items["item_id"], hidden)
    asked = split.user_numbers[split.users]
    seen = seen_of(split.known, asked, item_of_row, hidden.shop.assortment)
    middle_at = np.array([(split.cut_at + split.end_at) / 2])
    targets = item_of_row[split.item_rows]
    found = expected_purchases(hidden.shop, seen, targets, middle_at, np.random.default_rng(_SEED))
    place = np.full(len(split.user_numbers), -1)
    place[split.users] = np.arange(len(asked))
    return lambda users: found[place[users]]


def expected_purchases(
    shop: Shop, seen: Seen, items: Rows, at: Floats, rng: np.random.Generator
) -> Floats:
    """``ideal_scores`` of users like these, added up; shape (seen.n_users, len(items))."""
    everybody = np.arange(seen.n_users, dtype=np.int32)
    scores = np.zeros((seen.n_users, len(items)))
    for shoppers in likely_shoppers(shop, seen, rng):
        scores += ideal_scores(replace(shop, shoppers=shoppers), everybody, items, at)
    return scores


def likely_shoppers(shop: Shop, seen: Seen, rng: np.random.Generator) -> list[Shoppers]:
    """``N_DRAWS`` times, tastes and interests that may have led to what was seen."""
    unknown = np.zeros((seen.n_users, shop.assortment.traits.shape[1] + 1))
    tastes = sampled(of_tastes(shop.assortment, seen), unknown, _N_STEPS_TASTES, N_DRAWS, rng)
    usual = np.tile(np.log(appeals()), (seen.n_users, 1))
    interests = sampled(of_interests(shop, seen), usual, _N_STEPS_INTERESTS, N_DRAWS, rng)
    return [
        _shoppers(state, favours_of(np.exp(logs)))
        for state, logs in zip(tastes, interests, strict=True)
    ]


def of_tastes(assortment: Assortment, seen: Seen) -> Density:
    """
    How likely tastes and price levels are, side by side in shape (n_users, d + 1), given what was
    looked at, clicked, put into the cart and rated.
    """
    everybody, no_interests = np.arange(seen.n_users), np.empty((seen.n_users, 0))
    looks, ratings = seen.looks, seen.ratings

    def density(state: Floats) -> Floats:
        suits = match_all(_shoppers(state, no_interests), everybody, assortment)
        own = suits[looks.users, looks.items]
        click, cart = clicking_chance(own), carting_chance(own)
        told = looks.viewed * _log_choices(assortment, suits, looks)
        told += looks.clicked * np.log(click) + (looks.viewed - looks.clicked) * np.log1p(-click)
        told += looks.carted * np.log(cart) + (looks.clicked - looks.carted) * np.log1p(-cart)
        off = (ratings.stars - usual_stars(suits[ratings.users, ratings.items])) / RATING_NOISE
        squares = ((state / _taste_spreads(state.shape[1])) ** 2).sum(axis=1)
        squares += np.bincount(ratings.users, off**2, minlength=seen.n_users)
        log_density: Floats = np.bincount(looks.users, told, minlength=seen.n_users) - squares / 2
        return log_density

    return density


def of_interests(shop: Shop, seen: Seen) -> Density:
    """
    How likely interests in categories are, the logarithms of gamma variables in shape
    (n_users, n_categories), given the categories that were looked at and their seasons.

    A visit has two of them in mind, drawn alike and perhaps the same; with k views in one category,
    the other may not have had its turn.
    """
    shapes = CATEGORY_CONCENTRATION * appeals()
    visits = seen.visits
    seasons = seasonal_demand(visits.at) * shop.assortment.stocked
    own = visits.categories[:, None].astype(np.int64)
    no_turn = (1 - SECOND_SHARE) ** visits.n_views + SECOND_SHARE**visits.n_views

    def density(state: Floats) -> Floats:
        demand = favours_of(np.exp(state))[visits.users] * seasons
        share = np.take_along_axis(demand, own, axis=1)[:, 0] / demand.sum(axis=1)
        alone = np.where(visits.is_only, share + (1 - share) * no_turn, 1.0)
        told = np.log(share * alone)
        before: Floats = (shapes * state - np.exp(state)).sum(axis=1)
        return before + np.bincount(visits.users, told, minlength=seen.n_users)

    return density


def _log_choices(assortment: Assortment, suits: Floats, looks: Looks) -> Floats:
    """
    Up to a constant, how likely each item that was looked at is the one in its category: as
    ``choice_chances``, with the mean in place of what the other items that are seen weigh.
    """
    attention = np.diff(assortment.attention)
    shelves = assortment.shelves[:-1][assortment.stocked]
    lengths = np.diff(assortment.shelves)[assortment.stocked]
    place = np.cumsum(assortment.stocked)[assortment.categories[looks.items]] - 1
    weights = np.exp(suits)
    others = (N_SEEN - 1) * np.add.reduceat(attention * weights, shelves, axis=1)
    shares = weights / (weights + np.repeat(others, lengths, axis=1))
    of_category = np.add.reduceat(attention * shares, shelves, axis=1)
    logs: Floats = np.log(shares[looks.users, looks.items] / of_category[looks.users, place])
    return logs


def _taste_spreads(n: int) -> Floats:
    """Standard deviations of tastes, and of the price level behind them, shape (n,)."""
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
