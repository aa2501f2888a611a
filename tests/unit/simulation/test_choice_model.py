import numpy as np

from serve_app.demo.purchases import is_consumable
from serve_app.simulation.choice_model import PATIENCE, Visit, choose_from, goes_on, need_of
from tests.unit.simulation.conftest import SMALL

AT = SMALL.end_at
ITEMS = np.arange(20, dtype=np.int32)
NOTHING = np.zeros(20, bool)


def visit_of(crowd, need, at=AT):
    return Visit(0, 5, at, need)


def clicked(crowd, need=(), items=ITEMS, owned=NOTHING, at=AT, n=400):
    """Clicks by place, over many draws."""
    counts = np.zeros(len(items))
    for seed in range(n):
        rng = np.random.default_rng(seed)
        for choice in choose_from(crowd.shop, visit_of(crowd, need, at), items, owned, rng):
            counts[choice.position] += 1
    return counts


def test_equal_draws_give_equal_choices(crowd):
    visit = visit_of(crowd, (0,))

    first, second = (
        choose_from(crowd.shop, visit, ITEMS, NOTHING, np.random.default_rng(1)) for _ in range(2)
    )

    assert first == second


def test_items_of_the_need_are_clicked_more_often(crowd):
    category = int(crowd.shop.assortment.categories[0])

    needed, by_the_way = clicked(crowd, (category,)), clicked(crowd, ())

    assert needed[0] > 3 * by_the_way[0]


def test_the_top_of_a_list_is_clicked_more_often(crowd):
    item = np.full(20, 0, np.int32)
    category = int(crowd.shop.assortment.categories[0])

    counts = clicked(crowd, (category,), items=item, n=2_000)

    assert counts[0] > counts[10] > 0
    assert abs(counts[10] / counts[0] - PATIENCE**10) < 0.1


def test_what_is_owned_and_not_used_up_is_not_clicked(crowd):
    categories = crowd.shop.assortment.categories[ITEMS]
    needs = tuple(set(categories.tolist()))

    counts = clicked(crowd, needs, owned=~NOTHING)

    assert (counts > 0).tolist() == is_consumable(categories).tolist()


def test_what_is_not_on_sale_yet_is_not_clicked(crowd):
    before = float(crowd.shop.assortment.launched_at.min()) - 1

    assert not clicked(crowd, tuple(range(8)), at=before).any()


def test_a_purchase_follows_a_cart(crowd):
    rng = np.random.default_rng(2)
    needs = tuple(set(crowd.shop.assortment.categories.tolist()))
    choices = [
        choice
        for _ in range(50)
        for choice in choose_from(crowd.shop, visit_of(crowd, needs), ITEMS, NOTHING, rng)
    ]

    assert any(choice.bought for choice in choices)
    assert all(choice.carted for choice in choices if choice.bought)


def test_the_need_is_drawn_by_interest(crowd):
    rng = np.random.default_rng(4)
    favours = crowd.shop.shoppers.favours[5] * crowd.shop.assortment.stocked

    first = [need_of(crowd.shop, 5, AT, rng)[0] for _ in range(400)]

    assert np.bincount(first, minlength=len(favours))[favours < 1e-3].sum() < 40
    assert all(crowd.shop.assortment.stocked[code] for code in first)


def test_clicks_make_another_list_likelier(crowd):
    rng = np.random.default_rng(5)

    after_none = np.mean([goes_on([], rng) for _ in range(500)])
    after_some = np.mean([goes_on([object()], rng) for _ in range(500)])

    assert after_none < 0.5 < after_some
