"""The demo shop is reproducible and lifelike, and rewards personal lists."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse

from serve_app.demo.assortment import CATEGORIES, MATERIALS, SEASONS
from serve_app.demo.demo_shop import DemoConfig, DemoShop, make_demo, write_demo
from serve_app.errors import SettingsInvalid
from serve_app.loading.csv_and_parquet import read_chunks
from serve_app.loading.rows import DESCRIBED, Limits, check_described, check_interactions

SMALL = DemoConfig(n_users=1_000, n_items=1_500, n_interactions=40_000)
TINY = DemoConfig(n_users=20, n_items=60, n_interactions=400)


@pytest.fixture(scope="module")
def shop() -> DemoShop:
    return make_demo(SMALL)


@pytest.fixture(scope="module")
def interactions(shop: DemoShop) -> pd.DataFrame:
    categories = shop.items.to_pandas().set_index("item_id")["category"]
    frame = shop.interactions.to_pandas()
    return frame.assign(category=frame["item_id"].map(categories))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_users": 0}, "n_users must be at least 1, not 0"),
        ({"n_items": -3}, "n_items must be at least 1, not -3"),
        ({"n_interactions": 0}, "n_interactions must be at least 1"),
        ({"n_days": 0}, "n_days must be at least 1"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
    ],
)
def test_refuses_settings_below_their_minimum(change: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsInvalid, match=message):
        replace(TINY, **change)


def test_equal_seeds_give_equal_shops() -> None:
    again = make_demo(TINY)

    assert make_demo(TINY) == again
    assert make_demo(replace(TINY, seed=8)).interactions != again.interactions


def test_more_interactions_do_not_change_items_and_users() -> None:
    longer = make_demo(replace(TINY, n_interactions=900))

    assert longer.items == make_demo(TINY).items
    assert longer.users == make_demo(TINY).users


@pytest.mark.parametrize(
    "config",
    [TINY, DemoConfig(n_users=1, n_items=1, n_interactions=1), replace(TINY, n_days=1)],
)
def test_a_shop_of_any_size_has_exactly_the_configured_numbers(config: DemoConfig) -> None:
    shop = make_demo(config)

    assert shop.items.num_rows == config.n_items
    assert shop.users.num_rows == config.n_users
    assert shop.interactions.num_rows == config.n_interactions


def test_ids_and_titles_are_unique_and_ids_do_not_reveal_the_category(shop: DemoShop) -> None:
    items = shop.items.to_pandas()

    assert items["item_id"].is_unique
    assert items["title"].is_unique
    assert items["item_id"].iloc[42] == "i000042"
    assert (items["category"] == items["category"].shift()).mean() < 0.2


def test_every_word_of_the_assortment_is_defined() -> None:
    names = {category.name for category in CATEGORIES}

    assert len(names) == len(CATEGORIES)
    assert {category.goes_with for category in CATEGORIES} <= names
    assert {category.made_of for category in CATEGORIES} == set(MATERIALS)
    assert {category.season for category in CATEGORIES} == set(SEASONS)


def test_nothing_happens_before_a_launch_an_arrival_or_after_the_end(
    shop: DemoShop, interactions: pd.DataFrame
) -> None:
    launched = shop.items.to_pandas().set_index("item_id")["created_at"]
    arrived = shop.users.to_pandas().set_index("user_id")["created_at"]

    assert (interactions["timestamp"] >= interactions["item_id"].map(launched)).all()
    assert (interactions["timestamp"] >= interactions["user_id"].map(arrived)).all()
    assert interactions["timestamp"].max().timestamp() < SMALL.end_at
    assert interactions["timestamp"].is_monotonic_increasing


def test_fewer_users_reach_each_step_of_the_funnel(interactions: pd.DataFrame) -> None:
    counts = interactions["type"].value_counts()

    assert counts["view"] > counts["click"] > counts["cart"] > counts["purchase"]
    assert counts["purchase"] > counts["rating"] > 0


def test_ratings_are_stars_and_purchases_have_quantities(interactions: pd.DataFrame) -> None:
    values = interactions.groupby("type")["value"]

    assert set(values.get_group("rating")) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert values.get_group("purchase").min() == 1.0
    assert values.get_group("view").isna().all()


def test_only_consumable_items_are_bought_again(interactions: pd.DataFrame) -> None:
    consumable = {category.name for category in CATEGORIES if category.consumable}
    bought = interactions[interactions["type"] == "purchase"]
    again = bought[bought.duplicated(["user_id", "item_id"])]

    assert len(again) > 100
    assert set(again["category"]) <= consumable


def test_christmas_items_are_in_demand_in_december(interactions: pd.DataFrame) -> None:
    by_month = interactions["timestamp"].dt.month
    is_bauble = interactions["category"] == "baubles"

    assert is_bauble[by_month == 12].mean() > 3 * is_bauble[by_month == 7].mean()


def test_some_users_come_rarely_and_some_often(interactions: pd.DataFrame) -> None:
    per_user = interactions["user_id"].value_counts()

    assert per_user.min() <= 2
    assert per_user.max() > 10 * per_user.median()


def test_every_written_row_can_be_loaded(shop: DemoShop, tmp_path: Path) -> None:
    files = write_demo(shop, tmp_path / "new" / "folder")
    limits = Limits(SMALL.start_at - 86_400, SMALL.end_at, max_rating=5.0)

    checked = [check_described(c, DESCRIBED["items"], {}) for c in read_chunks(files.items)]
    checked += [check_described(c, DESCRIBED["users"], {}) for c in read_chunks(files.users)]
    checked += [check_interactions(c, limits) for c in read_chunks(files.interactions)]

    assert sum(len(chunk.rows) for chunk in checked) == 1_000 + 1_500 + 40_000
    assert [chunk.rejects for chunk in checked if chunk.rejects] == []
    assert sorted(path.name for path in files.items.parent.iterdir()) == [
        "interactions.parquet",
        "items.parquet",
        "users.parquet",
    ]


def test_a_failed_write_leaves_the_earlier_files(shop: DemoShop, tmp_path: Path) -> None:
    files = write_demo(shop, tmp_path)
    before = files.items.read_bytes()
    unwritable = shop._replace(items=None)

    with pytest.raises(AttributeError):
        write_demo(unwritable, tmp_path)

    assert files.items.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_personal_lists_beat_popular_ones(interactions: pd.DataFrame) -> None:
    n_train = len(interactions) * 8 // 10
    users, items = (pd.factorize(interactions[name])[0] for name in ("user_id", "item_id"))
    shape = (users.max() + 1, items.max() + 1)
    train = _counts(users[:n_train], items[:n_train], shape)
    test = _counts(users[n_train:], items[n_train:], shape)
    test[train > 0] = 0
    evaluated = (train.sum(axis=1) > 0) & (test.sum(axis=1) > 0)

    signals = np.log1p(train)
    lengths = np.maximum(np.linalg.norm(signals, axis=0), 1e-9)
    unit = sparse.csr_array(signals / lengths)
    cosine = (unit.T @ unit).toarray()
    np.fill_diagonal(cosine, 0.0)
    popular = np.broadcast_to(train.sum(axis=0), shape)
    scores = {"popular": popular, "personal": signals @ cosine}
    ndcg = {
        name: _ndcg_at_10(np.where(train > 0, -1.0, of_all)[evaluated], test[evaluated])
        for name, of_all in scores.items()
    }

    assert evaluated.sum() > 300
    assert ndcg["popular"] > 0.01
    assert ndcg["personal"] > 1.3 * ndcg["popular"]


def _counts(
    users: NDArray[np.integer], items: NDArray[np.integer], shape: tuple[int, int]
) -> NDArray[np.float64]:
    ones = np.ones(len(users))
    counts: NDArray[np.float64] = sparse.coo_array((ones, (users, items)), shape).toarray()
    return counts


def _ndcg_at_10(scores: NDArray[np.float64], relevant: NDArray[np.float64]) -> float:
    discounts = 1.0 / np.log2(np.arange(2, 12))
    top = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    hits = np.take_along_axis(relevant > 0, top, axis=1)
    n_ideal = np.minimum((relevant > 0).sum(axis=1), 10)
    ideal = np.cumsum(discounts)[n_ideal - 1]
    return float(((hits * discounts).sum(axis=1) / ideal).mean())
