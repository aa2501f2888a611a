"""Fits VMIS-kNN: items of the visits that share the latest items with this one.

Kersbergen, Sprangers and Schelter, "Serenade: Low-Latency Session-Based Recommendation in
e-Commerce at Scale", SIGMOD 2022, after the VS-kNN of Ludewig and Jannach, 2018.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import best_of_each, offsets_of
from serve_app.evaluation.training_matrix import Point, blocks, combinations, with_values
from serve_app.next_items.next_questions import Items, Prefixes
from serve_app.next_items.next_training import (
    Floats,
    NextRival,
    NextTraining,
    ScoreQuestions,
    with_ties_broken,
)

_MATCH_SPAN = 10
"""A neighbour counts nothing if its latest shared item lies this many events back."""

_DIGITS = 4
_MOST_VISITS = 50_000
"""Visits that are searched, the latest. It bounds the time of large shops."""


class _Visits(NamedTuple):
    """Visits of the training, the latest first.

    Attributes:
        members: shape (n_items, n_visits), ones for the items of each visit.
        votes: shape (n_visits, n_items), ones for its counted items, times their inverse frequency.
    """

    members: csr_array
    votes: csr_array


def _fit(training: NextTraining, points: Sequence[Point]) -> Iterator[ScoreQuestions]:
    for point in points:
        yield _by_neighbours(training, _visits(training, point), point)


def _visits(training: NextTraining, point: Point) -> _Visits:
    _, visits = np.unique(training.visits(point["unit"]), return_inverse=True)
    youngest = np.full(int(visits.max(initial=-1)) + 1, np.inf)
    np.minimum.at(youngest, visits, training.ages_days)
    order = np.argsort(youngest, kind="stable")[:_MOST_VISITS]
    members = training.matrix(point["unit"])[order]
    n_visits = np.bincount(members.indices, minlength=training.n_items)
    rarity = np.log(len(order) / np.maximum(n_visits, 1))
    votes = training.matrix(point["unit"], training.counted)[order]
    votes = with_values(votes, (votes.data * rarity[votes.indices]).astype(np.float32))
    return _Visits(csr_array(members.T), csr_array(votes))


def _by_neighbours(training: NextTraining, visits: _Visits, point: Point) -> ScoreQuestions:
    def score(prefixes: Prefixes) -> NDArray[np.floating]:
        items = prefixes.of(point["unit"])
        scores = np.empty((len(items), training.n_items), np.float32)
        for block in blocks(len(items), visits.members.shape[1]):
            scores[block] = _votes(items[block], visits, point)
        return with_ties_broken(scores, training.background)

    return score


def _votes(items: Items, visits: _Visits, point: Point) -> NDArray[np.float32]:
    """Sums the neighbours' votes, each times its similarity and the weight of its match."""
    n_items = visits.members.shape[0]
    items = items[:, : point["latest"]]
    known = latest_occurrences(items)
    similar = (_weighted(items, known, _decayed(items, point), n_items) @ visits.members).toarray()
    neighbours = _nearest(similar, point["m"], point["k"])
    # Half as much for each event further back: the largest power in a sum tells the latest item.
    halves = np.broadcast_to(np.exp2(-np.arange(items.shape[1])), items.shape)
    matches = (_weighted(items, known, halves, n_items) @ visits.members).toarray()
    rows = np.repeat(np.arange(len(items)), np.diff(neighbours.indptr))
    back = 1 - np.frexp(matches[rows, neighbours.indices])[1]
    match = np.maximum(1 - back / _MATCH_SPAN, 0).astype(np.float32)
    weighted = with_values(neighbours, neighbours.data * match)
    return np.asarray((weighted @ visits.votes).toarray(), np.float32)


def _nearest(similar: NDArray[np.float32], m: int, k: int) -> csr_array:
    """Similarities of the k most similar of the m latest visits that share an item."""
    shares = similar > 0
    shares &= np.cumsum(shares, axis=1, dtype=np.int32) <= m
    rows, visits = np.nonzero(shares)
    # Rounded: sums that differ by rounding alone are ties.
    values = similar[rows, visits].round(_DIGITS)
    offsets = offsets_of(np.bincount(rows, minlength=len(similar)))
    # Equal values keep their order: of equally similar visits the latest are kept.
    best, kept = best_of_each(values, offsets, k)
    return csr_array((values[best], visits[best], kept), shape=similar.shape)


def latest_occurrences(items: Items) -> NDArray[np.bool_]:
    """Mask of the first place of each item in its row, shape of ``items``."""
    n = int(items.max(initial=0)) + 1
    keys = np.arange(len(items))[:, None] * n + items
    known = np.flatnonzero(items != MISSING)
    _, first = np.unique(keys.ravel()[known], return_index=True)
    mask = np.zeros(items.size, bool)
    mask[known[first]] = True
    return mask.reshape(items.shape)


def _decayed(items: Items, point: Point) -> Floats:
    """One for the latest item, falling to zero behind the oldest; ``decay`` is the power."""
    lengths = np.maximum((items != MISSING).sum(axis=1, keepdims=True), 1)
    shares = 1 - np.arange(items.shape[1]) / lengths
    return np.asarray(np.maximum(shares, 0) ** point["decay"])


def _weighted(items: Items, known: NDArray[np.bool_], weights: Floats, n_items: int) -> csr_array:
    rows, columns = np.nonzero(known)
    values = weights[rows, columns].astype(np.float32)
    return csr_array((values, (rows, items[rows, columns])), shape=(len(items), n_items))


VMIS_KNN = NextRival(
    "vmis_knn",
    # ``latest``: known items that are looked at, as the paper bounds a session.
    combinations(latest=(2, 5, 10), decay=(1, 2, 4), m=(500, 5_000), k=(200, 1_000)),
    _fit,
)
