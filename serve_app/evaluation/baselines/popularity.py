"""The same list for everybody: what most users bought, ever or lately."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.evaluation.training_matrix import (
    HALF_LIVES_DAYS,
    Rival,
    ScoreItems,
    TrainingMatrix,
    combinations,
)


def _popularity(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    for _ in points:
        yield same_for_all(past.n_buyers.astype(np.float32))


def _decayed(past: TrainingMatrix, points: Sequence[dict[str, Any]]) -> Iterator[ScoreItems]:
    for point in points:
        yield same_for_all(past.decayed(point["half_life_days"]).sum(axis=0))


def same_for_all(scores: NDArray[np.floating]) -> ScoreItems:
    return lambda users: np.broadcast_to(scores, (len(users), len(scores)))


POPULARITY = Rival("popularity", False, ({},), _popularity)
DECAYED_POPULARITY = Rival(
    "decayed_popularity", True, combinations(half_life_days=HALF_LIVES_DAYS), _decayed
)
