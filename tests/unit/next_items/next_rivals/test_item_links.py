import numpy as np
import pytest

from serve_app.evaluation.baselines.ease import item_weights
from serve_app.next_items.next_rivals.item_links import NEXT_EASE, NEXT_ITEM_KNN, cosines
from tests.support.visits import known_items, scores_of, side, visits_of


@pytest.mark.parametrize("unit", ["session", "user"])
def test_links_are_cosines_of_the_visits_of_two_items(unit):
    links, sets = cosines(side().training, unit, 2.0), [set(visit) for visit in visits_of(unit)]
    for i in range(side().training.n_items):
        for j in range(side().training.n_items):
            together = sum(i in visit and j in visit for visit in sets)
            norms = np.prod([sum(item in visit for visit in sets) ** 0.5 for item in (i, j)])
            expected = 0 if i == j else together / (norms + 2.0)
            assert links[i, j] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("own", [0.0, 0.3])
def test_neighbours_sum_the_strongest_links_of_known_items(own):
    point = {"shrinkage": 2.0, "n_neighbours": 3, "own": own, "decay": 0.5, "unit": "session"}
    links = cosines(side().training, "session", 2.0)
    for row in links:
        row[row < np.sort(row)[-3]] = 0

    assert_sums_of(links + own * np.eye(len(links)), scores_of(NEXT_ITEM_KNN, point), "session")


def test_ease_sums_the_weights_of_known_items():
    point = {"regularization": 5.0, "own": 0.1, "decay": 0.5, "unit": "user"}
    weights = item_weights(side().training.matrix("user"), 5.0)

    assert_sums_of(weights + 0.1 * np.eye(len(weights)), scores_of(NEXT_EASE, point), "user")


def assert_sums_of(links, scores, unit):
    for row, known in zip(scores, known_items(unit), strict=True):
        expected = sum((0.5**back * links[item] for back, item in enumerate(known)), np.zeros(8))
        # Weights below 1e-4 are left out.
        np.testing.assert_allclose(row, expected, atol=1e-3)
