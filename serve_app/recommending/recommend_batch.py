"""Recommends items to a batch of users: candidates, then scores, then order and reasons.

This is the whole computation, without stores, deadlines or Ray. ``serving.pipeline`` makes the
calls in this order through the stages, and each stage computes one of these parts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.domain.batches import (
    CandidateBatch,
    RankedBatch,
    RankingBatch,
    RequestBatch,
    ScoringBatch,
)
from serve_app.domain.interactions import Histories
from serve_app.recommending.candidates.finding import CandidateFinder
from serve_app.recommending.ranking.ordering import RankingConfig, rank, ranking_batch
from serve_app.recommending.scoring.boosters import VariantModel


@dataclass(frozen=True, slots=True)
class Recommendations:
    """The lists of a batch, and the steps that led to them."""

    candidates: CandidateBatch
    scored: RankingBatch
    ranked: RankedBatch


def recommend_batch(
    batch: RequestBatch,
    histories: Histories,
    user_features: NDArray[np.float32],
    finder: CandidateFinder,
    model: VariantModel,
    config: RankingConfig,
) -> Recommendations:
    """Recommends with one history per request, and one model for all requests.

    User features have shape (len(batch), len(USER_FEATURES)), at the time of each request.
    """
    candidates = finder.find(batch, histories)
    scores = model.score(ScoringBatch.of(candidates, user_features, batch.at))
    scored = ranking_batch(candidates, batch.sizes, scores)
    return Recommendations(candidates, scored, rank(scored, finder.fitted.catalogue, config))
