"""Computes the features of each candidate and its user; columns as ``CANDIDATE_FEATURES``."""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.ragged import Offsets, lengths_of, owners
from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.interactions import Histories
from serve_app.recommending.candidates.fusion import Merged
from serve_app.recommending.candidates.profiles import affinities, user_factors
from serve_app.recommending.candidates.session_features import session_features
from serve_app.recommending.candidates.sources.query import Queries
from serve_app.recommending.scoring.model_features import LOG_BUYERS, SHARED, SOURCES, days_since

_LOG_FLOOR = 1e-4
"""Added before the logarithm, which has no value at zero."""

_LATE_PERIODS = 2
"""Number of the latest periods whose choices count as those of now."""


def candidate_features(merged: Merged, queries: Queries) -> NDArray[np.float32]:
    """Features of the candidates, shape (n_candidates, len(CANDIDATE_FEATURES)), float32."""
    catalogue, tables = queries.catalogue, queries.tables
    histories, profiles = queries.histories, queries.profiles
    rows, scores, offsets = merged.rows, merged.scores, merged.offsets
    requests = owners(offsets)
    n_seen, last_at = _count_seen(rows, requests, histories, len(catalogue))
    codes = catalogue.categories.codes[rows]
    # An item without a price is NaN, and so are its features. XGBoost takes that for missing.
    log_prices = np.log1p(catalogue.number("price")[rows])
    by_linear = _by_linear(scores[:, SOURCES.index("autoencoder")], rows, tables)
    by_factors = _by_factors(rows, requests, histories, tables)
    # In the order of ``CANDIDATE_FEATURES``, by which ``assemble`` picks the columns.
    columns = (
        scores,
        merged.ranks,
        _shares(scores[:, SHARED], offsets),
        by_linear,
        _shares(by_linear, offsets),
        np.isfinite(merged.ranks).sum(axis=1),
        merged.fused,
        np.where(codes >= 0, profiles.category_shares[requests, codes], 0.0),
        np.einsum("ij,ij->i", profiles.tastes[requests], catalogue.vectors[rows]),
        np.einsum("ij,ij->i", profiles.contents[requests], tables.content_vectors[rows]),
        np.log1p(n_seen),
        days_since(last_at, queries.at[requests]),
        log_prices - profiles.log_prices[requests],
        catalogue.features[rows, LOG_BUYERS] - profiles.log_buyers[requests],
        profiles.log_buyers[requests],
        np.log1p(lengths_of(histories.offsets))[requests],
        expectations(rows, requests, count_by_period(histories, tables.period_starts_at), tables),
        by_factors,
        _shares(np.maximum(by_factors, 0.0), offsets),
        session_features(rows, requests, queries),
    )
    return np.column_stack(columns).astype(np.float32)


def _by_linear(
    scores: NDArray[np.float32], rows: Rows, tables: CandidateTables
) -> NDArray[np.float32]:
    """Scores of the autoencoder: plain, then scaled by the item's trend at each of ``TREND_DAYS``.

    Shape (n_candidates, 1 + len(TREND_DAYS)).
    """
    # The source multiplied its scores by ``trends``; the division takes that back. It is safe: the
    # fit keeps trends above 0.
    plain = (scores / tables.trends[rows])[:, None]
    return np.column_stack((plain, plain * tables.recent_trends[rows]))


def _by_factors(
    rows: Rows, requests: NDArray[np.int64], histories: Histories, tables: CandidateTables
) -> NDArray[np.float32]:
    """Affinity by factors: plain, then scaled by the item's trend; shape (n_candidates, 2)."""
    of_users = user_factors(histories, tables.factors_in)
    plain = affinities(rows, requests, of_users, tables.factors_out)
    return np.column_stack((plain, plain * tables.trends[rows]))


def _shares(scores: NDArray[np.float32], offsets: Offsets) -> NDArray[np.float32]:
    """Each score divided by the best of its request; NaN for candidates without score."""
    # ``reduceat`` refuses an empty array, and returns wrong values for empty lists.
    if not len(scores):
        return scores
    filled = np.where(np.isnan(scores), np.float32(0), scores)
    lengths = lengths_of(offsets)
    best = np.zeros((len(lengths), scores.shape[1]), np.float32)
    best[lengths > 0] = np.maximum.reduceat(filled, offsets[:-1][lengths > 0])
    divisors = np.repeat(best, lengths, axis=0)
    return np.divide(scores, divisors, out=np.full_like(scores, np.nan), where=divisors > 0)


def _count_seen(
    rows: Rows, requests: NDArray[np.int64], histories: Histories, n_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number of the user's events on each candidate, and time of the last one (NaN: none)."""
    # A stable sort keeps the events of a user oldest first: the last of a key is the latest.
    keys = histories.keys(n_rows)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    wanted = requests * n_rows + rows
    first = np.searchsorted(ordered, wanted, side="left")
    end = np.searchsorted(ordered, wanted, side="right")
    last_at = np.full(len(rows), np.nan)
    seen = end > first
    last_at[seen] = histories.events["at"][order[end[seen] - 1]]
    return end - first, last_at


def count_by_period(histories: Histories, starts_at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Counts the distinct items of each user's events in each period, shape (n_users, n_periods).

    Events before the first start, of epoch seconds in ascending order, are left out. The last
    period has no end.
    """
    n_periods = len(starts_at)
    events = histories.events
    periods = np.searchsorted(starts_at, events["at"], side="right") - 1
    within = periods >= 0
    # Visit and row in one number, 32 bits each: ``unique`` is fast on one array of integers.
    visits = (owners(histories.offsets) * n_periods + periods)[within]
    distinct = np.unique(visits << 32 | events["row"][within].astype(np.int64)) >> 32
    counts = np.bincount(distinct, minlength=len(histories) * n_periods)
    return counts.reshape(len(histories), n_periods).astype(np.float32)


def expectations(
    rows: Rows,
    requests: NDArray[np.int64],
    taken: NDArray[np.float32],
    tables: CandidateTables,
) -> NDArray[np.float32]:
    """Estimates how often a user passed over each candidate, shape (n, 3), logarithms.

    A user who was active while an item sold well, and did not take it, wants it less than a user
    who was away. The first number is how often the user would have taken the item, had they chosen
    as all users did in the same periods. The second counts one choice in each period in which the
    user was active. The third is the item's share of all choices now, divided by the first.

    Args:
        rows: shape (n,).
        requests: shape (n,), the number of each candidate's user in ``taken``.
        taken: shape (n_users, n_periods), from ``count_by_period``.
    """
    counts = tables.period_counts[rows]
    choices = taken / np.maximum(tables.period_totals, 1)
    chances = (taken > 0) / np.maximum(tables.period_users, 1)
    by_choices = np.log(np.einsum("ij,ij->i", counts, choices[requests]) + _LOG_FLOOR)
    by_chances = np.log(np.einsum("ij,ij->i", counts, chances[requests]) + _LOG_FLOOR)
    # A share of all choices is far smaller than a number of choices, and so is its constant.
    late = slice(-_LATE_PERIODS, None)
    n_late = max(float(tables.period_totals[late].sum()), 1.0)
    pace = np.log(counts[:, late].sum(axis=1) / n_late + _LOG_FLOOR / 100)
    return np.column_stack((by_choices, by_chances, pace - by_choices)).astype(np.float32)
