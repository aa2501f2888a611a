"""Makes one list of candidates out of what several sources offer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.domain.columns import MISSING, Rows
from serve_app.domain.grouping import best
from serve_app.domain.sources.query import Hits


@dataclass(frozen=True, slots=True)
class Merged:
    """
    The candidates of one request, no row twice, best fused score first.

    Attributes:
        rows: shape (m,), int32.
        scores: shape (m, n_sources), float32, NaN where the source has no score for the row.
        ranks: shape (m, n_sources), float32, from 1, NaN where the source did not offer the row.
        fused: shape (m,), float32.
        because: shape (m,), int32, the item that led to the candidate, or ``MISSING``.
    """

    rows: Rows
    scores: NDArray[np.float32]
    ranks: NDArray[np.float32]
    fused: NDArray[np.float32]
    because: Rows


def merge(
    hits: Sequence[Hits], weights: Sequence[float] | NDArray[np.float32], k: float, limit: int
) -> Merged:
    """
    The ``limit`` best rows by weighted reciprocal rank fusion: the sum over the sources of
    weight / (k + rank) (Cormack, Clarke and Buettcher, SIGIR 2009). Ties go to the smaller row.

    Args:
        hits: one per source, best first.
        weights: one per source.
        k: how little the first ranks stand out.
    """
    rows, places = np.unique(np.concatenate([each.rows for each in hits]), return_inverse=True)
    scores = np.full((len(rows), len(hits)), np.nan, np.float32)
    ranks = np.full((len(rows), len(hits)), np.nan, np.float32)
    because = np.full(len(rows), MISSING, np.int32)
    start = 0
    for source, each in enumerate(hits):
        own = places[start : start + len(each.rows)]
        start += len(each.rows)
        scores[own, source] = each.scores
        ranks[own, source] = np.arange(1, len(own) + 1)
        if len(each.because):
            because[own] = each.because
    fused = np.nansum(np.asarray(weights, np.float32) / (k + ranks), axis=1)
    top = best(rows, fused, limit)
    for source, each in enumerate(hits):
        if len(each.known_rows):
            scores[:, source] = _looked_up(rows, each)
    return Merged(rows[top], scores[top], ranks[top], fused[top], because[top])


def _looked_up(rows: Rows, hits: Hits) -> NDArray[np.float32]:
    """The source's scores of rows, offered or not; NaN where it has none."""
    at = np.minimum(np.searchsorted(hits.known_rows, rows), len(hits.known_rows) - 1)
    return np.where(hits.known_rows[at] == rows, hits.known_scores[at], np.nan).astype(np.float32)
