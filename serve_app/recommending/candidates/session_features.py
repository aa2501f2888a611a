"""Computes what candidates have to do with the latest session; columns as ``SESSION_FEATURES``."""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Rows
from serve_app.arrays.grouping import Keys, matches, strongest_by_key
from serve_app.arrays.ragged import gather, lengths_of, owners
from serve_app.arrays.units import MINUTE_S
from serve_app.domain.unfinished import describe_unfinished
from serve_app.recommending.candidates.session_model import log_shares
from serve_app.recommending.candidates.sources.query import Queries
from serve_app.recommending.scoring.model_features import days_since


def session_features(
    rows: Rows, requests: NDArray[np.int64], queries: Queries
) -> NDArray[np.float32]:
    """Features of candidates, shape (n_candidates, len(SESSION_FEATURES)), float32.

    Numbers that need a last item are NaN in an empty session.

    Args:
        rows: shape (n_candidates,).
        requests: shape (n_candidates,), the request of each candidate.
    """
    catalogue, tables, sessions = queries.catalogue, queries.tables, queries.sessions
    last, keys = sessions.last_rows, requests * queries.n_rows + rows
    transitions = _transitions_from(last, keys, requests, queries)
    times, steps = _count_in_session(keys, queries)
    n_events, n_items, streak, minutes = _describe_sessions(queries)
    codes, log_prices = catalogue.categories.codes, np.log1p(catalogue.number("price")[rows])
    columns = (
        transitions,
        _after_last_two(keys, requests, queries, transitions[:, 0]),
        _products(last, rows, requests, tables.step_in, tables.step_out),
        log_shares(rows, requests, sessions, tables),
        np.where(last[requests] == MISSING, np.nan, codes[rows] == codes[last[requests]]),
        _category_shares(queries)[requests, codes[rows]],
        log_prices - _log_prices(queries, last)[requests],
        log_prices - _mean_log_prices(queries)[requests],
        times,
        steps,
        np.log1p(n_events)[requests],
        np.log1p(n_items)[requests],
        streak[requests],
        minutes[requests],
        # Trends say less in old tables: models learn from requests at tables of all ages.
        days_since(tables.until_at, queries.at)[requests],
        describe_unfinished(queries.histories, queries.n_rows, keys, queries.at),
    )
    return np.column_stack(columns).astype(np.float32)


def _transitions_from(
    last: Rows, keys: Keys, requests: NDArray[np.int64], queries: Queries
) -> NDArray[np.float32]:
    """Weights of the transitions from the last item, shape (n_candidates, 3); 0 for none.

    Keys are request * n_rows + row of each candidate.
    """
    tables = queries.tables
    found = np.zeros((len(keys), tables.transition_weights.shape[1]), np.float32)
    known = np.flatnonzero(last != MISSING)
    if len(known) < len(last):
        found[(last == MISSING)[requests]] = np.nan
    positions, offsets = gather(tables.transition_offsets, last[known])
    offered = known[owners(offsets)] * queries.n_rows + tables.transition_rows[positions]
    hits, at = matches(keys, offered)
    found[hits] = tables.transition_weights[positions[at]]
    return found


def _after_last_two(
    keys: Keys, requests: NDArray[np.int64], queries: Queries, after_last: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Share of the candidate among what followed the last two items, shape (n_candidates,).

    Where these are a rare pair, or one item alone, it is ``after_last`` in part or as a whole.
    """
    tables, n_rows, sessions = queries.tables, queries.n_rows, queries.sessions
    known = np.flatnonzero(lengths_of(sessions.offsets) > 1)
    ends = sessions.offsets[1:][known]
    pairs = sessions.rows[ends - 2].astype(np.int64) * n_rows + sessions.rows[ends - 1]
    found, at = matches(pairs, tables.pair_keys)
    if not len(found):
        return after_last
    known = known[found]
    rests = np.ones(len(sessions), np.float32)
    rests[known] = tables.pair_rests[at]
    shares = rests[requests] * after_last
    positions, offsets = gather(tables.pair_offsets, at)
    offered = known[owners(offsets)] * n_rows + tables.pair_rows[positions]
    hits, at = matches(keys, offered)
    shares[hits] += tables.pair_weights[positions[at]]
    return shares


def _products(
    last: Rows,
    rows: Rows,
    requests: NDArray[np.int64],
    left: NDArray[np.float32],
    right: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Product of the vectors of the last item and of each candidate, shape (n_candidates,)."""
    of_last = np.zeros((len(last), left.shape[1]), np.float32)
    of_last[last == MISSING] = np.nan
    of_last[last != MISSING] = left[last[last != MISSING]]
    products: NDArray[np.float32] = np.einsum("ij,ij->i", of_last[requests], right[rows])
    return products


def _count_in_session(
    keys: Keys, queries: Queries
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Events of the session on each candidate, and events since the last one (NaN: none)."""
    sessions, times, since = queries.sessions, np.zeros(len(keys)), np.full(len(keys), np.nan)
    seen = owners(sessions.offsets) * queries.n_rows + sessions.rows
    distinct, n_times = np.unique(seen, return_counts=True)
    steps = sessions.steps_back()
    _, latest = strongest_by_key(seen, -steps.astype(float))
    hits, at = matches(keys, distinct)
    times[hits], since[hits] = n_times[at], steps[latest[at]]
    return times, since


def _describe_sessions(
    queries: Queries,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Events, distinct items, latest events in one category, and minutes since the last event.

    Shape (n,) each; the last two are NaN in an empty session.
    """
    sessions, n_rows = queries.sessions, max(queries.n_rows, 1)
    of_request, n = owners(sessions.offsets), len(sessions)
    n_events = lengths_of(sessions.offsets)
    is_known = n_events > 0
    distinct = np.unique(of_request * n_rows + sessions.rows) // n_rows
    codes, last = queries.catalogue.categories.codes, sessions.last_rows
    differs = codes[sessions.rows] != codes[last][of_request]
    # The streak ends at the latest event of another category.
    since = np.where(differs, sessions.steps_back(), np.repeat(n_events, n_events))
    streak = np.full(n, np.nan)
    # ``reduceat`` refuses an empty array.
    if len(since):
        streak[is_known] = np.minimum.reduceat(since, sessions.offsets[:-1][is_known])
    minutes = np.full(n, np.nan)
    last_at = sessions.at[sessions.offsets[1:][is_known] - 1]
    minutes[is_known] = np.maximum(queries.at[is_known] - last_at, 0.0) / MINUTE_S
    return n_events, np.bincount(distinct, minlength=n), streak, minutes


def _category_shares(queries: Queries) -> NDArray[np.float64]:
    """Share of each category in the events of the session, shape (n, n_categories + 1).

    The last column, which ``MISSING`` reads, is that of items without a category.
    """
    sessions, categories = queries.sessions, queries.catalogue.categories
    width = categories.n_words + 1
    codes = categories.codes[sessions.rows] % width
    cells = owners(sessions.offsets) * width + codes
    counts = np.bincount(cells, minlength=len(sessions) * width).reshape(-1, width)
    return np.asarray(counts / np.maximum(lengths_of(sessions.offsets), 1)[:, None])


def _log_prices(queries: Queries, rows: Rows) -> NDArray[np.float64]:
    """Logarithms of the prices of some items, shape (n,), NaN for ``MISSING``."""
    prices = np.full(len(rows), np.nan)
    known = rows != MISSING
    prices[known] = np.log1p(queries.catalogue.number("price")[rows[known]])
    return prices


def _mean_log_prices(queries: Queries) -> NDArray[np.float64]:
    """Mean logarithm of the prices of each session's items, shape (n,), NaN without any price."""
    sessions = queries.sessions
    prices = _log_prices(queries, sessions.rows)
    known = np.isfinite(prices)
    of_request = owners(sessions.offsets)[known]
    sums = np.bincount(of_request, prices[known], minlength=len(sessions))
    counts = np.bincount(of_request, minlength=len(sessions))
    means = np.full(len(sessions), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means
