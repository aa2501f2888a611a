import numpy as np
import pytest

from serve_app.arrays.columns import MISSING
from serve_app.next_items.next_training import prefix_matrix, with_ties_broken
from tests.support.visits import side, visits_of


@pytest.mark.parametrize("unit", ["session", "user"])
def test_the_matrix_has_a_one_for_each_item_of_a_visit(unit):
    matrix = side().training.matrix(unit).toarray()

    assert len(matrix) == len(visits_of(unit))
    for row, visit in zip(matrix, visits_of(unit), strict=True):
        assert set(np.flatnonzero(row)) == set(visit)
        assert set(row) <= {0.0, 1.0}


def test_sessions_of_users_who_come_once_are_their_only_unit():
    training = side().training
    once = type(training)(
        training.items,
        training.users,
        training.users,
        training.counted,
        training.ages_days,
        training.categories,
        training.background,
    )

    assert training.units == ("session", "user")
    assert once.units == ("session",)


def test_later_items_of_a_prefix_weigh_more():
    items = np.array([[2, 0, 2], [1, MISSING, MISSING]], np.int32)

    assert prefix_matrix(items, 0.5, 3).toarray().tolist() == [[0.5, 0, 1.25], [0, 1, 0]]
    assert prefix_matrix(items, 0.0, 3).toarray().tolist() == [[0, 0, 1], [0, 1, 0]]


def test_popularity_decides_between_equal_scores():
    scores = with_ties_broken(np.array([[0.5, 0.5, 0.4]]), np.array([0.1, 0.2, 0.7]))

    assert np.argsort(-scores[0]).tolist() == [1, 0, 2]
