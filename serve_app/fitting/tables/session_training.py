"""Trains the model of the next item in a session (``recommending.candidates.session_model``)."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import softmax

from serve_app.arrays.columns import Rows
from serve_app.arrays.grouping import in_sorted, matches
from serve_app.arrays.ragged import first_of_runs, offsets_of, owners, positions_within, spans
from serve_app.domain.candidate_tables import N_CONTEXTS
from serve_app.domain.interactions import InteractionLog
from serve_app.domain.sessions import Sessions, session_numbers
from serve_app.fitting.tables.adam import Adam, Floats
from serve_app.fitting.tables.tables_config import MIN_SESSION_STEPS, TablesConfig
from serve_app.recommending.candidates.session_model import MAX_EVENTS, contexts_of

_BATCH = 256
"""Steps of an update."""

_N_ROUNDS, _MAX_UPDATES = 20, 2_500
"""The training ends after so many rounds over all steps, or earlier after so many updates."""

_RATE = 4e-3
_WARM_UP = 0.1
"""Share of the updates in which the learning rate rises."""

_DROPOUT = 0.5
_N_DRAWN = 250
"""Items that the next item is told from, besides those of the other steps of the update."""

_SPREAD = 0.1
"""Standard deviation of the vectors of next items before the training."""

_SEED = 0


class SessionVectors(NamedTuple):
    """Fields of ``domain.candidate_tables.CandidateTables``."""

    session_items: Rows
    context_vectors: Floats
    next_vectors: Floats
    next_biases: Floats


class _Steps(NamedTuple):
    """Steps from a session's earlier events to its next item.

    Attributes:
        contexts: shape (n, n_items * N_CONTEXTS), weights of the vectors that make each session's.
        targets: shape (n,), int64, number of the next item.
        items: shape (n_items,), int32, ascending, rows of the items that the model knows.
    """

    contexts: csr_array
    targets: NDArray[np.int64]
    items: Rows


def train_session_model(log: InteractionLog, n_rows: int, config: TablesConfig) -> SessionVectors:
    """Trains the vectors of the items with the most steps.

    It knows no item where steps are fewer than ``MIN_SESSION_STEPS``.
    """
    steps, width = _find_steps(log, n_rows, config), config.session_dim
    contexts, following, biases = _train(steps, width)
    return SessionVectors(steps.items, contexts.reshape(-1, N_CONTEXTS, width), following, biases)


def _find_steps(log: InteractionLog, n_rows: int, config: TablesConfig) -> _Steps:
    """The latest steps to one of the items that most steps begin or end at.

    All events of a later moment follow on those of earlier moments. They do not follow each other:
    the lines of an invoice have no order. Fewer than ``MIN_SESSION_STEPS`` count as none.
    """
    numbers = session_numbers(log.users, log.at)
    is_later = (np.diff(numbers, prepend=-1) != 0) | (np.diff(log.at, prepend=-np.inf) > 0)
    moments = first_of_runs(is_later)
    before = positions_within(offsets_of(np.bincount(numbers)))[moments]
    targets = np.flatnonzero(before > 0)
    targets = targets[np.argsort(log.at[targets], kind="stable")[-config.max_session_steps :]]
    ends = np.concatenate((log.rows[moments[targets] - 1], log.rows[targets]))
    n_times = np.bincount(ends, minlength=n_rows)
    items = np.sort(np.argsort(-n_times, kind="stable")[: config.max_session_items])
    items = items[n_times[items] > 0]
    targets = targets[in_sorted(log.rows[targets], items)]
    if len(targets) < MIN_SESSION_STEPS:
        targets, items = targets[:0], items[:0]
    lengths = np.minimum(before[targets], MAX_EVENTS)
    positions, offsets = spans(moments[targets] - lengths, lengths)
    contexts = contexts_of(Sessions(log.rows[positions], log.at[positions], offsets))
    known, at = matches(contexts.rows, items)
    cells = at * N_CONTEXTS + contexts.numbers[known]
    matrix = csr_array(
        (contexts.weights[known], (owners(contexts.offsets)[known], cells)),
        shape=(len(targets), len(items) * N_CONTEXTS),
    )
    return _Steps(matrix, np.searchsorted(items, log.rows[targets]), items.astype(np.int32))


def _train(steps: _Steps, n_dimensions: int) -> tuple[Floats, Floats, Floats]:
    """Minimises the cross entropy of the next item among all, by Adam with dropout.

    Dropout (Srivastava et al., JMLR 2014) keeps the vectors from learning rare steps by heart.

    Returns:
        Vectors of the contexts, shape (n_items * N_CONTEXTS, n_dimensions), vectors of the next
        items, shape (n_items, n_dimensions), and their biases, shape (n_items,).
    """
    random = np.random.default_rng(_SEED)
    n_steps, n_items = len(steps.targets), len(steps.items)
    # An item that nothing follows keeps its vectors of contexts: they must say nothing.
    contexts = np.zeros((n_items * N_CONTEXTS, n_dimensions), np.float32)
    following = random.normal(0, _SPREAD, (n_items, n_dimensions)).astype(np.float32)
    biases = np.zeros(n_items, np.float32)
    shares = np.bincount(steps.targets, minlength=n_items) / n_steps
    of_contexts, of_following, of_biases = Adam(contexts), Adam(following), Adam(biases)
    n_updates = min(_N_ROUNDS * -(-n_steps // _BATCH), _MAX_UPDATES)
    for update, batch in enumerate(islice(_batches(n_steps, random), n_updates)):
        rate, targets = _rate(update / n_updates), steps.targets[batch]
        cells, matrix = _used_columns(steps.contexts[batch])
        kept = random.random((len(batch), n_dimensions), np.float32) >= _DROPOUT
        mask = kept / np.float32(1 - _DROPOUT)
        sessions = (matrix @ contexts[cells]) * mask
        drawn, corrections = _draw(targets, shares, random)
        scores = sessions @ following[drawn].T + biases[drawn] - corrections
        errors = softmax(scores, axis=1)
        errors[np.arange(len(batch)), np.searchsorted(drawn, targets)] -= 1
        errors /= np.float32(len(batch))
        of_contexts.update(cells, matrix.T @ ((errors @ following[drawn]) * mask), rate)
        of_following.update(drawn, errors.T @ sessions, rate)
        of_biases.update(drawn, errors.sum(axis=0), rate)
    return contexts, following, biases


def _batches(n_steps: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Numbers of steps, all in a new order in each round."""
    while True:
        order = random.permutation(n_steps)
        yield from (order[start : start + _BATCH] for start in range(0, n_steps, _BATCH))


def _used_columns(matrix: csr_array) -> tuple[NDArray[np.int64], csr_array]:
    """The columns of a matrix that are not empty, and the matrix of these alone."""
    cells, numbers = np.unique(matrix.indices, return_inverse=True)
    shape = (matrix.shape[0], len(cells))
    return cells, csr_array((matrix.data, numbers, matrix.indptr), shape=shape)


def _draw(
    targets: NDArray[np.int64], shares: NDArray[np.float64], random: np.random.Generator
) -> tuple[NDArray[np.int64], Floats]:
    """Items to tell the targets from: all, or where these are many the targets and others.

    The logarithm of the probability to be drawn is subtracted from the score of an item. The
    softmax over those that are drawn then estimates the softmax over all (Yi et al.,
    "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019).

    Args:
        shares: shape (n_items,), of each item in all targets.

    Returns:
        The items, ascending, and the logarithms; shape (n,) each.
    """
    n_items = len(shares)
    if n_items <= _N_DRAWN:
        return np.arange(n_items), np.zeros(n_items, np.float32)
    others = random.choice(n_items, _N_DRAWN, replace=False)
    drawn = np.union1d(targets, others)
    left_out = (1 - shares[drawn]) ** len(targets) * (1 - _N_DRAWN / n_items)
    return drawn, np.log(1 - left_out).astype(np.float32)


def _rate(done: float) -> float:
    """The learning rate rises in the first part of the training, and falls by a cosine after it."""
    if done < _WARM_UP:
        return _RATE * (done / _WARM_UP)
    return float(_RATE * (1 + np.cos(np.pi * (done - _WARM_UP) / (1 - _WARM_UP))) / 2)
