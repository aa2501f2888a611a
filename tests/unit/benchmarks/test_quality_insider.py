"""Who knows the demo shop's rules learns tastes from what users do, as well as that can be done."""

from functools import cache

import numpy as np

from benchmarks.quality.insider import expected_purchases, likely_shoppers
from benchmarks.quality.metropolis import sampled
from benchmarks.quality.traces import Seen, seen_of
from serve_app.demo.demo_shop import DemoConfig, make_hidden
from serve_app.demo.ideal import ideal_scores
from serve_app.demo.shopping import simulate
from serve_app.demo.tastes import Shoppers, appeals
from serve_app.domain.interactions import TYPE_CODES, InteractionLog

CONFIG = DemoConfig(n_users=100, n_items=250, seed=4)
USERS = np.arange(CONFIG.n_users, dtype=np.int32)
ITEMS = np.arange(CONFIG.n_items, dtype=np.int32)


@cache
def shop():
    return make_hidden(CONFIG).shop


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
def seen() -> Seen:
    return seen_of(log(), USERS, ITEMS, shop().assortment)


@cache
def drawn_shoppers() -> list[Shoppers]:
    return likely_shoppers(shop(), seen(), np.random.default_rng(1))


def mean_of(name: str):
    return np.mean([getattr(shoppers, name) for shoppers in drawn_shoppers()], axis=0)


def correlation(one, other):
    return np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]


class TestSampled:
    def test_draws_as_often_as_is_likely(self):
        means, deviations = np.array([[0.0, 3.0]]), np.array([[1.0, 0.5]])
        start = np.zeros((400, 2))
        draws = sampled(
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

    def test_leaves_the_start_alone(self):
        start = np.zeros((5, 1))
        sampled(lambda state: -(state[:, 0] ** 2), start, 30, 2, np.random.default_rng(0))
        assert not start.any()


class TestSeen:
    def test_a_user_s_own_events_stand_in_his_row(self):
        few = np.array([7, 3], np.int32)
        own = seen_of(log(), few, ITEMS, shop().assortment)
        views = log().types == TYPE_CODES["view"]

        assert own.n_users == 2
        assert np.bincount(own.looks.users, own.looks.viewed).tolist() == [
            (views & (log().users == user)).sum() for user in few
        ]
        assert own.visits.n_views.sum() == own.looks.viewed.sum()

    def test_nothing_is_clicked_that_was_not_viewed(self):
        looks = seen().looks
        assert (looks.clicked <= looks.viewed).all()
        assert (looks.carted <= looks.clicked).all()
        assert looks.carted.any()

    def test_a_category_counts_once_a_day(self):
        visits = seen().visits
        distinct = set(zip(visits.users, visits.categories, visits.at, strict=True))
        days = set(zip(visits.users, visits.at, strict=True))

        assert len(distinct) == len(visits.users)
        assert visits.is_only.sum() < len(days)
        assert (~visits.is_only).sum() >= 2 * (len(days) - visits.is_only.sum())


class TestLikelyShoppers:
    def test_tastes_are_like_those_that_led_to_the_events(self):
        assert correlation(mean_of("tastes"), shop().shoppers.tastes) > 0.45
        assert correlation(mean_of("price_levels"), shop().shoppers.price_levels) > 0.55

    def test_interests_are_like_those_that_led_to_the_events(self):
        usual = np.tile(appeals(), (len(USERS), 1))
        true = shop().shoppers.favours
        found = correlation(mean_of("favours"), true)

        assert found > 0.85
        assert found > correlation(usual, true) + 0.3


def test_what_history_tells_is_between_nothing_and_the_ideal():
    at = np.array([CONFIG.end_at - 10 * 86_400])
    ideal = ideal_scores(shop(), USERS, ITEMS, at)
    found = expected_purchases(shop(), seen(), ITEMS, at, np.random.default_rng(1))
    for_everybody = np.tile(ideal.mean(axis=0), (len(USERS), 1))

    assert correlation(found, ideal) > correlation(for_everybody, ideal) + 0.2
    assert correlation(found, ideal) < 0.99
