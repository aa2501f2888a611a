"""The oracle without tastes infers the demo users' tastes from their events."""

from functools import cache

import numpy as np

from benchmarks.quality.metropolis import draw
from benchmarks.quality.oracle import oracle_scores
from benchmarks.quality.oracle_without_tastes import expected_purchases, likely_shoppers
from benchmarks.quality.user_events import UserEvents, collect_events
from serve_app.demo.demo_shop import DemoConfig, make_hidden_shop
from serve_app.demo.shopping import simulate
from serve_app.demo.tastes import Shoppers, appeals
from serve_app.domain.interactions import TYPE_CODES, InteractionLog

CONFIG = DemoConfig(n_users=100, n_items=250, seed=4)
USERS = np.arange(CONFIG.n_users, dtype=np.int32)
ITEMS = np.arange(CONFIG.n_items, dtype=np.int32)


@cache
def shop():
    return make_hidden_shop(CONFIG)


@cache
def log():
    drawn = simulate(shop(), 20_000, np.random.default_rng(8))
    order = np.argsort(drawn.users, kind="stable")
    return InteractionLog(
        [f"u{user:03}" for user in USERS],
        drawn.users[order],
        drawn.items[order],
        drawn.types[order],
        drawn.values[order].astype(np.float32),
        drawn.at[order],
    )


@cache
def events() -> UserEvents:
    return collect_events(log(), USERS, ITEMS, shop().assortment)


@cache
def drawn_shoppers() -> list[Shoppers]:
    return likely_shoppers(shop(), events(), np.random.default_rng(1))


def mean_of(name: str):
    return np.mean([getattr(shoppers, name) for shoppers in drawn_shoppers()], axis=0)


def correlation(one, other):
    return np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]


class TestDraw:
    def test_draws_follow_the_density(self):
        means, deviations = np.array([[0.0, 3.0]]), np.array([[1.0, 0.5]])
        start = np.zeros((400, 2))
        draws = draw(
            lambda state: -(((state - means) / deviations) ** 2).sum(axis=1) / 2,
            start,
            n_steps=600,
            n_draws=4,
            rng=np.random.default_rng(3),
        )
        everything = np.concatenate(draws)

        assert len(draws) == 4
        np.testing.assert_allclose(everything.mean(axis=0), means[0], atol=0.1)
        np.testing.assert_allclose(everything.std(axis=0), deviations[0], rtol=0.1)

    def test_does_not_change_the_start(self):
        start = np.zeros((5, 1))
        draw(lambda state: -(state[:, 0] ** 2), start, 30, 2, np.random.default_rng(0))
        assert not start.any()


class TestUserEvents:
    def test_a_row_holds_the_events_of_its_user(self):
        few = np.array([7, 3], np.int32)
        part = collect_events(log(), few, ITEMS, shop().assortment)
        views = log().types == TYPE_CODES["view"]

        assert part.n_users == 2
        assert np.bincount(part.looks.users, part.looks.viewed).tolist() == [
            (views & (log().users == user)).sum() for user in few
        ]
        assert part.visits.n_views.sum() == part.looks.viewed.sum()

    def test_clicks_do_not_exceed_views(self):
        looks = events().looks
        assert (looks.clicked <= looks.viewed).all()
        assert (looks.carted <= looks.clicked).all()
        assert looks.carted.any()

    def test_a_category_counts_once_a_day(self):
        visits = events().visits
        distinct = set(zip(visits.users, visits.categories, visits.at, strict=True))
        days = set(zip(visits.users, visits.at, strict=True))

        assert len(distinct) == len(visits.users)
        assert visits.is_only.sum() < len(days)
        assert (~visits.is_only).sum() >= 2 * (len(days) - visits.is_only.sum())


class TestLikelyShoppers:
    def test_tastes_correlate_with_the_true_ones(self):
        assert correlation(mean_of("tastes"), shop().shoppers.tastes) > 0.45
        assert correlation(mean_of("price_levels"), shop().shoppers.price_levels) > 0.55

    def test_interests_correlate_with_the_true_ones(self):
        usual = np.tile(appeals(), (len(USERS), 1))
        true = shop().shoppers.favours
        found = correlation(mean_of("favours"), true)

        assert found > 0.85
        assert found > correlation(usual, true) + 0.3


def test_its_scores_lie_between_equal_scores_for_all_users_and_the_oracle():
    at = np.array([CONFIG.end_at - 10 * 86_400])
    oracle = oracle_scores(shop(), USERS, ITEMS, at)
    scores = expected_purchases(shop(), events(), ITEMS, at, np.random.default_rng(1))
    for_all_users = np.tile(oracle.mean(axis=0), (len(USERS), 1))

    assert correlation(scores, oracle) > correlation(for_all_users, oracle) + 0.2
    assert correlation(scores, oracle) < 0.99
