"""Gives every user the same list: the items with most users, over all time or lately."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from serve_app.evaluation.training_matrix import (
    HALF_LIVES_DAYS,
    Point,
    Rival,
    ScoreItems,
    TrainingMatrix,
    combinations,
)


def _fit(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    for _ in points:
        yield same_for_all(training.n_buyers.astype(np.float32))


def _fit_decayed(training: TrainingMatrix, points: Sequence[Point]) -> Iterator[ScoreItems]:
    for point in points:
        yield same_for_all(training.decayed(point["half_life_days"]).sum(axis=0))


def same_for_all(scores: NDArray[np.floating]) -> ScoreItems:
    """Scores all items alike for all users, without a copy per user."""
    return lambda users: np.broadcast_to(scores, (len(users), len(scores)))


POPULARITY = Rival("popularity", False, ({},), _fit)
DECAYED_POPULARITY = Rival(
    "decayed_popularity", True, combinations(half_life_days=HALF_LIVES_DAYS), _fit_decayed
)
