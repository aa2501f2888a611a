"""How good lists are on what users bought after the moment for which they were made."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from serve_app.domain.columns import Mask
from serve_app.domain.features import FEATURES, SOURCES
from serve_app.domain.metrics import ndcg_at, ranked_hits, recall_at
from serve_app.domain.ragged import owners, pad
from serve_app.offline.examples import Examples
from serve_app.offline.labels import WANTED
from serve_app.offline.windows import Outcomes

Order = Callable[[Examples], NDArray[np.float32]]
"""Scores of candidates, shape (total,); NaN leaves one out."""

Hits = Mapping[str, Mask]
"""Per order, shape (n_users, places), best place first."""

CANDIDATES = "candidates"

_WIDTH = 20


def baselines() -> dict[str, Order]:
    """Each source by itself, and all of them fused."""
    orders: dict[str, Order] = {source: _by_rank(source) for source in SOURCES}
    fused = FEATURES.index("candidate.fused")
    return {**orders, "fused": lambda examples: examples.matrix[:, fused]}


def n_bought(found: Outcomes) -> NDArray[np.int64]:
    """How many new items each user bought, shape (len(found),)."""
    bought = found.strengths == WANTED
    return np.bincount(owners(found.offsets), bought, minlength=len(found)).astype(np.int64)


def hits_of(examples: Examples, orders: Mapping[str, Order]) -> Hits:
    """Which of the first places of each user's list, in each order, he bought."""
    bought = examples.strengths == WANTED
    return {
        **{
            name: ranked_hits(order(examples), bought, examples.offsets, _WIDTH)
            for name, order in orders.items()
        },
        CANDIDATES: pad(bought, examples.offsets, int(np.diff(examples.offsets).max()), False),
    }


def source_ndcgs(examples: Examples, n_relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@10 of each source's own list, shape (len(examples), len(SOURCES))."""
    bought = examples.strengths == WANTED
    return np.column_stack(
        [
            ndcg_at(
                ranked_hits(_by_rank(source)(examples), bought, examples.offsets, 10),
                n_relevant,
                10,
            )
            for source in SOURCES
        ]
    )


def means_of(parts: Sequence[Hits], n_relevant: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """
    Means over the users, of plain orders without diversity.

    Args:
        parts: of the users, in the order of ``n_relevant``.
        n_relevant: shape (n_users,), how many new items each bought, found or not.

    Returns:
        Per order ``ndcg_at_10``, ``recall_at_10`` and ``recall_at_20``; under ``CANDIDATES`` the
        ``recall`` of all of them and the number of users.
    """
    found = np.concatenate([part[CANDIDATES].sum(axis=1) for part in parts])
    measured = {
        name: _means(np.concatenate([part[name] for part in parts]), n_relevant)
        for name in parts[0]
        if name != CANDIDATES
    }
    recall = float(np.mean(found / n_relevant))
    return {**measured, CANDIDATES: {"recall": recall, "n_users": float(len(n_relevant))}}


def _means(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64]) -> dict[str, float]:
    return {
        "ndcg_at_10": float(ndcg_at(hits, n_relevant, 10).mean()),
        "recall_at_10": float(recall_at(hits, n_relevant, 10).mean()),
        "recall_at_20": float(recall_at(hits, n_relevant, 20).mean()),
    }


def _by_rank(source: str) -> Order:
    column = FEATURES.index(f"candidate.{source}_rank")
    return lambda examples: -examples.matrix[:, column]
