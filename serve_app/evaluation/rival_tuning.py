"""Chooses the parameters of each model inside the past, by the protocol of the test itself."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from serve_app.evaluation.lists import best_items
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.training_matrix import Rival
from serve_app.measuring.lists import hits_of
from serve_app.measuring.metrics import ndcg_at

K = 10
"""Parameters are chosen by NDCG at this length."""


class Tuned(NamedTuple):
    """
    Attributes:
        point: the chosen parameters.
        ndcg: on the inner split; ``None`` where there was nothing to choose.
        n_points: how many were tried.
    """

    point: dict[str, Any]
    ndcg: float | None
    n_points: int


def tune(
    model: Rival,
    inner: EvaluationSplit,
    max_points: int,
    seed: int,
    progress: Callable[[float], None],
) -> Tuned:
    """
    The point of the grid with the largest NDCG@10; of equals, the earlier.

    Args:
        inner: a split of the past.
        max_points: of larger grids, as many are tried, chosen at random.
    """
    points = within_budget(model.grid, max_points, seed)
    if len(points) == 1:
        return Tuned(points[0], None, 0)
    n_wanted = np.diff(inner.wanted.offsets)
    scores = []
    for scorer in model.fits(inner.past, points):
        hits = hits_of(best_items(scorer, inner, K), inner.wanted, inner.past.n_items)
        scores.append(float(ndcg_at(hits, n_wanted, K).mean()))
        progress(len(scores) / len(points))
    best = int(np.argmax(scores))
    return Tuned(points[best], scores[best], len(points))


def within_budget(
    grid: tuple[dict[str, Any], ...], max_points: int, seed: int
) -> tuple[dict[str, Any], ...]:
    if len(grid) <= max_points:
        return grid
    kept = np.random.default_rng(seed).choice(len(grid), max_points, replace=False)
    return tuple(grid[i] for i in np.sort(kept))
