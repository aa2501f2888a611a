"""Orders scored candidates into lists: best first, diverse, each item with its reason."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serve_app.arrays.columns import MISSING, Mask, Rows
from serve_app.arrays.ragged import (
    Offsets,
    best_of_each,
    lengths_of,
    offsets_of,
    owners,
    pad,
    positions_within,
)
from serve_app.domain.batches import CandidateBatch, RankedBatch, RankingBatch
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.settings import Settings
from serve_app.recommending.ranking.diversity import DiversityConfig, diversify
from serve_app.recommending.ranking.focus import session_focus
from serve_app.recommending.ranking.reasons import choose_reasons
from serve_app.recommending.scoring.model_features import (
    DAYS_SINCE_LAST,
    FUSED_COLUMN,
    SOURCE_RANKS,
    SOURCES,
)

_UNSCORED = float(np.finfo(np.float32).min)
"""Below every score, above candidates that are left out."""


_HIGH, _HIGH_OF = 4.3, 5.0


class RankingConfig(Settings):
    """The order of the lists, and the reasons of their items."""

    diversity: DiversityConfig = DiversityConfig()
    max_untried_share: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Largest share of a list for items without any interaction, which no evaluation"
        " covers. More come only where nothing else is left.",
    )
    high_rating: float | None = Field(
        default=None,
        ge=0,
        description="Average rating from which an item may be called highly rated. By default 4.3"
        " of 5, and as much of any other scale.",
    )
    min_ratings: int = Field(
        default=5, ge=1, description="Ratings that an item needs to be called highly rated."
    )

    def on_scale(self, max_rating: float) -> "RankingConfig":
        """The settings for ratings up to ``max_rating``."""
        if self.high_rating is not None:
            return self
        return self.model_copy(update={"high_rating": _HIGH / _HIGH_OF * max_rating})


def ranking_batch(
    candidates: CandidateBatch, sizes: NDArray[np.int32], scores: NDArray[np.float32]
) -> RankingBatch:
    """Candidates with their scores, shape (total,), and the sizes of the lists, shape (n,)."""
    return RankingBatch(
        bundle=candidates.bundle,
        offsets=candidates.offsets,
        rows=candidates.rows,
        source_ranks=candidates.features[:, SOURCE_RANKS],
        because=candidates.because,
        because_type=candidates.because_type,
        sizes=sizes,
        scores=scores,
        focus=session_focus(candidates.features),
        patch=candidates.patch,
    )


def rank(batch: RankingBatch, catalogue: Catalogue, config: RankingConfig) -> RankedBatch:
    """For each request min(size, number of its candidates) items, best first."""
    picks, offsets = _pick(batch, catalogue, config)
    rows = batch.rows[picks]
    reasons, subjects = choose_reasons(
        batch.source_ranks[picks],
        SOURCES,
        batch.because[picks],
        batch.because_type[picks],
        _categories(rows, batch, catalogue),
        _highly_rated(rows, catalogue, config),
        _are_untried(rows, catalogue),
    )
    scores = batch.scores[picks].astype(np.float32)
    return RankedBatch(offsets, rows, scores, reasons, subjects)


def rank_plainly(batch: RankingBatch, catalogue: Catalogue, config: RankingConfig) -> RankedBatch:
    """Ranks by the scores alone; cheap enough for any process."""
    plain = DiversityConfig(mmr_lambda=1.0, max_per_category=None)
    return rank(batch, catalogue, config.model_copy(update={"diversity": plain}))


def _pick(
    batch: RankingBatch, catalogue: Catalogue, config: RankingConfig
) -> tuple[NDArray[np.int64], Offsets]:
    """Positions of the chosen candidates, request by request, and the offsets of the requests."""
    # Only the pool is padded: vectors of all candidates would take several times the memory. Scores
    # that are not finite are the last to enter it; ``diversify`` itself puts them last in the list.
    scores = np.where(np.isfinite(batch.scores), batch.scores, _UNSCORED)
    limits = np.maximum(batch.sizes, config.diversity.pool_size)
    left_out = _untried_beyond_share(batch, catalogue, config.max_untried_share)
    if len(left_out):
        scores[left_out] = -np.inf
        n_left_out = np.bincount(owners(batch.offsets)[left_out], minlength=len(limits))
        limits = np.minimum(limits, lengths_of(batch.offsets) - n_left_out)
    pool, pool_offsets = best_of_each(scores, batch.offsets, limits)
    lengths = lengths_of(pool_offsets)
    width = int(lengths.max(initial=0))
    # Row 0 fills up, because it exists; the mask of valid entries leaves it out.
    padded_rows = pad(batch.rows[pool], pool_offsets, width, 0)
    picks = diversify(
        pad(batch.scores[pool], pool_offsets, width, np.nan),
        _categories(padded_rows, batch, catalogue),
        catalogue.vectors[padded_rows],
        pad(batch.focus[pool], pool_offsets, width, 0.0),
        np.arange(width) < lengths[:, None],
        batch.sizes,
        config.diversity,
    )
    chosen = picks != MISSING
    owner, _ = np.nonzero(chosen)
    return pool[pool_offsets[owner] + picks[chosen]], offsets_of(chosen.sum(axis=1))


def _untried_beyond_share(
    batch: RankingBatch, catalogue: Catalogue, share: float
) -> NDArray[np.int64]:
    """Positions of candidates without any interaction that exceed their share of the list.

    Those that a list cannot do without are kept, best first.
    """
    untried: NDArray[np.int64] = _are_untried(batch.rows, catalogue).nonzero()[0]
    if share == 1 or not len(untried):
        none: NDArray[np.int64] = untried[:0]
        return none
    lists = owners(batch.offsets)[untried]
    best_first: NDArray[np.int64] = untried[np.lexsort((-batch.scores[untried], lists))]
    offsets = offsets_of(np.bincount(lists, minlength=len(batch.sizes)))
    n_tried = lengths_of(batch.offsets) - lengths_of(offsets)
    # The share in whole places. Decimals such as 0.3 * 10 may end just below the whole number.
    n_kept = np.maximum(np.floor(share * batch.sizes + 1e-9), batch.sizes - n_tried)
    beyond: NDArray[np.int64] = best_first[positions_within(offsets) >= n_kept[lists]]
    return beyond


def _categories(rows: Rows, batch: RankingBatch, catalogue: Catalogue) -> NDArray[np.int32]:
    """Category codes of rows, of any shape."""
    codes: NDArray[np.int32] = catalogue.categories.codes[rows]
    if batch.patch is not None:
        positions, at = batch.patch.hits(rows.ravel())
        codes.reshape(-1)[positions] = batch.patch.categories[at]
    return codes


def _are_untried(rows: Rows, catalogue: Catalogue) -> Mask:
    # The fit knows no last interaction of such an item.
    return np.asarray(np.isnan(catalogue.features[rows, DAYS_SINCE_LAST]), bool)


def _highly_rated(rows: Rows, catalogue: Catalogue, config: RankingConfig) -> Mask:
    ratings = catalogue.number("avg_rating")[rows]
    enough = catalogue.number("num_ratings")[rows] >= config.min_ratings
    # An unknown rating is NaN, and no comparison holds for NaN.
    high = _HIGH if config.high_rating is None else config.high_rating
    return np.asarray(enough & (ratings >= high))


def fused_scores(candidates: CandidateBatch) -> NDArray[np.float32]:
    """The fused ranks of the sources, shape (total,), in place of the scores of a model."""
    return candidates.features[:, FUSED_COLUMN]
