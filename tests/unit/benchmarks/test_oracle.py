"""The hidden tastes of the demo shop predict what its users do."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality.oracle import choice_chances, oracle_scores
from serve_app.demo.assortment import CATEGORIES
from serve_app.demo.choices import choose, match
from serve_app.demo.demo_shop import DemoConfig, make_hidden_shop
from serve_app.demo.purchases import buying_chance, funnel
from serve_app.demo.shopping import simulate
from serve_app.domain.interactions import PURCHASE, TYPE_CODES

CONFIG = DemoConfig(n_users=150, n_items=250, seed=4)
N_MOMENTS = 26


@cache
def shop():
    return make_hidden_shop(CONFIG)


def suits_of(users):
    items = np.arange(len(shop().assortment))
    return match(shop().shoppers, users[:, None], shop().assortment, items[None, :])


@cache
def drawn():
    return simulate(shop(), 60_000, np.random.default_rng(8))


def test_items_are_chosen_with_the_computed_probability():
    assortment, n = shop().assortment, 400_000
    category, user = int(np.argmax(np.diff(assortment.shelves))), 3
    at = CONFIG.start_at + 180 * 86_400
    taken = choose(
        shop().shoppers,
        np.full(n, user, np.int32),
        assortment,
        np.full(n, category, np.int32),
        np.full(n, at),
        np.random.default_rng(1),
    )
    shelf = slice(*assortment.shelves[category : category + 2])
    likely = choice_chances(shop(), suits_of(np.array([user])), at)[0, shelf]
    often = np.bincount(taken, minlength=len(assortment))[shelf] / n

    launched = assortment.launched_at[shelf] <= at
    assert launched.sum() > 5
    assert not launched.all()
    assert likely[~launched].max() == 0
    np.testing.assert_allclose(often[launched], likely[launched], atol=5 * 0.5 / n**0.5, rtol=0.02)
    # No launched item is chosen if all six that are seen are not launched yet.
    unseen = np.diff(assortment.attention)[shelf][~launched].sum()
    assert likely.sum() == pytest.approx(1 - unseen**6, abs=1e-3)


def test_views_become_purchases_with_the_computed_probability():
    views = drawn().where(drawn().types == TYPE_CODES["view"])
    chance = buying_chance(match(shop().shoppers, views.users, shop().assortment, views.items))
    for part in np.array_split(np.argsort(chance), 4):
        happened = funnel(shop(), views.where(part), np.random.default_rng(2))
        n_bought, expected = (happened.types == PURCHASE).sum(), chance[part].sum()

        assert abs(n_bought - expected) < 5 * expected**0.5


def test_first_purchases_are_as_frequent_as_the_scores_predict():
    present = np.flatnonzero(shop().shoppers.arrived_at <= CONFIG.start_at).astype(np.int32)
    items = np.arange(len(shop().assortment), dtype=np.int32)
    moments = np.linspace(CONFIG.start_at, CONFIG.end_at, N_MOMENTS + 1)
    scores = oracle_scores(shop(), present, items, (moments[:-1] + moments[1:]) / 2)
    views = drawn().where(drawn().types == TYPE_CODES["view"])
    visits = pd.Series(views.visits).groupby(views.users).nunique()
    n_visits = visits.reindex(present, fill_value=0).to_numpy()
    likely = 1 - np.exp(-scores * n_visits[:, None])
    bought = np.zeros((CONFIG.n_users, len(items)), bool)
    purchases = drawn().where(drawn().types == PURCHASE)
    bought[purchases.users, purchases.items] = True

    order = np.argsort(likely, axis=None)
    parts = np.array_split(
        order, [len(order) // 2, *(len(order) * np.array([8, 9, 95, 99]) // 100)]
    )
    parts = [part for part in parts if len(part)]
    for part in parts:
        expected = likely.ravel()[part].sum()
        n_bought = bought[present].ravel()[part].sum()
        assert abs(n_bought - expected) < 5 * expected**0.5 + 0.06 * expected, part


def test_scores_of_an_item_do_not_depend_on_the_other_items():
    users, at = np.array([1, 5], np.int32), np.array([CONFIG.end_at - 1])
    everything = oracle_scores(shop(), users, np.arange(CONFIG.n_items, dtype=np.int32), at)
    some = oracle_scores(shop(), users, np.array([7, 2], np.int32), at)

    np.testing.assert_array_equal(some, everything[:, [7, 2]])
    assert (everything >= 0).all()


def test_seasonal_items_score_higher_in_their_season():
    start, category = CONFIG.end_at - 300 * 86_400, shop().assortment.categories
    is_bauble = np.array([CATEGORIES[code].name == "baubles" for code in category])
    users, items = np.arange(50, dtype=np.int32), np.flatnonzero(is_bauble).astype(np.int32)
    summer = oracle_scores(shop(), users, items, np.array([start + 170 * 86_400]))
    winter = oracle_scores(shop(), users, items, np.array([CONFIG.end_at + 40 * 86_400]))

    assert winter.sum() > 5 * summer.sum()
