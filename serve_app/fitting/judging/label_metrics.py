"""How good lists are on what users bought after the moment for which they were made."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.ragged import gather, offsets_of, owners
from serve_app.domain.scoring.model_features import FEATURES, SOURCES
from serve_app.fitting.data.labels import WANTED
from serve_app.fitting.data.windows import Outcomes
from serve_app.fitting.moments.examples import Examples
from serve_app.measuring.lists import Wanted
from serve_app.measuring.metrics import ndcg_at, ranked_hits

Order = Callable[[Examples], NDArray[np.float32]]
"""Scores of candidates, shape (total,); NaN leaves one out."""


def baselines() -> dict[str, Order]:
    """Each source by itself, and all of them fused."""
    orders: dict[str, Order] = {source: _by_rank(source) for source in SOURCES}
    fused = FEATURES.index("candidate.fused")
    return {**orders, "fused": lambda examples: examples.matrix[:, fused]}


def n_bought(found: Outcomes | Examples) -> NDArray[np.int64]:
    """How many new items each user bought, shape (len(found),)."""
    bought = found.strengths == WANTED
    return np.bincount(owners(found.offsets), bought, minlength=len(found)).astype(np.int64)


def bought_of(found: Outcomes, users: NDArray[np.int64]) -> Wanted:
    """The new items that each of some users bought, by row; ``users`` are places in ``found``."""
    positions, offsets = gather(found.offsets, users)
    bought = found.strengths[positions] == WANTED
    lengths = np.bincount(owners(offsets), bought, minlength=len(users)).astype(np.int64)
    return Wanted(offsets_of(lengths), found.rows[positions[bought]])


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


def _by_rank(source: str) -> Order:
    column = FEATURES.index(f"candidate.{source}_rank")
    return lambda examples: -examples.matrix[:, column]
