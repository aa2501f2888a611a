import numpy as np
import pytest

from serve_app.demo.demo_ids import demo_ids, demo_item_id, demo_user_id


@pytest.mark.parametrize(
    ("number", "user_id", "item_id"),
    [(0, "u000000", "i000000"), (1_824, "u001824", "i001824"), (1_234_567, "u1234567", "i1234567")],
)
def test_names_users_and_items_after_their_numbers(number, user_id, item_id):
    assert demo_user_id(number) == user_id
    assert demo_item_id(number) == item_id


def test_names_many_as_it_names_one():
    numbers = np.array([0, 7, 1_234_567], np.int32)

    assert demo_ids("u", numbers).to_pylist() == [demo_user_id(n) for n in numbers.tolist()]
    assert demo_ids("i", numbers).to_pylist() == [demo_item_id(n) for n in numbers.tolist()]
    assert demo_ids("s", numbers, digits=8).to_pylist() == ["s00000000", "s00000007", "s01234567"]
