"""How good lists are on what users bought after the moment for which they were made."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from serve_app.domain.features import FEATURES, SOURCES
from serve_app.domain.metrics import ndcg_at, ranked_hits, recall_at
from serve_app.domain.ragged import owners
from serve_app.offline.examples import Examples
from serve_app.offline.windows import PURCHASED, Outcomes

Order = Callable[[Examples], NDArray[np.float32]]
"""Scores of candidates, shape (total,); NaN leaves one out."""

_WIDTH = 20


def baselines() -> dict[str, Order]:
    """Each source by itself, and all of them fused."""
    orders: dict[str, Order] = {source: _by_rank(source) for source in SOURCES}
    fused = FEATURES.index("candidate.fused")
    return {**orders, "fused": lambda examples: examples.matrix[:, fused]}


def n_bought(found: Outcomes) -> NDArray[np.int64]:
    """How many new items each user bought, shape (len(found),)."""
    bought = found.strengths == PURCHASED
    return np.bincount(owners(found.offsets), bought, minlength=len(found)).astype(np.int64)


def measure(
    parts: Iterable[Examples], n_relevant: NDArray[np.int64], orders: Mapping[str, Order]
) -> dict[str, dict[str, float]]:
    """
    Means over the users, of plain orders without diversity.

    Args:
        parts: candidates of the users, in the order of ``n_relevant``, all that were found.
        n_relevant: shape (n_users,), how many new items each bought, found or not.
        orders: what is compared, by name.

    Returns:
        Per order ``ndcg_at_10``, ``recall_at_10`` and ``recall_at_20``; under ``candidates`` their
        ``recall`` and the number of users.
    """
    hits: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in orders}
    found: list[NDArray[np.float64]] = []
    for part in parts:
        bought = part.strengths == PURCHASED
        found.append(np.bincount(owners(part.offsets), bought, minlength=len(part)))
        for name, order in orders.items():
            hits[name].append(ranked_hits(order(part), bought, part.offsets, _WIDTH))
    measured = {name: _means(np.concatenate(each), n_relevant) for name, each in hits.items()}
    recall = float(np.mean(np.concatenate(found) / n_relevant))
    return {**measured, "candidates": {"recall": recall, "n_users": float(len(n_relevant))}}


def _means(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64]) -> dict[str, float]:
    return {
        "ndcg_at_10": float(ndcg_at(hits, n_relevant, 10).mean()),
        "recall_at_10": float(recall_at(hits, n_relevant, 10).mean()),
        "recall_at_20": float(recall_at(hits, n_relevant, 20).mean()),
    }


def _by_rank(source: str) -> Order:
    column = FEATURES.index(f"candidate.{source}_rank")
    return lambda examples: -examples.matrix[:, column]
