"""Fits transitions from an item to later ones: a Markov chain, and sequential rules.

Sequential rules weight a pair by one over its distance: Ludewig and Jannach, "Evaluation of
Session-based Recommendation Algorithms", User Modeling and User-Adapted Interaction 2018.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING
from serve_app.evaluation.training_matrix import Point, combinations, grouped, scaled_rows
from serve_app.next_items.next_questions import Prefixes
from serve_app.next_items.next_training import (
    Floats,
    NextRival,
    NextTraining,
    ScoreQuestions,
    prefix_matrix,
    with_ties_broken,
)


def count_transitions(
    training: NextTraining, unit: str, distance: int, half_life_days: float
) -> csr_array:
    """Sums transitions from each item to each counted one, shape (n_items, n_items).

    A pair of events of one visit counts one over its distance, from 1 up to ``distance``, and half
    as much per half-life of its age.
    """
    visits, shape = training.visits(unit), (training.n_items, training.n_items)
    decay = np.exp2(-training.ages_days / half_life_days)
    counts = csr_array(shape)
    for step in range(1, distance + 1):
        to = np.flatnonzero((visits[step:] == visits[:-step]) & training.counted[step:]) + step
        pairs = (training.items[to - step], training.items[to])
        counts = counts + csr_array((decay[to] / step, pairs), shape=shape)
    return csr_array(counts)


def _fit(training: NextTraining, points: Sequence[Point]) -> Iterator[ScoreQuestions]:
    for shared, members in grouped(points, "smoothing", "decay"):
        counts = count_transitions(
            training, shared["unit"], shared["distance"], shared["half_life_days"]
        )
        for point in members:
            yield _by_transitions(training, counts, point)


def _by_transitions(training: NextTraining, counts: csr_array, point: Point) -> ScoreQuestions:
    """Scores an item by its share of the transitions from each known item, latest first.

    ``smoothing`` transitions are added to each item, shared out by popularity. Without a known
    item, the first events of the visits decide, as the chain's initial distribution.
    """
    totals = counts.sum(axis=1) + point["smoothing"]
    shares = scaled_rows(counts, 1 / totals)
    smoothed = point["smoothing"] / totals
    initial = _initial_shares(training, point)

    def score(prefixes: Prefixes) -> NDArray[np.floating]:
        items = prefixes.of(point["unit"])
        weights = prefix_matrix(items, point["decay"], training.n_items)
        scores = (weights @ shares).toarray() + np.outer(weights @ smoothed, training.background)
        scores[items[:, 0] == MISSING] = initial
        return with_ties_broken(scores, training.background)

    return score


def _initial_shares(training: NextTraining, point: Point) -> Floats:
    firsts = (np.diff(training.visits(point["unit"]), prepend=-1) != 0) & training.counted
    counts = np.bincount(training.items[firsts], minlength=training.n_items)
    smoothed = counts + point["smoothing"] * training.background
    return np.asarray(smoothed / smoothed.sum())


MARKOV = NextRival(
    "markov",
    combinations(
        distance=(1,),
        half_life_days=(14, 90),
        smoothing=(1, 3, 10, 30, 100),
        # Only the latest item counts.
        decay=(0.0,),
    ),
    _fit,
)
SEQUENTIAL_RULES = NextRival(
    "sequential_rules",
    combinations(
        distance=(1, 2, 5, 10),
        half_life_days=(90,),
        smoothing=(1, 10, 50),
        decay=(0.0, 0.2, 0.4, 0.6, 0.8),
    ),
    _fit,
)
