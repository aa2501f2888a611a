"""Scores candidates with gradient-boosted trees."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import xgboost
from numpy.typing import NDArray

from serve_app.domain.batches import ScoringBatch
from serve_app.domain.catalogue import Catalogue
from serve_app.recommending.scoring.model_features import assemble
from serve_app.recommending.scoring.trees import scores_of, trees_of

Scoring = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Turns features, shape (n, f), one row per candidate, into scores, shape (n,)."""


@dataclass(frozen=True, slots=True)
class VariantModel:
    """Scores the candidates of a batch for one variant.

    Attributes:
        features: names, in the order that the booster was fitted with.
        catalogue: the items of the bundle that contains the booster.
    """

    scoring: Scoring
    features: tuple[str, ...]
    catalogue: Catalogue

    def score(self, batch: ScoringBatch) -> NDArray[np.float32]:
        """Scores of ``batch.rows``, shape (total,)."""
        return self.scoring(assemble(self.features, self.catalogue, batch))


def scoring_of(booster: xgboost.Booster) -> Scoring:
    """The booster in its fastest form; scores equal those of ``predict``."""
    trees = trees_of(booster.save_raw("json"))
    return partial(predict, booster) if trees is None else partial(scores_of, trees)


def predict(booster: xgboost.Booster, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums of the leaves, shape (n,), for the rows of a matrix, shape (n, f), of ``assemble``.

    For ``binary:logistic`` and users with a history they are log-odds. For a ranking objective
    only their order has a meaning.
    """
    if not len(matrix):
        return np.empty(0, np.float32)
    # Margins for every objective: diversity then weighs equally for all variants.
    scores = booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
    return np.asarray(scores, np.float32)
