"""Records the lists that every order gave the users of one window, and computes their metrics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.arrays.columns import MISSING, Mask, Rows, Texts
from serve_app.arrays.ragged import Offsets, gather, offsets_of, owners
from serve_app.arrays.units import DAY_S
from serve_app.domain.catalogue import Catalogue
from serve_app.fitting.data.labels import WANTED
from serve_app.fitting.data.outcomes import Outcomes
from serve_app.fitting.moments.examples import Examples
from serve_app.measuring.lists import PerUser, Wanted
from serve_app.measuring.metrics import hit_rate, ndcg_at, ranked_hits, recall_at, reciprocal_rank
from serve_app.recommending.scoring.model_features import FEATURES, SOURCES

WIDTH = 20
"""Positions of a list."""

CANDIDATES = "candidates"
POPULARITY = "popularity"
FUSED = "fused"
SERVED = "served"

Order = Callable[[Examples], NDArray[np.float32]]
"""Scores of candidates, shape (total,); NaN leaves a candidate out of the list."""


@dataclass(frozen=True, slots=True)
class WindowResults:
    """One row per test user: a user who did something new after their moment that the label counts.

    Attributes:
        names: of the orders: variants, ``<variant>_diverse``, sources, ``fused`` and the like.
        calibrated: names of the orders whose scores of users with a history are log-odds of being
            wanted.
        lists: shape (n_names, n, WIDTH), int32, rows of the catalogue, best first, ``MISSING``
            behind the end of a list.
        hits: shape of ``lists``, positions that hold a wanted item.
        n_past: shape (n,), int64, interactions before the user's moment that the label counts.
        relevant: shape (total,), int32, rows that each user wanted, ascending within a user.
        offsets: shape (n + 1,), int64, where the relevant rows of each user start.
        n_found: shape (n,), int64, relevant rows that were among the user's candidates.
        offered: shape (n, WIDTH, len(SOURCES)), sources that had offered each item of the first
            variant's list.
        calibration: shape (len(calibrated), bins, 3), float64: in each bin of the predicted
            probability, the sum of the predictions, the sum of the labels, and the number of
            candidates, of users with a history.
    """

    names: tuple[str, ...]
    calibrated: tuple[str, ...]
    lists: Rows
    hits: Mask
    n_past: NDArray[np.int64]
    relevant: Rows
    offsets: Offsets
    n_found: NDArray[np.int64]
    offered: Mask
    calibration: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.n_past)

    @property
    def n_relevant(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @property
    def candidate_recall(self) -> NDArray[np.float64]:
        """Share of each user's wanted items that were among the candidates, shape (n,)."""
        return self.n_found / self.n_relevant

    def lists_of(self, name: str) -> Rows:
        rows: Rows = self.lists[self.names.index(name)]
        return rows

    def hits_of(self, name: str) -> Mask:
        mask: Mask = self.hits[self.names.index(name)]
        return mask

    def offers(self, name: str) -> bool:
        """Tells if the order was measured and holds any item at all."""
        return name in self.names and bool((self.lists_of(name)[:, 0] != MISSING).any())


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """Facts about every row of the catalogue, at the beginning of the window.

    Attributes:
        age_days: shape (n_rows,), float64, NaN where the age is unknown.
        listed: shape (n_rows,), rows that hold an item.
        titles: shape (n_rows,).
    """

    age_days: NDArray[np.float64]
    listed: Mask
    titles: Texts


def describe_items(catalogue: Catalogue, at: float) -> ItemFacts:
    """Facts about all items at a moment ``at``, epoch seconds."""
    age_days = (at - catalogue.number("created_at").astype(np.float64)) / DAY_S
    return ItemFacts(age_days, catalogue.listed, catalogue.titles)


def concatenate_results(parts: Sequence[WindowResults]) -> WindowResults:
    """Joins several groups of users that were measured by the same orders."""
    first = parts[0]
    return WindowResults(
        names=first.names,
        calibrated=first.calibrated,
        lists=np.concatenate([part.lists for part in parts], axis=1),
        hits=np.concatenate([part.hits for part in parts], axis=1),
        n_past=np.concatenate([part.n_past for part in parts]),
        relevant=np.concatenate([part.relevant for part in parts]),
        offsets=offsets_of(np.concatenate([part.n_relevant for part in parts])),
        n_found=np.concatenate([part.n_found for part in parts]),
        offered=np.concatenate([part.offered for part in parts]),
        calibration=np.sum([part.calibration for part in parts], axis=0),
    )


def metrics_per_user(results: WindowResults, name: str) -> PerUser:
    """Metrics of one order, named as in the manifest; each of shape (n,)."""
    hits, n_relevant = results.hits_of(name), results.n_relevant
    return {
        "ndcg_at_10": ndcg_at(hits, n_relevant, 10),
        "recall_at_10": recall_at(hits, n_relevant, 10),
        "recall_at_20": recall_at(hits, n_relevant, 20),
        "hit_rate_at_10": hit_rate(hits, n_relevant, 10),
        "mrr_at_10": reciprocal_rank(hits, n_relevant, 10),
    }


def ndcg_by_order(results: WindowResults, k: int) -> PerUser:
    """NDCG@k of every order by its name, shape (n,) each."""
    n_relevant = results.n_relevant
    return {name: ndcg_at(results.hits_of(name), n_relevant, k) for name in results.names}


def item_coverage(results: WindowResults, name: str, n_items: int) -> float:
    """Share of ``n_items`` that stand in at least one user's list."""
    lists = results.lists_of(name)
    return len(np.unique(lists[lists != MISSING])) / n_items


def mean_metrics(results: WindowResults, n_items: int) -> dict[str, dict[str, float]]:
    """Means over the users, for the manifest.

    Returns:
        By name of the order, the metrics of ``metrics_per_user`` and ``coverage_at_20``; under
        ``CANDIDATES`` the ``recall`` of all candidates and the number of users.
    """
    by_order = {}
    for name in results.names:
        per_user = metrics_per_user(results, name)
        by_order[name] = {metric: float(values.mean()) for metric, values in per_user.items()}
        by_order[name]["coverage_at_20"] = item_coverage(results, name, n_items)
    recall = float(results.candidate_recall.mean())
    return {**by_order, CANDIDATES: {"recall": recall, "n_users": float(len(results))}}


def baselines() -> dict[str, Order]:
    """Orders that need no model: each source by itself, and all sources fused."""
    orders: dict[str, Order] = {source: _by_rank(source) for source in SOURCES}
    fused = FEATURES.index("candidate.fused")
    return {**orders, FUSED: lambda examples: examples.matrix[:, fused]}


def count_wanted(touched: Outcomes | Examples) -> NDArray[np.int64]:
    """Number of wanted items of each user, shape (len(touched),)."""
    wanted = touched.strengths == WANTED
    return np.bincount(owners(touched.offsets), wanted, minlength=len(touched)).astype(np.int64)


def select_wanted(outcomes: Outcomes, users: NDArray[np.int64]) -> Wanted:
    """Rows that some users wanted; ``users`` are positions in ``outcomes``."""
    positions, offsets = gather(outcomes.offsets, users)
    wanted = outcomes.strengths[positions] == WANTED
    lengths = np.bincount(owners(offsets), wanted, minlength=len(users)).astype(np.int64)
    return Wanted(offsets_of(lengths), outcomes.rows[positions[wanted]])


def source_ndcgs(examples: Examples, n_relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@10 of the list that each source gives alone, shape (len(examples), len(SOURCES))."""
    wanted = examples.strengths == WANTED
    scores = [_by_rank(source)(examples) for source in SOURCES]
    hits = [ranked_hits(values, wanted, examples.offsets, 10) for values in scores]
    return np.column_stack([ndcg_at(mask, n_relevant, 10) for mask in hits])


def _by_rank(source: str) -> Order:
    # The rank is NaN where the source did not offer the candidate, and NaN leaves it out.
    column = FEATURES.index(f"candidate.{source}_rank")
    return lambda examples: -examples.matrix[:, column]
