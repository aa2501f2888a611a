"""The simulated shop with a funnel, and its comparison of histories."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality.funnel_run import CART, FUNNEL, WITH, WITHOUT, list_carts, purchases_alone
from benchmarks.quality.funnel_section import funnel_sections, views_and_carts
from benchmarks.quality.funnel_shop import FunnelConfig, funnel_files, make_funnel
from serve_app.arrays.columns import MISSING
from serve_app.domain.interactions import PURCHASE
from serve_app.fitting.data.labels import LabelConfig
from serve_app.loading.in_memory import read_files
from serve_app.loading.load import LoadConfig
from serve_app.next_items.next_protocol import NextProtocolConfig, split_sessions
from serve_app.next_items.next_questions import known_histories

SHOP = FunnelConfig(n_users=150, n_items=60, n_categories=5)
NOW_AT = 1_800_000_000.0
GAP_S = 30 * 60.0


@cache
def interactions():
    return make_funnel(SHOP).interactions


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Purchases are asked for one moment after the other."""
    files = funnel_files(SHOP, tmp_path_factory.mktemp("funnel"))
    loaded = read_files(files, LoadConfig(), lambda share: None, now_at=NOW_AT)
    return split_sessions(loaded.log, NextProtocolConfig(label=LabelConfig()))


class TestShop:
    def test_equal_seeds_give_equal_shops_and_others_do_not(self):
        again, other = (
            make_funnel(FunnelConfig(n_users=20, n_items=30, n_categories=3, seed=seed))
            for seed in (1, 2)
        )
        first = make_funnel(FunnelConfig(n_users=20, n_items=30, n_categories=3, seed=1))

        for tables in zip(first, again, strict=True):
            pd.testing.assert_frame_equal(*tables)
        assert not first.interactions.equals(other.interactions)

    def test_views_lead_to_fewer_carts_and_carts_to_fewer_purchases(self):
        counts = interactions()["type"].value_counts()

        assert 0.05 < counts["cart"] / counts["view"] < 0.15
        assert 0.25 < counts["purchase"] / counts["cart"] < 0.5
        assert counts["purchase"] / counts.sum() > 0.01, "the label is the purchase"

    def test_nothing_is_bought_that_was_not_viewed_and_put_into_the_cart(self):
        first = interactions().pivot_table("timestamp", ["user_id", "item_id"], "type", "min")
        bought = first[first["purchase"].notna()]

        assert len(bought) > 100
        assert (bought["view"] < bought["cart"]).all()
        assert (bought["cart"] < bought["purchase"]).all()

    def test_nothing_is_bought_twice(self):
        bought = interactions().query("type == 'purchase'")

        assert not bought.duplicated(["user_id", "item_id"]).any()

    def test_some_carts_are_bought_in_a_later_visit(self):
        at = interactions().pivot_table("timestamp", ["user_id", "item_id"], "type", "max")
        waits = (at["purchase"] - at["cart"]).dropna().dt.total_seconds()

        assert 0.2 < (waits > GAP_S).mean() < 0.8

    def test_pauses_part_visits(self):
        events = interactions().sort_values(["user_id", "timestamp"], kind="stable")
        pauses = events.groupby("user_id")["timestamp"].diff().dropna().dt.total_seconds()

        assert (pauses >= 0).all()
        assert not pauses.between(660, GAP_S).any()

    def test_views_are_noisy_because_everybody_views_famous_items(self):
        events = interactions()
        share = events.query("type == 'view'")["item_id"].value_counts(normalize=True)
        famous = share.index[:5]
        viewers = events[events["item_id"].isin(famous)]["user_id"].nunique()

        assert viewers > 0.9 * events["user_id"].nunique()
        bought = events.query("type == 'purchase'")["item_id"].isin(famous).mean()
        assert share[:5].sum() > bought


class TestPurchasesAlone:
    def test_asks_the_same_at_the_same_moments_with_less_known(self, split):
        alone = purchases_alone(split)

        np.testing.assert_array_equal(alone.questions.at, split.questions.at)
        np.testing.assert_array_equal(alone.wanted.items, split.wanted.items)
        assert (alone.known.types == PURCHASE).all()
        np.testing.assert_array_equal(alone.item_rows, split.item_rows)

    def test_knows_exactly_the_purchases_before_each_question(self, split):
        every = slice(0, len(split.questions))
        whole = known_histories(split.log, split.questions, every)
        alone = purchases_alone(split)
        left = known_histories(alone.log, alone.questions, every)

        expected = whole.where(whole.events["type"] == PURCHASE)
        assert len(expected.events) > 0
        np.testing.assert_array_equal(left.events["row"], expected.events["row"])
        np.testing.assert_array_equal(left.offsets, expected.offsets)


def test_the_rule_lists_what_is_in_the_cart(split):
    lists = list_carts(split, 10)

    for number, items in enumerate(lists):
        wanted = split.wanted.items[split.wanted.offsets[number] : split.wanted.offsets[number + 1]]
        listed = items[items != MISSING]
        assert len(np.unique(listed)) == len(listed)
        if len(listed) < 10:
            assert set(wanted) <= set(listed), "whatever is bought was in the cart"


def figure(mean, low):
    return {"mean": mean, "low": low, "high": mean + 0.1}


def document(low=2.0, without=None):
    """A short document of the comparison; ``without`` replaces the ratio to purchases alone."""
    measures = ("ndcg@10", "mrr@10", "hit_rate@10")
    ratios = {CART: {"ndcg@10": figure(0.9, 0.8)}}
    ratios[WITHOUT] = {"ndcg@10": figure(2.5, low)} if without is None else without
    asked = {
        "n_questions": 100,
        "models": {
            name: {measure: figure(0.3, 0.2) for measure in measures}
            for name in (WITHOUT, WITH, CART)
        },
        "ratios": ratios,
    }
    counts = dict.fromkeys(("view", "cart", "purchase", "n_users", "n_items", "n_test_users"), 7)
    return {"protocol": counts, "asked": {"at each purchase": asked}, "seconds": 1.0}


class TestSection:
    def test_shows_every_history_and_the_ratio(self):
        [section] = funnel_sections({FUNNEL: document()})

        assert "2.50 (2.00–2.60)" in str(section)
        for name in (WITHOUT, WITH, CART):
            assert f"| {name} |" in str(section)

    def test_is_absent_if_nothing_was_measured(self):
        assert funnel_sections({}) == []

    def test_the_goal_looks_at_the_lower_end(self):
        assert views_and_carts({FUNNEL: document()})[1]
        assert not views_and_carts({FUNNEL: document(low=1.14)})[1]
        assert not views_and_carts({FUNNEL: document(without={})})[1]
