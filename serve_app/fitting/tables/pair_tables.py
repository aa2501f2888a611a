"""Counts which items follow each pair of items within a session."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.ragged import Offsets, offsets_of
from serve_app.domain.interactions import InteractionLog
from serve_app.domain.sessions import session_numbers
from serve_app.fitting.tables.decaying import decay
from serve_app.fitting.tables.tables_config import TablesConfig


class PairSteps(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``; rows ascend within a list."""

    pair_keys: NDArray[np.int64]
    pair_offsets: Offsets
    pair_rows: Rows
    pair_weights: NDArray[np.float32]
    pair_rests: NDArray[np.float32]


def find_pair_steps(log: InteractionLog, n_rows: int, at: float, config: TablesConfig) -> PairSteps:
    """Finds the items that followed two items, one right after the other.

    This is a Markov chain of the second order. Where a pair is rare it gives way to the chain of
    the first order, whose part is the pair's rest (Jelinek and Mercer, "Interpolated estimation of
    Markov source parameters from sparse data", 1980). Pairs that were followed once are left out.

    Args:
        at: epoch seconds, the moment of the tables.
    """
    sessions = session_numbers(log.users, log.at)
    first = np.flatnonzero(sessions[2:] == sessions[:-2])
    rows = log.rows.astype(np.int64)
    keys = rows[first] * n_rows + rows[first + 1]
    recency = decay(log.at[first + 2], at, config.transitions_half_life_days)
    distinct, of_event, n_times = np.unique(keys, return_inverse=True, return_counts=True)
    # Stable: among equally frequent pairs, those with smaller keys are kept.
    kept = np.zeros(len(distinct), bool)
    kept[np.argsort(-n_times, kind="stable")[: config.max_pairs]] = True
    kept &= n_times > 1
    events = kept[of_event]
    return _steps(keys[events], recency[events], rows[first + 2][events], n_rows, config)


def _steps(
    keys: NDArray[np.int64],
    recency: NDArray[np.float32],
    rows: NDArray[np.int64],
    n_rows: int,
    config: TablesConfig,
) -> PairSteps:
    pairs, of_event = np.unique(keys, return_inverse=True)
    # Pair and row in one number: n pairs times n rows is far below 64 bits.
    cells, of_cell = np.unique(of_event * n_rows + rows, return_inverse=True)
    weights = np.bincount(of_cell, recency, minlength=len(cells))
    of_pair = cells // n_rows
    totals = np.bincount(of_pair, weights, minlength=len(pairs)) + config.transitions_shrinkage
    return PairSteps(
        pairs,
        offsets_of(np.bincount(of_pair, minlength=len(pairs))),
        (cells % n_rows).astype(np.int32),
        (weights / totals[of_pair]).astype(np.float32),
        (config.transitions_shrinkage / totals).astype(np.float32),
    )
