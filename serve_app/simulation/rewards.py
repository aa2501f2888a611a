"""Adds up what a simulation brought, by group and day, with intervals over shoppers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.measuring.bootstrap import Interval, interval
from serve_app.simulation.crowd import GROUPS
from serve_app.simulation.simulated_days import LIVE, Day

_N_RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Rewards:
    """What came of the visits.

    Attributes:
        n_visits, n_lists, n_clicks, n_bought: shape (n_days, n_groups).
        ratios: purchases per visit of the live group over those of each other group, by its name
            and the kind of shopper: ``all``, ``known`` or ``newcomers``.
        visits_per_s: over all visits.
    """

    n_visits: NDArray[np.int64]
    n_lists: NDArray[np.int64]
    n_clicks: NDArray[np.int64]
    n_bought: NDArray[np.int64]
    ratios: dict[tuple[str, str], Interval]
    visits_per_s: float

    @property
    def per_visit(self) -> NDArray[np.float64]:
        """Purchases per visit by group, over all days, shape (n_groups,)."""
        return np.asarray(self.n_bought.sum(axis=0) / np.maximum(self.n_visits.sum(axis=0), 1))


def add_up(days: Sequence[Day], n_known: int, seed: int) -> Rewards:
    """Adds up the days of a simulation; shoppers from ``n_known`` on are newcomers."""
    shape = (len(days), len(GROUPS))
    counts = {name: np.zeros(shape, np.int64) for name in ("visits", "lists", "clicks", "bought")}
    per_shopper: dict[tuple[int, int], NDArray[np.int64]] = {}
    for number, day in enumerate(days):
        for outcome, group in zip(day.outcomes, day.groups, strict=True):
            amounts = (1, outcome.n_lists, outcome.n_clicks, len(outcome.bought))
            for name, amount in zip(counts, amounts, strict=True):
                counts[name][number, group] += amount
            sums = per_shopper.setdefault((group, outcome.shopper), np.zeros(2, np.int64))
            sums += (1, len(outcome.bought))
    seconds = sum(day.seconds for day in days)
    kinds = {"all": (0, np.inf), "known": (0, n_known), "newcomers": (n_known, np.inf)}
    ratios = {
        (name, kind): _ratio(_of(per_shopper, LIVE, among), _of(per_shopper, group, among), seed)
        for group, name in enumerate(GROUPS[:LIVE])
        for kind, among in kinds.items()
    }
    return Rewards(
        counts["visits"],
        counts["lists"],
        counts["clicks"],
        counts["bought"],
        ratios,
        float(counts["visits"].sum() / max(seconds, 1e-9)),
    )


def _of(
    per_shopper: Mapping[tuple[int, int], NDArray[np.int64]],
    group: int,
    among: tuple[float, float],
) -> NDArray[np.int64]:
    """Visits and purchases of the shoppers of a group within a range of numbers, shape (n, 2)."""
    sums = [
        sums
        for (of_group, shopper), sums in per_shopper.items()
        if of_group == group and among[0] <= shopper < among[1]
    ]
    return np.array(sums, np.int64).reshape(-1, 2)


def _ratio(live: NDArray[np.int64], other: NDArray[np.int64], seed: int) -> Interval:
    """Ratio of purchases per visit, resampled by shopper: visits of one shopper are alike."""
    rng = np.random.default_rng(seed)
    pairs = ((_drawn(live, rng), _drawn(other, rng)) for _ in range(_N_RESAMPLES))
    resampled = np.array([_per_visit(ours) / _per_visit(theirs) for ours, theirs in pairs])
    return interval(_per_visit(live) / _per_visit(other), resampled)


def _drawn(sums: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    return sums[rng.integers(len(sums), size=len(sums))] if len(sums) else sums


def _per_visit(sums: NDArray[np.int64]) -> float:
    if not len(sums):
        return float("nan")
    visits, bought = sums.sum(axis=0)
    return float(bought / visits) if bought else float("nan")
