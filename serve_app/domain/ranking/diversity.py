"""Diversifies lists by maximal marginal relevance and a cap per category."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import MISSING, Mask
from serve_app.domain.settings import Settings

UNSCORED = -2.0
"""Value of a candidate without score: below -1, the least that one with a score can have."""


class DiversityConfig(Settings):
    """How far a list may depart from the order of the scores."""

    mmr_lambda: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Weight of the score against diversity; 1 orders by the score alone.",
    )
    max_per_category: int | None = Field(
        default=3,
        ge=1,
        description="Items of one category while the pool holds others; null means any number.",
    )
    pool_size: int = Field(
        default=100,
        ge=1,
        description="Best-scored candidates from which a list is picked. More cost time.",
    )


def diversify(
    scores: NDArray[np.float32],
    categories: NDArray[np.int32],
    vectors: NDArray[np.float32],
    valid: Mask,
    sizes: NDArray[np.integer[Any]],
    config: DiversityConfig,
) -> NDArray[np.int32]:
    """Pick a list for each request, best first, by maximal marginal relevance.

    Each pick is the candidate with the largest
    ``mmr_lambda * relevance - (1 - mmr_lambda) * largest similarity to a pick``, where relevance
    is the score scaled to 0 … 1 over the request's pool, and similarity the mean of "same
    category" (0 or 1) and the cosine of the vectors (below 0 counts as 0). Ties go to the higher
    score, then to the earlier position. The pool is the best-scored ``pool_size`` candidates, or
    ``sizes`` of them where that is more.

    A category with ``max_per_category`` picks waits until the pool holds nothing else, so a list
    is as long as asked for wherever there are candidates enough.

    Args:
        scores: shape (b, m); what is not finite ranks behind all that is.
        categories: shape (b, m), codes; each ``MISSING`` is a category of its own.
        vectors: shape (b, m, d), unit length or all zero.
        valid: shape (b, m), which entries hold a candidate.
        sizes: shape (b,), picks wanted.
        config: weights and bounds.

    Returns:
        Positions along m, shape (b, max(sizes)), ``MISSING`` behind the end of each list.

    Source:
        Carbonell, Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents
        and Producing Summaries", SIGIR 1998.
    """
    n_requests, n_picks = len(sizes), int(np.max(sizes, initial=0))
    picks = np.full((n_requests, n_picks), MISSING, np.int32)
    requests = np.arange(n_requests)
    pool = _best_first(scores, valid)[:, : max(config.pool_size, n_picks)]
    in_pool = (requests[:, None], pool)
    categories, vectors = categories[in_pool], vectors[in_pool]
    left = valid[in_pool] & (
        np.arange(pool.shape[1]) < np.maximum(sizes, config.pool_size)[:, None]
    )
    relevance = _relevance(scores[in_pool], left, config)
    redundancy = np.zeros(pool.shape, np.float32)
    n_alike = np.zeros(pool.shape, np.int32)

    for step in range(min(n_picks, pool.shape[1])):
        value = relevance - (1 - config.mmr_lambda) * redundancy
        at = np.argmax(np.where(_allowed(left, n_alike, config), value, -np.inf), axis=1)
        picked = left[requests, at] & (step < sizes)
        picks[picked, step] = pool[requests, at][picked]
        left[requests, at] = False
        alike = _same_category(categories, at)
        np.maximum(redundancy, (_cosine(vectors, at) + alike) / 2, out=redundancy)
        n_alike += alike
    return picks


def _best_first(scores: NDArray[np.float32], valid: Mask) -> NDArray[np.intp]:
    """Positions by falling score, then the unscored, then the invalid, shape (b, m)."""
    key = np.where(np.isfinite(scores), -scores, np.inf)
    return np.argsort(np.where(valid, key, np.nan), axis=1, kind="stable")


def _relevance(
    scores: NDArray[np.float32], valid: Mask, config: DiversityConfig
) -> NDArray[np.float64]:
    """What the score adds to the value of a candidate, 0 … ``mmr_lambda``, shape (b, m)."""
    scored = valid & np.isfinite(scores)
    exact = np.where(scored, scores, 0).astype(np.float64)
    low = exact.min(axis=1, where=scored, initial=np.inf, keepdims=True)
    high = exact.max(axis=1, where=scored, initial=-np.inf, keepdims=True)
    differ = high > low
    scaled = np.where(scored & differ, exact - low, 0) / np.where(differ, high - low, 1)
    return np.where(scored, config.mmr_lambda * scaled, UNSCORED)


def _allowed(left: Mask, n_alike: NDArray[np.int32], config: DiversityConfig) -> Mask:
    """What is left under the cap; everything left in rows where nothing is."""
    if config.max_per_category is None:
        return left
    under_cap = left & (n_alike < config.max_per_category)
    return np.where(under_cap.any(axis=1, keepdims=True), under_cap, left)


def _same_category(categories: NDArray[np.int32], at: NDArray[np.intp]) -> Mask:
    """Whether each candidate shares its row's category ``at``, shape (b, m)."""
    picked = np.take_along_axis(categories, at[:, None], axis=1)
    same: Mask = (categories == picked) & (picked != MISSING)
    return same


def _cosine(vectors: NDArray[np.float32], at: NDArray[np.intp]) -> NDArray[np.float32]:
    """Cosine of each candidate's vector with its row's ``at``, at least 0, shape (b, m)."""
    picked = vectors[np.arange(len(at)), at]
    # Not matmul: BLAS may round equal vectors differently depending on where they stand.
    cosine: NDArray[np.float32] = np.einsum("bmd,bd->bm", vectors, picked)
    return np.maximum(cosine, 0)
