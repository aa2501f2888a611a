"""How good lists are: for each user, and for the catalogue as a whole.

Lists are ranked out of all items, so nothing depends on a sample of items to compare with.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serve_app.arrays.columns import MISSING, Mask
from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.evaluation.training_matrix import TrainingMatrix
from serve_app.measuring.lists import Lists, PerUser, hits_of, incidence
from serve_app.measuring.metrics import hit_rate, ndcg_at, recall_at, reciprocal_rank

_OF_HITS: Mapping[str, Callable[[Mask, NDArray[np.int64], int], NDArray[np.float64]]] = {
    "ndcg": ndcg_at,
    "recall": recall_at,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def measured(lists: Lists, split: EvaluationSplit, ks: tuple[int, ...]) -> PerUser:
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


def novelty(lists: Lists, past: TrainingMatrix) -> NDArray[np.float64]:
    """
    Mean of -log2 of the share of users who had the item, in bits; zero for an empty list.

    Vargas and Castells, "Rank and Relevance in Novelty and Diversity Metrics", RecSys 2011.
    """
    surprise = -np.log2(np.maximum(past.n_buyers, 1) / past.n_users)
    listed = lists != MISSING
    total = np.where(listed, surprise[np.where(listed, lists, 0)], 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(listed.sum(axis=1), 1))


def diversity(lists: Lists, past: TrainingMatrix) -> NDArray[np.float64]:
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
