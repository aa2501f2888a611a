"""Computes measures of ordered lists, for many lists at once.

Every formula of a measure lives here. ``hits`` has the best position first and may be narrower
than k. ``n_wanted`` counts a user's wanted items, listed or not. It is at least 1.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.ragged import Offsets, owners, pad
from serve_app.measuring.lists import Lists, incidence

_BLOCK_LISTS = 512


def ranked_hits(scores: NDArray[np.floating], hits: Mask, offsets: Offsets, width: int) -> Mask:
    """Orders the hits of each list by score; an item with the score NaN is not in its list.

    Args:
        scores: shape (total,).
        hits: shape (total,), marks the wanted items.
        offsets: shape (n + 1,), start of each list.

    Returns:
        Shape (n, width), best position first.
    """
    listed = np.isfinite(scores)
    # lexsort is stable: ties keep their order. Items without a score move to the end of their list.
    order = np.lexsort((-scores, ~listed, owners(offsets)))
    return pad((hits & listed)[order], offsets, width, False)


def ndcg_at(hits: Mask, n_wanted: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Normalised discounted cumulative gain of the first k positions, shape (n,).

    Every wanted item has gain 1; the ideal list begins with all of them (Jarvelin and Kekalainen,
    TOIS 2002).
    """
    # Rank i (from 1) is discounted by log2(i + 1): the first position counts fully.
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(n_wanted, k) - 1]
    gains: NDArray[np.float64] = hits[:, :k] @ discounts[: hits.shape[1]] / ideal
    return gains


def recall_at(hits: Mask, n_wanted: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """Hits among the first k over the most hits that k positions can hold, shape (n,).

    hits / min(k, n_wanted): a perfect list has recall 1 (Liang et al., WWW 2018).
    """
    return np.asarray(hits[:, :k].sum(axis=1) / np.minimum(n_wanted, k))


def reciprocal_rank(hits: Mask, n_wanted: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """One over the rank of the first hit among the first k; zero without a hit. Shape (n,)."""
    first = np.argmax(hits[:, :k], axis=1)
    # argmax is 0 for a list without a hit, too: the factor sets such a list to zero.
    ranks: NDArray[np.float64] = hits[:, :k].any(axis=1) / (first + 1.0)
    return ranks


def hit_rate(hits: Mask, n_wanted: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """One for a list with a hit among the first k, else zero. Shape (n,)."""
    return np.asarray(hits[:, :k].any(axis=1), np.float64)


OF_HITS: Mapping[str, Callable[[Mask, NDArray[np.int64], int], NDArray[np.float64]]] = {
    "ndcg": ndcg_at,
    "recall": recall_at,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}
"""Measures of a single list."""


def novelty(lists: Lists, n_buyers: NDArray[np.integer], n_users: int) -> NDArray[np.float64]:
    """Mean of -log2 of the share of users who had the item, in bits; zero for an empty list.

    Vargas and Castells, "Rank and Relevance in Novelty and Diversity Metrics", RecSys 2011.

    Args:
        n_buyers: shape (n_items,), users of each item.
    """
    # An item that nobody had counts as if one user had it: the logarithm stays finite.
    surprise = -np.log2(np.maximum(n_buyers, 1) / n_users)
    listed = lists != MISSING
    # MISSING is -1 and would take the last item: take item 0 instead, and drop it afterwards.
    total = np.where(listed, surprise[np.where(listed, lists, 0)], 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(listed.sum(axis=1), 1))


def diversity(lists: Lists, weights: csr_array) -> NDArray[np.float64]:
    """Mean over all pairs of a list of 1 - cosine of the items' buyers; zero below two items.

    Args:
        weights: shape (n_users, n_items).
    """
    buyers = csr_array(weights.T)
    norms = np.sqrt(buyers.power(2).sum(axis=1))
    buyers.data = (buyers.data / np.repeat(norms, np.diff(buyers.indptr))).astype(np.float32)
    inside = incidence(lists, weights.shape[1])
    n = np.diff(inside.indptr).astype(np.float64)
    squares = np.empty(len(lists))
    # |sum of unit vectors|² = n + the sum over ordered pairs of their cosine: no pair is computed.
    # Blocks bound the memory: a sum of buyers is nearly dense.
    for start in range(0, len(lists), _BLOCK_LISTS):
        sums = inside[start : start + _BLOCK_LISTS] @ buyers
        squares[start : start + _BLOCK_LISTS] = sums.power(2).sum(axis=1)
    pairs = n * (n - 1)
    similarity = np.ones(len(n))
    np.divide(squares - n, pairs, out=similarity, where=pairs > 0)
    # float32 rounding can make a similarity exceed 1.
    return np.maximum(1 - similarity, 0)


def coverage(counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the items that are in any list.

    Args:
        counts: shape (…, n_items), number of lists that hold each item.
    """
    return np.asarray((counts > 0).mean(axis=-1), np.float64)


def gini(counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """Inequality of the items: 0 if all are listed equally often, near 1 if one fills every list.

    Args:
        counts: shape (…, n_items), number of lists that hold each item.
    """
    n = counts.shape[-1]
    # With counts ascending, the weight of rank i is 2i - n - 1: no pair of items is compared.
    ranks = 2 * np.arange(1, n + 1) - n - 1
    totals = np.maximum(counts.sum(axis=-1), 1)
    return np.asarray((np.sort(counts, axis=-1) * ranks).sum(axis=-1) / (n * totals), np.float64)


OF_CATALOGUE: Mapping[str, Callable[[NDArray[np.floating]], NDArray[np.float64]]] = {
    "coverage": coverage,
    "gini": gini,
}
"""Measures of all lists together."""
