"""Makes one list of candidates per request out of what several sources offer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.grouping import Keys, distinct_keys, positions_in
from serve_app.arrays.ragged import Offsets, best_of_each, offsets_of, owners, positions_within
from serve_app.domain.candidates.sources.query import Hits


@dataclass(frozen=True, slots=True)
class Merged:
    """The candidates of each request, no row twice, best fused score first.

    Attributes:
        offsets: shape (n + 1,), int64.
        rows: shape (m,), int32.
        scores: shape (m, n_sources), float32, NaN where the source has no score for the row.
        ranks: shape (m, n_sources), float32, from 1, NaN where the source did not offer the row.
        fused: shape (m,), float32.
        because: shape (m,), int32, the item that led to the candidate, or ``MISSING``.
    """

    offsets: Offsets
    rows: Rows
    scores: NDArray[np.float32]
    ranks: NDArray[np.float32]
    fused: NDArray[np.float32]
    because: Rows


def merge(
    hits: Sequence[Hits],
    weights: Sequence[float] | NDArray[np.float32],
    k: float,
    limits: NDArray[np.integer] | int,
    n_rows: int,
) -> Merged:
    """The best rows of each request by weighted reciprocal rank fusion: the sum over the sources of
    weight / (k + rank) (Cormack, Clarke and Buettcher, SIGIR 2009). Ties go to the smaller row.

    Args:
        hits: one per source, of the same requests.
        weights: one per source.
        k: how little the first ranks stand out.
        limits: how many rows of each request at most, shape (n,) or one for all.
        n_rows: what rows are below.
    """
    n = len(hits[0].offsets) - 1
    offered = [owners(each.offsets) * n_rows + each.rows for each in hits]
    keys, places = distinct_keys(np.concatenate(offered))
    scores = np.full((len(keys), len(hits)), np.nan, np.float32)
    ranks = np.full((len(keys), len(hits)), np.nan, np.float32)
    because = np.full(len(keys), MISSING, np.int32)
    start = 0
    for source, each in enumerate(hits):
        own = places[start : start + len(each.rows)]
        start += len(each.rows)
        scores[own, source] = each.scores
        ranks[own, source] = positions_within(each.offsets) + 1
        if len(each.because):
            because[own] = each.because
    fused = np.nansum(np.asarray(weights, np.float32) / (k + ranks), axis=1)
    requests = keys // n_rows
    bounds = offsets_of(np.bincount(requests, minlength=n))
    top, offsets = best_of_each(fused, bounds, limits)
    keys, scores = keys[top], scores[top]
    for source, each in enumerate(hits):
        if len(each.known_keys):
            scores[:, source] = _looked_up(keys, each)
    rows = (keys - requests[top] * n_rows).astype(np.int32)
    return Merged(offsets, rows, scores, ranks[top], fused[top], because[top])


def _looked_up(keys: Keys, hits: Hits) -> NDArray[np.float32]:
    """The source's scores, offered or not; NaN where it has none."""
    at = positions_in(keys, hits.known_keys)
    return np.where(hits.known_keys[at] == keys, hits.known_scores[at], np.nan).astype(np.float32)
