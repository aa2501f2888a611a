"""Lists of the best items of each user, out of scores of all items."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import gather, owners
from serve_app.evaluation.baselines.neighbours import blocks
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.training_matrix import ScoreItems
from serve_app.measuring.lists import Lists, Wanted


def best_items(scorer: ScoreItems, split: EvaluationSplit, width: int) -> Lists:
    """The best of all items that are not excluded; ties go to the smaller number."""
    n_items = split.past.n_items
    width = min(width, n_items)
    lists = np.empty((len(split.users), width), np.int32)
    for block in blocks(len(split.users), n_items):
        scores = np.array(scorer(split.users[block]), np.float32)
        own, items = _of_block(split.excluded, block)
        scores[own, items] = -np.inf
        lists[block] = _top(scores, width)
    return lists


def _of_block(excluded: Wanted, block: slice) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    positions, offsets = gather(excluded.offsets, np.arange(block.start, block.stop))
    return owners(offsets), excluded.items[positions]


def _top(scores: NDArray[np.float32], width: int) -> Lists:
    least = np.partition(scores, -width, axis=1)[:, -width, None]
    above, equal = scores > least, scores == least
    room = width - above.sum(axis=1, keepdims=True)
    kept = above | (equal & (np.cumsum(equal, axis=1) <= room))
    items = np.nonzero(kept)[1].reshape(len(scores), width)
    values = np.take_along_axis(scores, items, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    ordered = np.take_along_axis(items, order, axis=1)
    allowed = np.take_along_axis(values, order, axis=1) > -np.inf
    return np.where(allowed, ordered, MISSING).astype(np.int32)


def fused(lists: Sequence[Lists], n_items: int, width: int, k: float) -> Lists:
    """
    Reciprocal rank fusion: each list gives an item 1 / (k + its place), and the sum orders.

    Cormack, Clarke and Buettcher, SIGIR 2009. Ties go to the smaller number.
    """
    n_users = len(lists[0])
    result = np.full((n_users, width), MISSING, np.int32)
    for block in blocks(n_users, n_items):
        length = block.stop - block.start
        sums = np.zeros((length, n_items), np.float32)
        for each in lists:
            part = each[block]
            own, place = np.nonzero(part != MISSING)
            sums[own, part[own, place]] += 1.0 / (k + place + 1)
        sums[sums == 0] = -np.inf
        top = _top(sums, min(width, n_items))
        result[block, : top.shape[1]] = top
    return result
