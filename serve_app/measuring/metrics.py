"""How good ordered lists are, for many lists at once."""

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import Mask
from serve_app.arrays.ragged import Offsets, owners, pad


def ranked_hits(scores: NDArray[np.floating], hits: Mask, offsets: Offsets, width: int) -> Mask:
    """
    Which places of each list, ordered by score, hold what was wanted.

    Ties keep their order. An item with the score NaN is not in the list.

    Args:
        scores: shape (total,).
        hits: shape (total,), what was wanted.
        offsets: shape (n + 1,), where each list starts.

    Returns:
        Shape (n, width), best place first.
    """
    listed = np.isfinite(scores)
    order = np.lexsort((-scores, ~listed, owners(offsets)))
    return pad((hits & listed)[order], offsets, width, False)


def ndcg_at(hits: Mask, n_relevant: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """
    Normalised discounted cumulative gain of the first k places, shape (n,).

    Every wanted item has gain 1; the ideal list begins with all of them (Jarvelin and Kekalainen,
    TOIS 2002).

    Args:
        hits: shape (n, at least k), best place first.
        n_relevant: shape (n,), how many items were wanted, at least 1, in the list or not.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(n_relevant, k) - 1]
    gains: NDArray[np.float64] = hits[:, :k] @ discounts / ideal
    return gains


def recall_at(hits: Mask, n_relevant: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Share of the wanted items among the first k places, shape (n,); arguments as ``ndcg_at``."""
    shares: NDArray[np.float64] = hits[:, :k].sum(axis=1) / n_relevant
    return shares
