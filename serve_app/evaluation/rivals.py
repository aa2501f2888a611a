"""Lists the rivals of the served system, tunes each one, and makes its lists at the best point."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from serve_app.evaluation.baselines import als, ease, knn, popularity, rp3beta
from serve_app.evaluation.best_lists import best_items, fuse
from serve_app.evaluation.list_measures import ndcgs
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.training_matrix import Point, Rival
from serve_app.measuring.lists import Lists

RIVALS = (
    popularity.POPULARITY,
    popularity.DECAYED_POPULARITY,
    knn.USER_KNN,
    knn.ITEM_KNN_COSINE,
    knn.ITEM_KNN_BM25,
    rp3beta.RP3BETA,
    als.ALS,
    ease.EASE,
    knn.USER_KNN_TIME,
    rp3beta.RP3BETA_TIME,
    ease.EASE_TIME,
)

FUSED_SOURCES = ("decayed_popularity", "user_knn_time", "rp3beta_time", "ease_time")
"""Names of the rivals whose lists are fused by reciprocal rank."""

FUSION_KS = (5.0, 10.0, 20.0, 60.0)
_FUSION_DEPTH = 200

TUNING_K = 10
"""Parameters are chosen by NDCG at this length."""


class RivalLists(NamedTuple):
    """The lists of a rival at its chosen point.

    Attributes:
        inner_lists: on the inner split; only for ``FUSED_SOURCES``, else ``None``.
        parameters: the chosen point, its NDCG on the inner split and the number of points tried.
        seconds: duration of tuning and listing.
    """

    lists: Lists
    inner_lists: Lists | None
    parameters: Mapping[str, Any]
    seconds: float = 0.0


Keep = Callable[[str, Callable[[], RivalLists]], RivalLists]
"""Takes a rival's name and a function that computes its lists; may return kept lists instead."""


class Tuned(NamedTuple):
    """The chosen point. ``ndcg`` is its NDCG on the inner split.

    ``None`` if the grid has one point, which is not measured.
    """

    point: Point
    ndcg: float | None
    n_points: int


def make_rival_lists(
    rival: Rival,
    split: EvaluationSplit,
    inner: EvaluationSplit,
    width: int,
    max_points: int,
    seed: int,
    progress: Callable[[float], None],
) -> RivalLists:
    """Tunes a rival on the inner split; lists its best items, at least ``width``, at that point."""
    tuned = tune(rival, inner, max_points, seed, lambda share: progress(0.9 * share))

    def lists_on(part: EvaluationSplit) -> Lists:
        [score] = rival.fit(part.training, [tuned.point])
        return best_items(score, part, max(_FUSION_DEPTH, width))

    return RivalLists(
        lists_on(split),
        lists_on(inner) if rival.name in FUSED_SOURCES else None,
        {**tuned.point, f"inner_ndcg@{TUNING_K}": tuned.ndcg, "points": tuned.n_points},
    )


def tune(
    rival: Rival,
    inner: EvaluationSplit,
    max_points: int,
    seed: int,
    progress: Callable[[float], None],
) -> Tuned:
    """Chooses the point with the largest NDCG@10 on the inner split."""
    points = points_within(rival.grid, max_points, seed)
    if len(points) == 1:
        return Tuned(points[0], None, 0)
    scores = []
    for score in rival.fit(inner.training, points):
        scores.append(_mean_ndcg(best_items(score, inner, TUNING_K), inner))
        progress(len(scores) / len(points))
    # argmax takes the first of equals: the choice does not depend on chance.
    best = int(np.argmax(scores))
    return Tuned(points[best], scores[best], len(points))


def points_within(grid: tuple[Point, ...], max_points: int, seed: int) -> tuple[Point, ...]:
    """Samples at most ``max_points`` of the grid, in its order."""
    if len(grid) <= max_points:
        return grid
    kept = np.random.default_rng(seed).choice(len(grid), max_points, replace=False)
    # Sorted: neighbouring points share computations.
    return tuple(grid[i] for i in np.sort(kept))


def best_fusion_constant(lists: Sequence[Lists], inner: EvaluationSplit) -> tuple[float, float]:
    """Chooses the k of reciprocal rank fusion with the largest NDCG@10; returns it and the NDCG."""
    n_items = inner.training.n_items
    scores = [_mean_ndcg(fuse(lists, n_items, TUNING_K, k), inner) for k in FUSION_KS]
    best = int(np.argmax(scores))
    return FUSION_KS[best], scores[best]


def _mean_ndcg(lists: Lists, inner: EvaluationSplit) -> float:
    return float(ndcgs(lists, inner, TUNING_K).mean())
