"""Scores candidates from dicts of features, with one ``predict`` per request."""

import math
from collections.abc import Sequence

import numpy as np
import xgboost
from numpy.typing import NDArray

from benchmarks.seed_service.features import Features
from serve_app.arrays.units import DAY_S
from serve_app.recommending.scoring.model_features import (
    CANDIDATE_FEATURES,
    ITEM_FEATURES,
    USER_COLUMNS,
    user_features,
)


def predict(
    booster: xgboost.Booster,
    user: Features,
    items: Sequence[Features],
    candidates: NDArray[np.float32],
    at: float,
) -> NDArray[np.float32]:
    """
    Args:
        items: features of each candidate.
        candidates: shape (len(items), len(CANDIDATE_FEATURES)), their candidate features.
        at: epoch seconds.

    Returns:
        Scores, shape (len(items),).
    """
    of_user = _user_row(user, at)
    usual = of_user[5]
    matrix = np.array(
        [
            [
                *of_user,
                *[item[name] for name in ITEM_FEATURES],
                *known,
                _age_days(item, at),
                _price_to(usual, item),
            ]
            for item, known in zip(items, candidates.tolist(), strict=True)
        ],
        np.float32,
    )
    assert candidates.shape[1] == len(CANDIDATE_FEATURES)
    return booster.predict(xgboost.DMatrix(matrix, nthread=1))


def _user_row(user: Features, at: float) -> list[float]:
    columns = np.array([[user.get(name) for name in USER_COLUMNS]], np.float64)
    row: list[float] = user_features(columns, at)[0].tolist()
    return row


def _age_days(item: Features, at: float) -> float:
    created_at = item["created_at"]
    return math.nan if created_at is None else (at - created_at) / DAY_S


def _price_to(usual: float, item: Features) -> float:
    price = item["price"]
    return math.nan if price is None else math.log1p(price) - usual
