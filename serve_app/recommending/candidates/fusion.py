"""Fuses the lists of several sources into one list of candidates per request."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.grouping import Keys, distinct_keys, positions_in
from serve_app.arrays.ragged import Offsets, best_of_each, offsets_of, owners, positions_within
from serve_app.recommending.candidates.sources.query import Hits


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
    """The best rows of each request by weighted reciprocal rank fusion.

    The fused score is the sum over the sources of weight / (k + rank). Ties go to the smaller row.

    Args:
        hits: one per source, of the same requests.
        weights: one per source.
        k: a larger value makes the first ranks count less.
        limits: largest number of rows of each request, shape (n,) or one for all.
        n_rows: larger than every row.

    Source:
        Cormack, Clarke, Buettcher, "Reciprocal Rank Fusion Outperforms Condorcet", SIGIR 2009.
    """
    n = len(hits[0].offsets) - 1
    offered = [owners(of_source.offsets) * n_rows + of_source.rows for of_source in hits]
    # Ascending keys: rows ascend within a request, so the stable sort below prefers smaller rows.
    keys, positions = distinct_keys(np.concatenate(offered))
    scores = np.full((len(keys), len(hits)), np.nan, np.float32)
    ranks = np.full((len(keys), len(hits)), np.nan, np.float32)
    because = np.full(len(keys), MISSING, np.int32)
    start = 0
    for source, of_source in enumerate(hits):
        # A source offers no row twice, so no assignment overwrites another of the source.
        at = positions[start : start + len(of_source.rows)]
        start += len(of_source.rows)
        scores[at, source] = of_source.scores
        ranks[at, source] = positions_within(of_source.offsets) + 1
        if len(of_source.because):
            because[at] = of_source.because
    # float32 throughout: a fused score is also a feature, which models were fitted with.
    fused = np.nansum(np.asarray(weights, np.float32) / (k + ranks), axis=1)
    requests = keys // n_rows
    bounds = offsets_of(np.bincount(requests, minlength=n))
    top, offsets = best_of_each(fused, bounds, limits)
    # Looked up last, for the few rows that are left: a source may know many more than it offers.
    # Ascending keys are found several times faster than keys in the order of the scores.
    left = np.sort(top)
    for source, of_source in enumerate(hits):
        if len(of_source.known_keys):
            scores[left, source] = _look_up(keys[left], of_source)
    rows = (keys[top] - requests[top] * n_rows).astype(np.int32)
    return Merged(offsets, rows, scores[top], ranks[top], fused[top], because[top])


def _look_up(keys: Keys, hits: Hits) -> NDArray[np.float32]:
    """The source's scores of all rows that it knows, offered or not; NaN for others."""
    at = positions_in(keys, hits.known_keys)
    return np.where(hits.known_keys[at] == keys, hits.known_scores[at], np.nan).astype(np.float32)
