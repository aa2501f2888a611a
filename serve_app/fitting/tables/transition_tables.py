"""Counts which items follow each item within a session."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from serve_app.arrays.columns import Rows
from serve_app.arrays.ragged import Offsets, best_of_each
from serve_app.domain.interactions import InteractionLog
from serve_app.domain.sessions import session_numbers
from serve_app.fitting.tables.decaying import decay
from serve_app.fitting.tables.singular_vectors import leading_vectors
from serve_app.fitting.tables.tables_config import TablesConfig

N_STEPS = 5
"""Largest distance of two events of a session that counts as a transition."""


class Transitions(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``; rows ascend within a list."""

    transition_offsets: Offsets
    transition_rows: Rows
    transition_weights: NDArray[np.float32]
    step_in: NDArray[np.float32]
    step_out: NDArray[np.float32]


def find_transitions(
    log: InteractionLog, n_rows: int, at: float, config: TablesConfig
) -> Transitions:
    """Finds the items that follow each item, and those beside it, by recency and distance.

    A pair of events counts 1 / distance ("sequential rules" of Ludewig and Jannach, "Evaluation of
    session-based recommendation algorithms", UMUAI 2018), halved with every half-life since. Counts
    are divided by those of all pairs of the row, plus a constant that trusts rare rows less.

    Args:
        at: epoch seconds, the moment of the tables.
    """
    following, later = _count(log, n_rows, at, config.transitions_half_life_days)
    beside = later + later.T.tocsr()
    beside.sort_indices()
    # Whatever follows a row is also beside it: the entries of ``beside`` are those of all three.
    starts, rows = beside.indptr.astype(np.int64), beside.indices
    owner = np.repeat(np.arange(n_rows), np.diff(starts))
    weights = np.column_stack(
        [_shares(counts, owner, rows, config) for counts in (following, later, beside)]
    )
    top, offsets = best_of_each(weights.sum(axis=1), starts, config.max_transitions)
    # A list ascends, hence positions do.
    top = np.sort(top)
    factors = _factorise(later, config.step_dim)
    return Transitions(offsets, rows[top].astype(np.int32), weights[top], *factors)


def _factorise(later: csr_array, n_dimensions: int) -> tuple[NDArray[np.float32], ...]:
    """Vectors of items as the one before and the one after; their products smooth the transitions.

    Shape (n_rows, n_dimensions) each.
    """
    logarithms = np.log1p(later.data, dtype=float)
    counts = csr_array((logarithms, later.indices, later.indptr), shape=later.shape)
    _, axes = leading_vectors(counts, n_dimensions)
    after = np.zeros((later.shape[0], n_dimensions), np.float32)
    after[:, : len(axes)] = axes.T
    return (counts @ after).astype(np.float32), after


def _count(
    log: InteractionLog, n_rows: int, at: float, half_life_days: float
) -> tuple[csr_array, csr_array]:
    """Weights of direct transitions, and of all up to ``N_STEPS``; shape (n_rows, n_rows) each."""
    sessions = session_numbers(log.users, log.at)
    recency = decay(log.at, at, half_life_days)
    following = later = csr_array((n_rows, n_rows), dtype=np.float32)
    for distance in range(1, min(N_STEPS, len(log) - 1) + 1):
        together = np.flatnonzero(sessions[distance:] == sessions[:-distance])
        cells = (log.rows[together], log.rows[together + distance])
        counted = coo_array((recency[together + distance], cells), shape=(n_rows, n_rows)).tocsr()
        following = counted if distance == 1 else following
        later = later + counted * np.float32(1 / distance)
    return following, later


def _shares(
    counts: csr_array, owner: NDArray[np.int64], rows: NDArray[np.integer], config: TablesConfig
) -> NDArray[np.float32]:
    """Shares of the counts at some cells, shape (len(rows),)."""
    counts.sum_duplicates()
    totals = np.asarray(counts.sum(axis=1)) + config.transitions_shrinkage
    keys = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr)) * counts.shape[0]
    keys = keys + counts.indices
    at = np.searchsorted(owner * counts.shape[0] + rows, keys)
    found = np.zeros(len(rows), np.float32)
    found[at] = counts.data
    return (found / totals[owner]).astype(np.float32)
