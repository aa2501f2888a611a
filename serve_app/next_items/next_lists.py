"""Lists the rivals of next items, tunes each one, and makes its lists for all questions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from serve_app.evaluation.best_lists import items_of_block, top_of_rows
from serve_app.evaluation.rivals import points_within
from serve_app.evaluation.training_matrix import Point, blocks
from serve_app.measuring.lists import Lists, hits_of
from serve_app.measuring.metrics import ndcg_at
from serve_app.next_items.next_protocol import NextSplit
from serve_app.next_items.next_questions import not_new, prefixes
from serve_app.next_items.next_rivals import (
    item_links,
    popularities,
    session_neighbours,
    transitions,
)
from serve_app.next_items.next_training import (
    NextRival,
    NextTraining,
    ScoreQuestions,
)

NEXT_RIVALS = (
    # The first one gives the others their background.
    popularities.NEXT_POPULARITY,
    popularities.CATEGORY_POPULARITY,
    transitions.MARKOV,
    transitions.SEQUENTIAL_RULES,
    item_links.NEXT_ITEM_KNN,
    session_neighbours.VMIS_KNN,
    item_links.NEXT_EASE,
)

TUNING_K = 20
"""Parameters are chosen by NDCG at this length."""


class NextSide(NamedTuple):
    """A split with what rivals are fitted on."""

    split: NextSplit
    training: NextTraining


class TunedLists(NamedTuple):
    """Lists of a rival at its chosen point; parameters as of ``RivalLists``."""

    lists: Lists
    point: Point
    parameters: Mapping[str, Any]


def next_lists(score: ScoreQuestions, split: NextSplit, width: int) -> Lists:
    """Lists the best items of each question, with repeats only the new ones if the label says so.

    Ties go to the smaller item number, which has more users.
    """
    width = min(width, split.n_items)
    lists = np.empty((len(split.questions), width), np.int32)
    for block in blocks(len(lists), split.n_items):
        # A copy, because the next line writes to it; float32 as in ``best_lists``.
        scores = np.array(score(prefixes(split.log, split.questions, block)), np.float32)
        if not split.label.repeats:
            excluded = not_new(split.log, split.questions, block)
            scores[items_of_block(excluded, slice(0, len(scores)))] = -np.inf
        lists[block] = top_of_rows(scores, width)
    return lists


def tuned_lists(
    rival: NextRival,
    outer: NextSide,
    inner: NextSide,
    width: int,
    max_points: int,
    seed: int,
    progress: Callable[[float], None],
) -> TunedLists:
    """Chooses the point with the largest NDCG on the inner split; lists at that point."""
    points = points_within(rival.points(inner.training), max_points, seed)
    ndcgs = []
    for score in rival.fit(inner.training, points):
        ndcgs.append(_mean_ndcg(next_lists(score, inner.split, TUNING_K), inner.split))
        progress(0.9 * len(ndcgs) / len(points))
    # argmax takes the first of equals: the choice does not depend on chance.
    best = int(np.argmax(ndcgs))
    [score] = rival.fit(outer.training, [points[best]])
    chosen = {**points[best], f"inner_ndcg@{TUNING_K}": ndcgs[best], "points": len(points)}
    return TunedLists(next_lists(score, outer.split, width), points[best], chosen)


def _mean_ndcg(lists: Lists, split: NextSplit) -> float:
    hits = hits_of(lists, split.wanted, split.n_items)
    return float(ndcg_at(hits, np.diff(split.wanted.offsets), TUNING_K).mean())
