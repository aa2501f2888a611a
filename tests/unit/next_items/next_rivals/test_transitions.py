import numpy as np
import pytest

from serve_app.next_items.next_rivals.transitions import (
    MARKOV,
    SEQUENTIAL_RULES,
    count_transitions,
)
from tests.support.visits import known_items, scores_of, side, visits_of

FOREVER = 1e9
POINT = {"half_life_days": FOREVER, "smoothing": 2.0, "decay": 0.0, "distance": 1}


def naive_counts(unit, distance):
    n = side().training.n_items
    found = np.zeros((n, n))
    for visit in visits_of(unit):
        for i, first in enumerate(visit):
            for step in range(1, distance + 1):
                if i + step < len(visit):
                    found[first, visit[i + step]] += 1 / step
    return found


@pytest.mark.parametrize("unit", ["session", "user"])
@pytest.mark.parametrize("distance", [1, 3])
def test_counts_pairs_of_a_visit_by_one_over_their_distance(unit, distance):
    counts = count_transitions(side().training, unit, distance, FOREVER)

    np.testing.assert_allclose(counts.toarray(), naive_counts(unit, distance))


def test_old_transitions_count_less():
    lately = count_transitions(side().training, "session", 1, 5.0).sum()

    assert 0 < lately < 0.7 * count_transitions(side().training, "session", 1, FOREVER).sum()


@pytest.mark.parametrize(
    ("rival", "changed"),
    [
        (MARKOV, {"unit": "session"}),
        (SEQUENTIAL_RULES, {"unit": "user", "decay": 0.4, "distance": 3}),
    ],
)
def test_scores_are_smoothed_shares_of_the_transitions_from_known_items(rival, changed):
    point = POINT | changed
    counts, background = naive_counts(point["unit"], point["distance"]), side().training.background
    firsts = np.bincount([visit[0] for visit in visits_of(point["unit"])], minlength=8)
    initial = (firsts + 2 * background) / (firsts + 2 * background).sum()
    shares = (counts + 2 * background) / (counts.sum(axis=1, keepdims=True) + 2)

    for row, known in zip(scores_of(rival, point), known_items(point["unit"]), strict=True):
        expected = sum(point["decay"] ** back * shares[item] for back, item in enumerate(known))
        np.testing.assert_allclose(row, expected if known else initial, atol=1e-4)
