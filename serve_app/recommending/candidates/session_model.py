"""Scores candidates by a model of the next item in a session.

The model is log-bilinear (Mnih and Hinton, "Three New Graphical Models for Statistical Language
Modelling", ICML 2007). Every item has vectors for three contexts: as the last item of the session,
as the one before, and as any of the latest. Their sum is the vector of the session. Its product
with the vector of a candidate, plus a constant of the candidate, is the score.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
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
        cells: shape (total,), int64, row * ``N_CONTEXTS`` + number of the context.
        weights: shape (total,), float32.
        offsets: shape (n + 1,), int64, one list per session.
    """

    cells: NDArray[np.int64]
    weights: NDArray[np.float32]
    offsets: Offsets


def contexts_of(sessions: Sessions) -> Contexts:
    """Finds the contexts of each session's latest events; an empty session has none."""
    late = np.flatnonzero(sessions.steps_back() < MAX_EVENTS)
    steps, of_session = sessions.steps_back()[late], owners(sessions.offsets)[late]
    cells = sessions.rows[late].astype(np.int64) * N_CONTEXTS
    fading = _FADING**steps
    # A long session says more than a short one, but not as much more as it has events.
    sums = np.bincount(of_session, fading, minlength=len(sessions))
    shares = fading / np.sqrt(sums[of_session])
    parts = [
        (np.flatnonzero(steps == 0), _LAST, np.ones(len(steps))),
        (np.flatnonzero(steps == 1), _BEFORE_LAST, np.ones(len(steps))),
        (np.arange(len(steps)), _LATEST, shares),
    ]
    owner = np.concatenate([of_session[at] for at, _, _ in parts])
    order = np.argsort(owner, kind="stable")
    found = np.concatenate([cells[at] + number for at, number, _ in parts])
    weights = np.concatenate([each[at] for at, _, each in parts])
    lengths = np.bincount(owner, minlength=len(sessions))
    return Contexts(found[order], weights[order].astype(np.float32), offsets_of(lengths))


def log_shares(
    rows: Rows, requests: NDArray[np.int64], sessions: Sessions, tables: CandidateTables
) -> NDArray[np.float32]:
    """Logarithm of each candidate's probability to come next, if one of the candidates does.

    NaN for candidates that the model does not know, and in an empty session.

    Args:
        rows: shape (n_candidates,).
        requests: shape (n_candidates,), ascending, the session of each candidate.
    """
    contexts = contexts_of(sessions)
    vectors = tables.context_vectors.reshape(-1, tables.context_vectors.shape[-1])
    parts = vectors[contexts.cells] * contexts.weights[:, None]
    of_sessions = sum_of_each(parts, contexts.offsets)
    of_sessions[lengths_of(contexts.offsets) == 0] = np.nan
    products = np.einsum("ij,ij->i", of_sessions[requests], tables.next_vectors[rows])
    scores: NDArray[np.float32] = products + tables.next_biases[rows]
    return scores - _log_sums(scores, requests, len(sessions))[requests]


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
