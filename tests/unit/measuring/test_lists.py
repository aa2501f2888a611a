import numpy as np
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import offsets_of
from serve_app.measuring.lists import Wanted, hits_of, incidence


def wanted_of(*per_user):
    items = np.array([item for items in per_user for item in sorted(items)], np.int32)
    return Wanted(offsets_of([len(items) for items in per_user]), items)


def test_hits_are_wanted_items_of_the_same_user():
    lists = np.array([[4, 2, MISSING], [2, 4, 0]], np.int32)

    hits = hits_of(lists, wanted_of({2}, {0, 4}), 5)

    np.testing.assert_array_equal(hits, [[False, True, False], [False, True, True]])


def test_an_empty_position_is_no_hit():
    # The key of an empty position is that of the last item of the user before.
    hits = hits_of(np.array([[0], [MISSING]], np.int32), wanted_of({4}, {1}), 5)

    assert not hits.any()


def test_incidence_holds_each_listed_item():
    inside = incidence(np.array([[2, 0], [1, MISSING]], np.int32), 3)

    assert inside.toarray() == pytest.approx(np.array([[1, 0, 1], [0, 1, 0]]))
