"""How good lists are: for each user, and for the catalogue as a whole.

Lists are ranked out of all items, so nothing depends on a sample of items to compare with.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING, Mask
from serve_app.arrays.grouping import in_sorted
from serve_app.arrays.ragged import owners
from serve_app.evaluation.lists import Lists, incidence
from serve_app.evaluation.protocol import Split, Wanted
from serve_app.evaluation.training_matrix import Past
from serve_app.measuring.metrics import ndcg_at

PerUser = Mapping[str, NDArray[np.float64]]
"""By measure, shape (n_users,)."""


def hits_of(lists: Lists, wanted: Wanted, n_items: int) -> Mask:
    """Which places of the lists hold what was wanted, shape of the lists."""
    keys = np.arange(len(lists))[:, None] * n_items + lists
    known = owners(wanted.offsets) * n_items + wanted.items
    found = in_sorted(keys.ravel(), known).reshape(lists.shape)
    return np.asarray(found & (lists != MISSING), bool)


def recall(hits: Mask, n_wanted: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Wanted items among the first k, of as many as there could be: hits / min(k, wanted)."""
    return np.asarray(hits[:, :k].sum(axis=1) / np.minimum(n_wanted, k))


def ndcg(hits: Mask, n_wanted: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    padded = np.pad(hits, ((0, 0), (0, max(0, k - hits.shape[1]))))
    return ndcg_at(padded, n_wanted, k)


def reciprocal_rank(hits: Mask, n_wanted: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """One over the place of the first wanted item among the first k, zero without one."""
    first = np.argmax(hits[:, :k], axis=1)
    ranks: NDArray[np.float64] = hits[:, :k].any(axis=1) / (first + 1.0)
    return ranks


def hit_rate(hits: Mask, n_wanted: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """One for a user with any wanted item among the first k."""
    return np.asarray(hits[:, :k].any(axis=1), np.float64)


_OF_HITS: Mapping[str, Callable[[Mask, NDArray[np.int64], int], NDArray[np.float64]]] = {
    "ndcg": ndcg,
    "recall": recall,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def measured(lists: Lists, split: Split, ks: tuple[int, ...]) -> PerUser:
    """Every measure of single lists, by names such as ``ndcg@10``."""
    hits = hits_of(lists, split.wanted, split.past.n_items)
    n_wanted = np.diff(split.wanted.offsets)
    found = {
        f"{name}@{k}": measure(hits, n_wanted, k) for k in ks for name, measure in _OF_HITS.items()
    }
    for k in ks:
        found[f"novelty@{k}"] = novelty(lists[:, :k], split.past)
        found[f"diversity@{k}"] = diversity(lists[:, :k], split.past)
    return found


def novelty(lists: Lists, past: Past) -> NDArray[np.float64]:
    """
    Mean of -log2 of the share of users who had the item, in bits; zero for an empty list.

    Vargas and Castells, "Rank and Relevance in Novelty and Diversity Metrics", RecSys 2011.
    """
    surprise = -np.log2(np.maximum(past.n_buyers, 1) / past.n_users)
    listed = lists != MISSING
    total = np.where(listed, surprise[np.where(listed, lists, 0)], 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(listed.sum(axis=1), 1))


def diversity(lists: Lists, past: Past) -> NDArray[np.float64]:
    """
    Mean over the pairs of a list of 1 - cosine of the items' buyers; zero for fewer than two items.

    The sum over the pairs comes from the squared length of the sum of the items' unit vectors.
    """
    buyers = csr_array(past.matrix.T)
    norms = np.sqrt(buyers.power(2).sum(axis=1))
    buyers.data = (buyers.data / np.repeat(norms, np.diff(buyers.indptr))).astype(np.float32)
    inside = incidence(lists, past.n_items)
    n = np.diff(inside.indptr).astype(np.float64)
    squares = np.empty(len(lists))
    for start in range(0, len(lists), 512):
        sums = inside[start : start + 512] @ buyers
        squares[start : start + 512] = sums.power(2).sum(axis=1)
    pairs = n * (n - 1)
    similarity = np.ones(len(n))
    np.divide(squares - n, pairs, out=similarity, where=pairs > 0)
    return np.maximum(1 - similarity, 0)


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
