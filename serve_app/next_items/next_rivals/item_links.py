"""Scores items by their links to the known ones: cosine neighbours, and EASE.

Both are fitted on visits as if these were users. Recent items of a prefix weigh more.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from serve_app.evaluation.baselines.ease import MAX_ITEMS, item_weights
from serve_app.evaluation.baselines.knn import keep_largest
from serve_app.evaluation.training_matrix import Point, combinations, grouped
from serve_app.next_items.next_questions import Prefixes
from serve_app.next_items.next_training import (
    NextRival,
    NextTraining,
    ScoreQuestions,
    prefix_matrix,
    with_ties_broken,
)

Links = NDArray[np.floating]
"""Weight of each known item for each other one, shape (n_items, n_items), zero diagonal."""


def cosines(training: NextTraining, unit: str, shrinkage: float) -> Links:
    """Cosine of the visits of each two items; ``shrinkage`` is added to the product of norms."""
    visits = training.matrix(unit)
    together = (visits.T @ visits).toarray().astype(np.float32)
    norms = np.sqrt(together.diagonal())
    links: Links = together / (np.outer(norms, norms) + shrinkage + 1e-12)
    np.fill_diagonal(links, 0)
    return links


def _fit_neighbours(training: NextTraining, points: Sequence[Point]) -> Iterator[ScoreQuestions]:
    for shared, members in grouped(points, "n_neighbours", "own", "decay"):
        links = cosines(training, shared["unit"], shared["shrinkage"])
        for point in members:
            yield _by_links(training, keep_largest(links, point["n_neighbours"]), point)


def _fit_ease(training: NextTraining, points: Sequence[Point]) -> Iterator[ScoreQuestions]:
    # The inverse is the expensive part: it is computed once per regularization.
    for shared, members in grouped(points, "own", "decay"):
        links = item_weights(training.matrix(shared["unit"]), shared["regularization"])
        for point in members:
            yield _by_links(training, links, point)


def _by_links(training: NextTraining, links: Links, point: Point) -> ScoreQuestions:
    """Sums the links of the known items; ``own`` is the link of an item to itself."""

    def score(prefixes: Prefixes) -> NDArray[np.floating]:
        items = prefixes.of(point["unit"])
        known = prefix_matrix(items, point["decay"], training.n_items)
        scores = known @ links + point["own"] * known.toarray()
        return with_ties_broken(scores, training.background)

    return score


_DECAYS = (0.05, 0.2, 0.5, 0.8)
_OWN = (0.0, 0.1, 0.3)

NEXT_ITEM_KNN = NextRival(
    "item_knn",
    combinations(shrinkage=(0, 20), n_neighbours=(50, 1_000), own=_OWN, decay=_DECAYS),
    _fit_neighbours,
    max_items=MAX_ITEMS,
)
NEXT_EASE = NextRival(
    "ease",
    combinations(regularization=(50, 200, 1_000, 5_000), own=_OWN, decay=_DECAYS),
    _fit_ease,
    max_items=MAX_ITEMS,
)
