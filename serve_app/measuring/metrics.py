"""How good ordered lists are, for many lists at once."""

from collections.abc import Callable, Mapping

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
        hits: shape (n, width), best place first; lists may be shorter than k.
        n_relevant: shape (n,), how many items were wanted, at least 1, in the list or not.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(n_relevant, k) - 1]
    gains: NDArray[np.float64] = hits[:, :k] @ discounts[: hits.shape[1]] / ideal
    return gains


def recall_at(hits: Mask, n_relevant: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """
    Wanted items among the first k, as a share of those that k places can hold, shape (n,).

    hits / min(k, wanted): a perfect list has recall 1 (Liang et al., WWW 2018). Arguments as for
    ``ndcg_at``.
    """
    return np.asarray(hits[:, :k].sum(axis=1) / np.minimum(n_relevant, k))


def reciprocal_rank(hits: Mask, n_wanted: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """One over the place of the first wanted item among the first k, zero without one."""
    first = np.argmax(hits[:, :k], axis=1)
    ranks: NDArray[np.float64] = hits[:, :k].any(axis=1) / (first + 1.0)
    return ranks


def hit_rate(hits: Mask, n_wanted: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """One for a user with any wanted item among the first k."""
    return np.asarray(hits[:, :k].any(axis=1), np.float64)


def coverage(counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """
    Share of the items that anybody is recommended.

    Args:
        counts: shape (…, n_items), how many lists hold each item.
    """
    return np.asarray((counts > 0).mean(axis=-1), np.float64)


def gini(counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """
    How unequally items are recommended: 0 all alike, near 1 when one item has all places.

    Args:
        counts: shape (…, n_items).
    """
    n = counts.shape[-1]
    ranks = 2 * np.arange(1, n + 1) - n - 1
    totals = np.maximum(counts.sum(axis=-1), 1)
    return np.asarray((np.sort(counts, axis=-1) * ranks).sum(axis=-1) / (n * totals), np.float64)


OF_CATALOGUE: Mapping[str, Callable[[NDArray[np.floating]], NDArray[np.float64]]] = {
    "coverage": coverage,
    "gini": gini,
}
