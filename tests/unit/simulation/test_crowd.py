import numpy as np

from serve_app.demo.demo_shop import make_hidden_shop
from serve_app.simulation.crowd import GROUPS
from tests.unit.simulation.conftest import SMALL


def test_newcomers_come_behind_the_users_of_the_demo_shop(crowd):
    known = make_hidden_shop(SMALL).shoppers

    assert len(crowd) == SMALL.n_users + 30
    assert np.array_equal(crowd.shop.shoppers.tastes[: SMALL.n_users], known.tastes)
    assert crowd.user_id(59) == "u000059"
    assert crowd.user_id(60) == "visitor000000"


def test_an_item_is_found_by_its_id(crowd):
    assert [crowd.item(crowd.item_id(item)) for item in (0, 79)] == [0, 79]
    assert crowd.item("i000080") is None
    assert crowd.item("mug") is None


def test_every_group_has_a_part_of_the_shoppers(crowd):
    assert (np.bincount(crowd.groups, minlength=len(GROUPS)) > 10).all()
