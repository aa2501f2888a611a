"""Makes each user's list of the best items, from scores of all items or by fusing lists."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING
from serve_app.arrays.ragged import gather, owners
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.training_matrix import ScoreItems, blocks
from serve_app.measuring.lists import Lists, Wanted


def best_items(score: ScoreItems, split: EvaluationSplit, width: int) -> Lists:
    """Lists the best items that are not excluded; ties go to the smaller item number."""
    n_items = split.training.n_items
    width = min(width, n_items)
    lists = np.empty((len(split.users), width), np.int32)
    for block in blocks(len(split.users), n_items):
        # A copy, because the next lines write to it. float32 for every rival: float64 would tell
        # scores apart that differ by rounding alone, and ties would follow chance.
        scores = np.array(score(split.users[block]), np.float32)
        users, items = items_of_block(split.excluded, block)
        scores[users, items] = -np.inf
        lists[block] = top_of_rows(scores, width)
    return lists


def items_of_block(excluded: Wanted, block: slice) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    positions, offsets = gather(excluded.offsets, np.arange(block.start, block.stop))
    return owners(offsets), excluded.items[positions]


def top_of_rows(scores: NDArray[np.float32], width: int) -> Lists:
    """Columns of the largest scores, best first; ``MISSING`` for a score of -inf."""
    # Partition leaves ties in any order. Scores equal to the least one fill the room from the left:
    # each row keeps exactly ``width`` columns, and the smaller numbers among equals.
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


def fuse(lists: Sequence[Lists], n_items: int, width: int, k: float) -> Lists:
    """Fuses lists by reciprocal rank: an item scores the sum of 1 / (k + rank) over the lists.

    Ties go to the smaller item number. Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion
    outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.
    """
    n_users = len(lists[0])
    result = np.full((n_users, width), MISSING, np.int32)
    for block in blocks(n_users, n_items):
        sums = np.zeros((block.stop - block.start, n_items), np.float32)
        for source in lists:
            part = source[block]
            users, positions = np.nonzero(part != MISSING)
            # An item is in a list at most once, hence no index repeats and += adds every term.
            sums[users, part[users, positions]] += 1.0 / (k + positions + 1)
        sums[sums == 0] = -np.inf
        top = top_of_rows(sums, min(width, n_items))
        result[block, : top.shape[1]] = top
    return result
