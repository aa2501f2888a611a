"""Counts the durations of one minute in histograms that merge over replicas without loss.

A quantile of merged histograms is the quantile of all durations together. A mean of the replicas'
quantiles would be no quantile of anything.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serve_app.errors import StoreUnavailable

LOWEST_S = 50e-6
BUCKET_RATIO = 1.05
# Up to a minute: ln(60 / 50e-6) / ln(1.05) = 286.9, and one bucket for everything above.
N_BUCKETS = 288
_BUCKETS_PER_LOG = 1 / math.log(BUCKET_RATIO)

MINUTE_S = 60
_FORMAT = 1

REQUEST = "request"
"""The stage under which whole requests are timed."""


class StageHistogram:
    """Durations in buckets that are 5 % wide each, from 50 µs to a minute.

    A quantile is therefore within 2.5 % of the exact one, whatever the distribution. Shorter and
    longer durations are counted in the first and the last bucket.
    """

    __slots__ = ("counts",)

    def __init__(self, counts: NDArray[np.int64] | None = None) -> None:
        """Starts from ``counts``, shape (N_BUCKETS,), int64, without a copy; empty when None."""
        self.counts = np.zeros(N_BUCKETS, np.int64) if counts is None else counts

    @property
    def n(self) -> int:
        """Number of durations."""
        return int(self.counts.sum())

    def observe(self, duration_s: float) -> None:
        """Counts one duration, in seconds."""
        self.counts[_bucket_of(duration_s)] += 1

    def merge(self, other: "StageHistogram") -> None:
        """Adds the counts of another histogram."""
        self.counts += other.counts

    def quantile(self, q: float) -> float:
        """The duration, in seconds, that a share ``q`` of all did not exceed; NaN when there are
        none.

        By nearest rank, as the geometric centre of the bucket.
        """
        cumulative = np.cumsum(self.counts)
        if cumulative[-1] == 0:
            return math.nan
        rank = max(1, math.ceil(q * cumulative[-1]))
        bucket = int(np.searchsorted(cumulative, rank))
        return float(LOWEST_S * BUCKET_RATIO ** (bucket + 0.5))


def _bucket_of(duration_s: float) -> int:
    # First the lowest: a clock that steps back gives negative durations, which have no logarithm.
    if duration_s <= LOWEST_S:
        return 0
    return min(int(math.log(duration_s / LOWEST_S) * _BUCKETS_PER_LOG), N_BUCKETS - 1)


@dataclass(slots=True)
class Minute:
    """The measurements of one replica in one minute.

    Attributes:
        number: epoch seconds // 60.
        stages: durations by stage; ``"request"`` for whole requests.
        outcomes: number of requests by variant and outcome.
        degraded: number of requests by replaced stage and reason.
    """

    number: int
    stages: dict[str, StageHistogram] = field(default_factory=dict)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    degraded: Counter[tuple[str, str]] = field(default_factory=Counter)

    def observe(self, stage: str, duration_s: float) -> None:
        """Counts one duration, in seconds."""
        if stage not in self.stages:
            self.stages[stage] = StageHistogram()
        self.stages[stage].observe(duration_s)

    def encode(self) -> bytes:
        """Bytes that :meth:`decode` reads; empty buckets are left out."""
        stages = {
            name: {str(i): int(histogram.counts[i]) for i in np.flatnonzero(histogram.counts)}
            for name, histogram in self.stages.items()
        }
        document = {"format": _FORMAT, "minute": self.number, "stages": stages}
        for name in ("outcomes", "degraded"):
            document[name] = [[*tags, n] for tags, n in getattr(self, name).items()]
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, encoded: bytes) -> "Minute":
        """The inverse of :meth:`encode`.

        Raises:
            StoreUnavailable: the bytes are no minute, or one in the format of another build.
        """
        try:
            document = json.loads(encoded)
            if document["format"] != _FORMAT:
                raise StoreUnavailable("redis", f"telemetry in format {document['format']}")
            minute = cls(int(document["minute"]))
            for name, buckets in document["stages"].items():
                counts = np.zeros(N_BUCKETS, np.int64)
                counts[[int(i) for i in buckets]] = list(buckets.values())
                minute.stages[name] = StageHistogram(counts)
            for variant, outcome, n in document["outcomes"]:
                minute.outcomes[variant, outcome] = int(n)
            # Absent in what another build wrote.
            for stage, reason, n in document.get("degraded", ()):
                minute.degraded[stage, reason] = int(n)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise StoreUnavailable("redis", "telemetry that cannot be read") from error
        return minute


def merge_minutes(minutes: Sequence[Minute]) -> Minute:
    """All minutes as one, numbered as the earliest of them (0 when there is none)."""
    total = Minute(min((minute.number for minute in minutes), default=0))
    for minute in minutes:
        total.outcomes.update(minute.outcomes)
        total.degraded.update(minute.degraded)
        for name, histogram in minute.stages.items():
            total.stages.setdefault(name, StageHistogram()).merge(histogram)
    return total
