"""Computes figures of repeated runs: medians, ranges, quantiles, ratios."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np


@dataclass(frozen=True, slots=True)
class Figure:
    """Median and range of one figure over several runs."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure":
        """
        Raises:
            ValueError: no values.
        """
        found = sorted(values)
        if not found:
            raise ValueError("no values")
        return cls(median(found), found[0], found[-1])

    def __str__(self) -> str:
        """Format the median, and the range in brackets if the values differ."""
        if self.low == self.high:
            return rounded(self.median)
        return f"{rounded(self.median)} ({rounded(self.low)}–{rounded(self.high)})"


def rounded(value: float) -> str:
    """Format with three significant digits; from 100 on without decimals."""
    if value == 0:
        return "0"
    n_decimals = max(0, 2 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{n_decimals}f}"


def ratio_of_medians(above: Iterable[float], below: Iterable[float]) -> float:
    """
    Ratio of the medians of two figures that were measured in turns.

    Raises:
        ValueError: no values, or the median of ``below`` is 0.
    """
    divisor = Figure.of(below).median
    if divisor == 0:
        raise ValueError("the median to divide by is 0")
    return Figure.of(above).median / divisor


def quantiles_ms(durations_s: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and p99.9 in milliseconds; NaN without durations."""
    levels = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
    if not len(durations_s):
        return dict.fromkeys(levels, float("nan"))
    found = np.quantile(durations_s, list(levels.values())) * 1e3
    return dict(zip(levels, found.tolist(), strict=True))


def timed(call: Callable[[], object], n: int, clock: Callable[[], float]) -> list[float]:
    """Durations of n calls, one after the other, in the clock's unit."""
    durations = []
    for _ in range(n):
        started_at = clock()
        call()
        durations.append(clock() - started_at)
    return durations
