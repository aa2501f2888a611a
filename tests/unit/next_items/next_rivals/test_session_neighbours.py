from math import log

import numpy as np
import pytest

from serve_app.next_items.next_rivals.session_neighbours import VMIS_KNN, latest_occurrences
from tests.support.visits import known_items, scores_of, side, visits_of


def test_marks_the_latest_place_of_each_item():
    items = np.array([[3, 1, 3, -1], [-1, -1, -1, -1], [0, 0, 1, 0]], np.int32)

    assert latest_occurrences(items).tolist() == [
        [True, True, False, False],
        [False] * 4,
        [True, False, True, False],
    ]


def naive_scores(known, visits, point):
    """The algorithm for one question, in loops; visits are the latest first."""
    known = known[: point["latest"]]
    similar = []
    for number, visit in enumerate(visits):
        weights = {
            item: max(1 - back / len(known), 0) ** point["decay"]
            for back, item in reversed(list(enumerate(known)))
            if item in visit
        }
        if weights:
            similar.append((-round(sum(weights.values()), 4), number))
    nearest = sorted(similar[: point["m"]])[: point["k"]]
    scores = np.zeros(side().training.n_items)
    for negative, number in nearest:
        back = next(back for back, item in enumerate(known) if item in visits[number])
        for item in set(visits[number]):
            rarity = log(len(visits) / sum(item in visit for visit in visits))
            scores[item] += -negative * max(1 - back / 10, 0) * rarity
    return scores


@pytest.mark.parametrize("changed", [{}, {"latest": 2}, {"decay": 2}, {"m": 3}, {"k": 50, "m": 50}])
@pytest.mark.parametrize("unit", ["session", "user"])
def test_sums_votes_of_the_nearest_of_the_latest_visits(changed, unit):
    point = {"latest": 10, "decay": 1, "m": 10, "k": 4, "unit": unit} | changed
    training = side().training
    numbers = training.visits(unit)
    youngest = [training.ages_days[numbers == number].min() for number in np.unique(numbers)]
    visits = [visits_of(unit)[i] for i in np.argsort(youngest, kind="stable")]

    for row, known in zip(scores_of(VMIS_KNN, point), known_items(unit), strict=True):
        np.testing.assert_allclose(row, naive_scores(known, visits, point), atol=2e-3)
