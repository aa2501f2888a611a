"""The lists of the models that recommendations are compared with, each at its best parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from serve_app.evaluation.lists import best_items, fused
from serve_app.evaluation.models import FUSED_SOURCES
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.rival_tuning import K, tune
from serve_app.evaluation.training_matrix import Rival
from serve_app.measuring.lists import Lists, hits_of
from serve_app.measuring.metrics import ndcg_at

FUSION_KS = (5.0, 10.0, 20.0, 60.0)
_FUSION_DEPTH = 200


class Baseline(NamedTuple):
    """
    Attributes:
        inner_lists: on the inner split, of the models that are fused.
        parameters: what was chosen, and how good it was on the inner split.
        seconds: that it took.
    """

    lists: Lists
    inner_lists: Lists | None
    parameters: Mapping[str, Any]
    seconds: float = 0.0


Keep = Callable[[str, Callable[[], Baseline]], Baseline]
"""Given a model's name and how to compute its result: computes it, or remembers it."""


def baseline_of(
    model: Rival,
    split: EvaluationSplit,
    inner: EvaluationSplit,
    width: int,
    max_points: int,
    seed: int,
    progress: Callable[[float], None],
) -> Baseline:
    """
    Args:
        inner: the split that parameters are chosen on.
        width: of the lists, at least.
    """
    tuned = tune(model, inner, max_points, seed, lambda share: progress(0.9 * share))

    def lists_on(part: EvaluationSplit) -> Lists:
        [scorer] = model.fits(part.past, [tuned.point])
        return best_items(scorer, part, max(_FUSION_DEPTH, width))

    return Baseline(
        lists_on(split),
        lists_on(inner) if model.name in FUSED_SOURCES else None,
        {**tuned.point, "inner_ndcg@10": tuned.ndcg, "points": tuned.n_points},
    )


def best_constant(lists: Sequence[Lists], inner: EvaluationSplit) -> tuple[float, float]:
    """The constant of reciprocal rank fusion with the largest NDCG@10, and that NDCG."""
    n_wanted, n_items = np.diff(inner.wanted.offsets), inner.past.n_items
    scores = []
    for k in FUSION_KS:
        hits = hits_of(fused(lists, n_items, K, k), inner.wanted, n_items)
        scores.append(float(ndcg_at(hits, n_wanted, K).mean()))
    best = int(np.argmax(scores))
    return FUSION_KS[best], scores[best]
