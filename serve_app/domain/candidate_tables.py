"""Defines the tables of a bundle in which the sources look up candidates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import IdIndex, Mask, Rows
from serve_app.arrays.patches import Matrix
from serve_app.arrays.ragged import Offsets

N_CONTEXTS = 3
"""An item is the last of a session, the one before, or any of the latest
(``recommending.candidates.session_model``)."""


@dataclass(frozen=True, slots=True)
class CandidateTables:
    """Arrays of the fit. Orders contain listed rows only, best first; ties go to the smaller row.

    Attributes:
        until_at: shape (1,), float64, epoch seconds, the moment of the tables: what came later they
            do not know.
        source_weights: shape (n_sources,), float32, factor of each source's ranks in the fusion, in
            the order of ``model_features.SOURCES``.
        popular_rows: shape (n,), int32, all listed items by popularity.
        category_offsets: shape (n_categories + 1,), int64.
        category_rows: shape (n,), int32, per category code its items by popularity.
        newest_rows: shape (n,), int32, listed items with a known ``created_at``, newest first.
        neighbour_offsets: shape (n_rows + 1,), int64, one list per catalogue row.
        neighbour_rows: shape (total,), int32, items most similar to the row, best first.
        neighbour_scores: shape (total,), float32, cosine in (0, 1].
        buyer_offsets: shape (n_rows + 1,), int64, one list per catalogue row.
        buyers: shape (total,), int32, users with a purchase of the row, or with the interaction
            that counts in this shop. Numbered as in the archive, most recent first, cut at
            ``TablesConfig.max_buyers_per_item``.
        basket_offsets: shape (n_users + 1,), int64, one list per user.
        basket_rows: shape (total,), int32, distinct items the user bought, most recent first,
            cut at ``TablesConfig.max_items_per_user``.
        basket_weights: shape (total,), float32 in (0, 1], halved with every half-life since the
            purchase.
        transition_offsets: shape (n_rows + 1,), int64, one list per catalogue row.
        transition_rows: shape (total,), int32, the rows beside the row in sessions, ascending.
        transition_weights: shape (total, 3), float32, shares of the row's transitions: of those in
            one step, of those in up to five steps, and of those in either direction.
        step_in: shape (n_rows, f), float32, vectors of the item before a step of a session.
        step_out: shape (n_rows, f), float32, vectors of the item after a step; the product of both
            smooths the weights of transitions.
        session_items: shape (n_known,), int32, ascending, rows that the model of sessions knows.
        context_vectors: shape (n_known, N_CONTEXTS, f), float32, of each as a part of a session.
        next_vectors: shape (n_known, f), float32, of each as the next item of a session.
        next_biases: shape (n_known,), float32, added to the product of both.
        pair_keys: shape (n_pairs,), int64, ascending, ``first row * n_rows + second row`` of items
            that followed each other in sessions.
        pair_offsets: shape (n_pairs + 1,), int64, one list per pair.
        pair_rows: shape (total,), int32, the rows that followed the pair, ascending.
        pair_weights: shape (total,), float32, shares of what followed the pair.
        pair_rests: shape (n_pairs,), float32, the share that is left to the second item alone.
        session_offsets: shape (n_sessions + 1,), int64, one list per session, the latest last.
        session_rows: shape (total,), int32, distinct items of the session, ascending.
        visit_offsets: shape (n_rows + 1,), int64, one list per catalogue row.
        visits: shape (total,), int32, sessions with the row, latest first.
        linear_offsets: shape (n_rows + 1,), int64, one list per catalogue row.
        linear_rows: shape (total,), int32, the rows that the row speaks for or against.
        linear_weights: shape (total,), float32, strength, of either sign.
        trends: shape (n_rows,), float32, the share of recent buyers among all buyers, to a power.
        recent_trends: shape (n_rows, len(TREND_DAYS)), float32, that share at each of
            ``model_features.TREND_DAYS``.
        factors_in: shape (n_rows, f), float32, added to the factors of users of the row.
        factors_out: shape (n_rows, f), float32, multiplied with the factors of a user.
        content_vectors: shape (n_rows, d), float32, of the words of the row, unit length or zero.
        word_index: finds the row of ``word_vectors`` by a word.
        word_vectors: shape (n_words, d), float32. The sum over the words of an item
            (``words.words_of``), scaled to unit length, is the item's content vector.
        ending_types: shape (n_types,), bool, by code of the type. True if an item is not
            recommended again after this interaction.
        period_starts_at: shape (n_periods,), float64, epoch seconds, ascending; the last period
            ends with the fit.
        period_counts: shape (n_rows, n_periods), float32, users with an interaction with the row.
        period_totals: shape (n_periods,), float32, the sums of the counts.
        period_users: shape (n_periods,), float32, distinct users of the period.
    """

    until_at: NDArray[np.float64]
    source_weights: NDArray[np.float32]
    popular_rows: Rows
    category_offsets: Offsets
    category_rows: Rows
    newest_rows: Rows
    neighbour_offsets: Offsets
    neighbour_rows: Rows
    neighbour_scores: NDArray[np.float32]
    buyer_offsets: Offsets
    buyers: NDArray[np.int32]
    basket_offsets: Offsets
    basket_rows: Rows
    basket_weights: NDArray[np.float32]
    transition_offsets: Offsets
    transition_rows: Rows
    transition_weights: NDArray[np.float32]
    step_in: NDArray[np.float32]
    step_out: NDArray[np.float32]
    session_items: Rows
    context_vectors: NDArray[np.float32]
    next_vectors: NDArray[np.float32]
    next_biases: NDArray[np.float32]
    pair_keys: NDArray[np.int64]
    pair_offsets: Offsets
    pair_rows: Rows
    pair_weights: NDArray[np.float32]
    pair_rests: NDArray[np.float32]
    session_offsets: Offsets
    session_rows: Rows
    visit_offsets: Offsets
    visits: NDArray[np.int32]
    linear_offsets: Offsets
    linear_rows: Rows
    linear_weights: NDArray[np.float32]
    trends: NDArray[np.float32]
    recent_trends: NDArray[np.float32]
    factors_in: NDArray[np.float32]
    factors_out: NDArray[np.float32]
    content_vectors: Matrix
    word_index: IdIndex
    word_vectors: NDArray[np.float32]
    ending_types: Mask
    period_starts_at: NDArray[np.float64]
    period_counts: NDArray[np.float32]
    period_totals: NDArray[np.float32]
    period_users: NDArray[np.float32]
