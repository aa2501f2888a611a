"""Scores candidates by a model of the next item in a session.

The model is log-bilinear (Mnih and Hinton, "Three New Graphical Models for Statistical Language
Modelling", ICML 2007). Every item has vectors for three contexts: as the last item of the session,
as the one before, and as any of the latest. Their weighted sum is the vector of the session. Its
product with the vector of a candidate, plus a constant of the candidate, is the score.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.grouping import matches
from serve_app.arrays.ragged import Offsets, lengths_of, offsets_of, owners, sum_of_each
from serve_app.domain.candidate_tables import N_CONTEXTS, CandidateTables
from serve_app.domain.sessions import Sessions

_LAST, _BEFORE_LAST, _LATEST = range(N_CONTEXTS)

MAX_EVENTS = 20
"""Latest events of a session that the model knows."""

_FADING = 0.9
"""Factor by which an event says less than the one after it, as one of the latest."""


class Contexts(NamedTuple):
    """The vectors that add up to those of n sessions, with their weights.

    Attributes:
        rows: shape (total,), int32, the items.
        numbers: shape (total,), int64, the context of each: below ``N_CONTEXTS``.
        weights: shape (total,), float32.
        offsets: shape (n + 1,), int64, one list per session.
    """

    rows: Rows
    numbers: NDArray[np.int64]
    weights: NDArray[np.float32]
    offsets: Offsets


def contexts_of(sessions: Sessions) -> Contexts:
    """Finds the contexts of each session's latest events; an empty session has none."""
    steps = sessions.steps_back()
    late = np.flatnonzero(steps < MAX_EVENTS)
    steps, of_session = steps[late], owners(sessions.offsets)[late]
    fading = _FADING**steps
    # A long session says more than a short one, but not as much more as it has events.
    sums = np.bincount(of_session, fading, minlength=len(sessions))
    parts = (
        (_LAST, np.flatnonzero(steps == 0), np.ones(len(late))),
        (_BEFORE_LAST, np.flatnonzero(steps == 1), np.ones(len(late))),
        (_LATEST, np.arange(len(late)), fading / np.sqrt(sums[of_session])),
    )
    events = np.concatenate([at for _, at, _ in parts])
    numbers = np.concatenate([np.full(len(at), number) for number, at, _ in parts])
    weights = np.concatenate([weights[at] for _, at, weights in parts])
    order = np.argsort(of_session[events], kind="stable")
    return Contexts(
        sessions.rows[late][events[order]],
        numbers[order],
        weights[order].astype(np.float32),
        offsets_of(np.bincount(of_session[events], minlength=len(sessions))),
    )


def log_shares(
    rows: Rows, requests: NDArray[np.int64], sessions: Sessions, tables: CandidateTables
) -> NDArray[np.float32]:
    """Logarithm of each candidate's probability to come next, if one of the candidates does.

    NaN for candidates that the model does not know, and in an empty session.

    Args:
        rows: shape (n_candidates,).
        requests: shape (n_candidates,), the session of each candidate.
    """
    known, at = matches(rows, tables.session_items)
    of_sessions = _session_vectors(sessions, tables)[requests[known]]
    scores = np.full(len(rows), np.nan, np.float32)
    scores[known] = np.einsum("ij,ij->i", of_sessions, tables.next_vectors[at])
    scores[known] += tables.next_biases[at]
    return scores - _log_sums(scores, requests, len(sessions))[requests]


def _session_vectors(sessions: Sessions, tables: CandidateTables) -> NDArray[np.float32]:
    """Sums of the vectors of the sessions' known items, shape (n, f); NaN for empty sessions."""
    contexts = contexts_of(sessions)
    known, at = matches(contexts.rows, tables.session_items)
    parts = tables.context_vectors[at, contexts.numbers[known]] * contexts.weights[known, None]
    lengths = np.bincount(owners(contexts.offsets)[known], minlength=len(sessions))
    vectors = sum_of_each(parts, offsets_of(lengths))
    vectors[lengths_of(contexts.offsets) == 0] = np.nan
    return vectors


def _log_sums(
    scores: NDArray[np.float32], requests: NDArray[np.int64], n: int
) -> NDArray[np.float32]:
    """Logarithm of the sum of the exponentials of each request's scores, NaN left out; shape (n,).

    0 for a request without scores.
    """
    known = np.isfinite(scores)
    scores, requests = scores[known], requests[known]
    best = np.full(n, -np.inf, np.float32)
    np.maximum.at(best, requests, scores)
    best[~np.isfinite(best)] = 0.0
    sums = np.bincount(requests, np.exp(scores - best[requests]), minlength=n)
    return np.asarray(best + np.log(np.where(sums > 0, sums, 1.0)), np.float32)
