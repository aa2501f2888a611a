"""Diversifies lists by maximal marginal relevance and a cap per category."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import MISSING, Mask
from serve_app.domain.settings import Settings

CAPPED_PLACES = 10
"""Lists of up to so many items have ``max_per_category`` as cap; longer ones have more."""

UNSCORED = -2.0
"""Value of a candidate without score. Candidates with a score never fall below -1."""


class DiversityConfig(Settings):
    """Bounds on how far a list may depart from the order of the scores."""

    mmr_lambda: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="Weight of the score against diversity; 1 orders by the score alone.",
    )
    max_per_category: int | None = Field(
        default=5,
        ge=1,
        description="Items of one category in a list of up to ten while the pool holds others, and"
        " in proportion in a longer list. The categories of the user's present session may have"
        " more. null means any number.",
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
    focus: NDArray[np.float32],
    valid: Mask,
    sizes: NDArray[np.integer[Any]],
    config: DiversityConfig,
) -> NDArray[np.int32]:
    """Picks a list for each request, best first, by maximal marginal relevance.

    Each pick is the candidate with the largest
    ``mmr_lambda * relevance - (1 - mmr_lambda) * largest similarity to a pick``. Relevance is the
    score scaled to 0 … 1 over the request's pool. Similarity is the mean of "same category" (0 or
    1) and the cosine of the vectors (at least 0). Ties go to the higher score, then to the earlier
    position. The pool is the best-scored ``max(pool_size, sizes)`` candidates.

    A category with ``max_per_category`` picks waits until the pool holds nothing else; a list of 20
    may have twice as many. The cap of a category grows with the focus of the user's session on it,
    up to the whole list: somebody who looks for one thing is shown that. A list is shorter than its
    size only if there are too few candidates.

    Args:
        scores: shape (b, m); candidates without a finite score rank last.
        categories: shape (b, m), codes; each ``MISSING`` is a category of its own.
        vectors: shape (b, m, d), unit length or all zero.
        focus: shape (b, m), 0 … 1, see ``RankingBatch``; equal within a category.
        valid: shape (b, m), True for entries that hold a candidate.
        sizes: shape (b,), lengths of the lists.

    Returns:
        Positions along m, shape (b, max(sizes)), ``MISSING`` behind the end of each list.

    Source:
        Carbonell, Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents
        and Producing Summaries", SIGIR 1998.
    """
    n_requests, n_picks = len(sizes), int(np.max(sizes, initial=0))
    picks = np.full((n_requests, n_picks), MISSING, np.int32)
    requests = np.arange(n_requests)
    # Best first: `argmax` below takes the first of equal values, so ties go to the higher score.
    pool = _best_first(scores, valid)[:, : max(config.pool_size, n_picks)]
    in_pool = (requests[:, None], pool)
    categories, vectors = categories[in_pool], vectors[in_pool]
    left = valid[in_pool] & (
        np.arange(pool.shape[1]) < np.maximum(sizes, config.pool_size)[:, None]
    )
    relevance = _relevance(scores[in_pool], left, config)
    # Nothing is picked yet: the first pick is the best score.
    redundancy = np.zeros(pool.shape, np.float32)
    n_alike, caps = np.zeros(pool.shape, np.int32), _caps(sizes, focus[in_pool], config)

    for step in range(min(n_picks, pool.shape[1])):
        value = relevance - (1 - config.mmr_lambda) * redundancy
        at = np.argmax(np.where(_allowed(left, n_alike < caps), value, -np.inf), axis=1)
        # A request without candidates gets -inf everywhere, and `argmax` an entry that is not left.
        # Lists that are full go on picking, but record nothing: one loop serves all sizes.
        picked = left[requests, at] & (step < sizes)
        picks[picked, step] = pool[requests, at][picked]
        left[requests, at] = False
        alike = _same_category(categories, at)
        # A running maximum over the picks: a step costs one comparison, not one per earlier pick.
        np.maximum(redundancy, (_cosine(vectors, at) + alike) / 2, out=redundancy)
        n_alike += alike
    return picks


def _best_first(scores: NDArray[np.float32], valid: Mask) -> NDArray[np.intp]:
    """Positions by falling score, then the unscored, then the invalid, shape (b, m)."""
    # NaN sorts behind infinity. The stable sort keeps the earlier position first among ties.
    key = np.where(np.isfinite(scores), -scores, np.inf)
    return np.argsort(np.where(valid, key, np.nan), axis=1, kind="stable")


def _relevance(
    scores: NDArray[np.float32], valid: Mask, config: DiversityConfig
) -> NDArray[np.float64]:
    """The term of the score in the value of each candidate, 0 … ``mmr_lambda``, shape (b, m)."""
    scored = valid & np.isfinite(scores)
    # float64: the difference of two float32 scores may overflow, or lose the digits that decide.
    exact = np.where(scored, scores, 0).astype(np.float64)
    low = exact.min(axis=1, where=scored, initial=np.inf, keepdims=True)
    high = exact.max(axis=1, where=scored, initial=-np.inf, keepdims=True)
    differ = high > low
    # Equal scores leave the choice to diversity, and have no range to divide by.
    scaled = np.where(scored & differ, exact - low, 0) / np.where(differ, high - low, 1)
    return np.where(scored, config.mmr_lambda * scaled, UNSCORED)


def _caps(
    sizes: NDArray[np.integer[Any]], focus: NDArray[np.float32], config: DiversityConfig
) -> NDArray[np.float64]:
    """Picks that the category of each candidate may have in its list, shape of ``focus``."""
    most = np.inf if config.max_per_category is None else config.max_per_category
    caps = (most * np.maximum(sizes / CAPPED_PLACES, 1.0))[:, None]
    return np.ceil(caps + focus * np.maximum(sizes[:, None] - caps, 0.0))


def _allowed(left: Mask, under_cap: Mask) -> Mask:
    """Candidates left under the cap. Requests that have none keep all that are left."""
    allowed = left & under_cap
    return np.where(allowed.any(axis=1, keepdims=True), allowed, left)


def _same_category(categories: NDArray[np.int32], at: NDArray[np.intp]) -> Mask:
    """Tells whether each candidate shares its row's category ``at``, shape (b, m)."""
    picked = np.take_along_axis(categories, at[:, None], axis=1)
    same: Mask = (categories == picked) & (picked != MISSING)
    return same


def _cosine(vectors: NDArray[np.float32], at: NDArray[np.intp]) -> NDArray[np.float32]:
    """Cosine of each candidate's vector with its row's ``at``, at least 0, shape (b, m)."""
    picked = vectors[np.arange(len(at)), at]
    # Not matmul: BLAS may round equal vectors differently depending on their position.
    cosine: NDArray[np.float32] = np.einsum("bmd,bd->bm", vectors, picked)
    return np.maximum(cosine, 0)
