"""Measures the lists of the test users. Lists are ranked from all items, not from a sample."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from serve_app.evaluation.protocol import EvaluationSplit
from serve_app.measuring.bootstrap import Interval, interval, resampled_means
from serve_app.measuring.lists import Lists, PerUser, hits_of
from serve_app.measuring.metrics import OF_HITS, diversity, ndcg_at, novelty


def measure_lists(lists: Lists, split: EvaluationSplit, ks: tuple[int, ...]) -> PerUser:
    """Computes every measure of single lists, by names such as ``ndcg@10``."""
    training = split.training
    hits = hits_of(lists, split.wanted, training.n_items)
    n_wanted = np.diff(split.wanted.offsets)
    measures = {
        f"{name}@{k}": measure(hits, n_wanted, k) for k in ks for name, measure in OF_HITS.items()
    }
    for k in ks:
        measures[f"novelty@{k}"] = novelty(lists[:, :k], training.n_buyers, training.n_users)
        measures[f"diversity@{k}"] = diversity(lists[:, :k], training.matrix)
    return measures


def source_intervals(
    by_source: Mapping[str, Lists], split: EvaluationSplit, k: int, n_resamples: int, seed: int
) -> dict[str, Interval]:
    """Computes the NDCG at k of each source's lists with its interval."""
    values = np.column_stack([ndcgs(lists, split, k) for lists in by_source.values()])
    resampled = resampled_means(values, n_resamples, seed)
    means = values.mean(axis=0)
    return {name: interval(means[i], resampled[:, i]) for i, name in enumerate(by_source)}


def ndcgs(lists: Lists, split: EvaluationSplit, k: int) -> NDArray[np.float64]:
    """Computes the NDCG at k of each test user's list, shape (n_users,)."""
    hits = hits_of(lists, split.wanted, split.training.n_items)
    return ndcg_at(hits, np.diff(split.wanted.offsets), k)
