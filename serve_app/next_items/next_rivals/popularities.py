"""Lists popular items: of the whole shop, or of the categories of the known items."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.evaluation.training_matrix import (
    HALF_LIVES_DAYS,
    Point,
    combinations,
    inverse,
    scaled_rows,
)
from serve_app.next_items.next_questions import Prefixes
from serve_app.next_items.next_training import (
    Floats,
    NextRival,
    NextTraining,
    ScoreQuestions,
    prefix_matrix,
)


def _fit_popularity(training: NextTraining, points: Sequence[Point]) -> Iterator[ScoreQuestions]:
    for point in points:
        yield _same_for_all(training.popularity(point["half_life_days"]))


def _same_for_all(shares: Floats) -> ScoreQuestions:
    return lambda prefixes: np.broadcast_to(shares, (len(prefixes), len(shares)))


def _fit_category(training: NextTraining, points: Sequence[Point]) -> Iterator[ScoreQuestions]:
    for point in points:
        yield _in_category(training, point)


def _in_category(training: NextTraining, point: Point) -> ScoreQuestions:
    """Scores an item by its share of its category, times the category's share of the prefix."""
    shares = training.popularity(point["half_life_days"])
    of_category: Floats = np.bincount(training.categories, shares).astype(float)
    within: Floats = shares * inverse(of_category)[training.categories]
    membership = csr_array(
        (np.ones(training.n_items), (np.arange(training.n_items), training.categories))
    )

    def score(prefixes: Prefixes) -> NDArray[np.floating]:
        items = prefixes.of(point["unit"])
        weights = prefix_matrix(items, point["decay"], training.n_items)
        known = (scaled_rows(weights, inverse(weights.sum(axis=1))) @ membership).toarray()
        scores = point["mix"] * known[:, training.categories] * within
        return np.asarray(scores + (1 - point["mix"]) * shares)

    return score


NEXT_POPULARITY = NextRival(
    "popularity", combinations(half_life_days=HALF_LIVES_DAYS), _fit_popularity, has_units=False
)
CATEGORY_POPULARITY = NextRival(
    "category_popularity",
    combinations(half_life_days=(3, 14, 90), mix=(0.5, 0.9, 0.999), decay=(0.0, 0.5, 0.8)),
    _fit_category,
)
