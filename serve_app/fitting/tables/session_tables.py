"""Collects the latest sessions of a shop, and the sessions of each item."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Rows
from serve_app.arrays.ragged import Offsets, gather, offsets_of, owners, positions_within
from serve_app.domain.interactions import InteractionLog
from serve_app.domain.sessions import session_numbers
from serve_app.fitting.tables.tables_config import TablesConfig


class SessionTables(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``."""

    session_offsets: Offsets
    session_rows: Rows
    visit_offsets: Offsets
    visits: NDArray[np.int32]


def collect_sessions(log: InteractionLog, n_rows: int, config: TablesConfig) -> SessionTables:
    """Collects the latest sessions with at least two items, oldest session first.

    Each item keeps its latest sessions (Kersbergen, Sprangers and Schelter, "Serenade: Low-Latency
    Session-Based Recommendation in e-Commerce at Scale", SIGMOD 2022).
    """
    numbers = session_numbers(log.users, log.at)
    n_sessions = int(numbers[-1]) + 1 if len(numbers) else 0
    ends_at = np.full(n_sessions, -np.inf)
    np.maximum.at(ends_at, numbers, log.at)
    # The last item of a session says the most: long sessions keep their latest events.
    is_kept = _from_the_end(numbers) < config.max_session_events
    pairs = np.unique(numbers[is_kept] * max(n_rows, 1) + log.rows[is_kept])
    of_session, rows = np.divmod(pairs, max(n_rows, 1))
    lengths = np.bincount(of_session, minlength=n_sessions)
    order = np.lexsort((np.arange(n_sessions), ends_at))
    order = order[lengths[order] > 1][-config.max_sessions :]
    positions, offsets = gather(offsets_of(lengths), order)
    rows = rows[positions].astype(np.int32)
    by_item = np.lexsort((-owners(offsets), rows))
    of_item = np.bincount(rows, minlength=n_rows)
    latest = positions_within(offsets_of(of_item)) < config.max_sessions_per_item
    return SessionTables(
        session_offsets=offsets,
        session_rows=rows,
        visit_offsets=offsets_of(np.minimum(of_item, config.max_sessions_per_item)),
        visits=owners(offsets)[by_item[latest]].astype(np.int32),
    )


def _from_the_end(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of later events of the same session; ``numbers`` ascend."""
    ends = np.bincount(numbers).cumsum() if len(numbers) else numbers
    return np.asarray(ends[numbers] - np.arange(len(numbers)) - 1, np.int64)
