"""
What a replica counts of its own work.

:class:`Telemetry` counts in plain Python. Its ``flush`` hands the counts to Ray's metrics, which
Ray exports to Prometheus as ``ray_<name>``, and gives back the minute's window.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from serve_app.telemetry.histograms import REQUEST, WINDOW_S, Window

STAGE_BOUNDS_S = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04),
    *(0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0),
)
# Between whole numbers: Ray adds up the middles of buckets, not what was observed, so with these
# `_sum` is right for small batches. The sums of the durations are no better than their buckets.
BATCH_BOUNDS = (0.5, 1.5, 2.5, 3.5, 4.5, 6.5, 8.5, 12.5, 16.5, 24.5, 32.5, 48.5, 64.5, 96.5, 128.5)

Tags = tuple[str, ...]

NO_MODEL = "none"
"""Counted as the variant of requests that reached none."""


@dataclass(frozen=True, slots=True)
class Metric:
    """
    One exported series.

    Attributes:
        description: for Prometheus.
        tags: names of its labels, in the order in which :class:`Telemetry` gives their values.
        bounds: upper bucket bounds of a histogram; empty for a counter.
    """

    description: str
    tags: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


METRICS = {
    "recserve_requests_total": Metric("Requests answered.", ("variant", "outcome")),
    "recserve_request_duration_seconds": Metric(
        "From the arrival of a request to its answer; not of refused ones.",
        ("variant",),
        STAGE_BOUNDS_S,
    ),
    "recserve_stage_duration_seconds": Metric(
        "One batch in one stage, hops included.", ("stage",), STAGE_BOUNDS_S
    ),
    "recserve_batch_size": Metric("Requests that travelled together.", (), BATCH_BOUNDS),
    "recserve_cache_requests_total": Metric("Look-ups in the result cache.", ("result",)),
    "recserve_degraded_total": Metric("Requests with a stage replaced.", ("stage", "reason")),
    "recserve_candidates_total": Metric("Candidates by the source of them.", ("source",)),
}


class Exporter(Protocol):
    """Where the counts go."""

    def count(self, name: str, tags: Tags, n: int) -> None:
        """Add ``n`` > 0 to a counter of ``METRICS``."""

    def observe(self, name: str, tags: Tags, value: float) -> None:
        """Add one value to a histogram of ``METRICS``."""


class Telemetry:
    """
    Counts of one replica. Not for several threads.

    Without an exporter it serves tests and offline runs, which have no Ray.
    """

    def __init__(self, exporter: Exporter | None, *, now_s: float) -> None:
        self._exporter = exporter
        self._counts: Counter[tuple[str, Tags]] = Counter()
        self._window = Window(int(now_s) // WINDOW_S)

    def request(self, variant: str, outcome: str, duration_s: float) -> None:
        """One request was answered; ``outcome`` is ok or degraded."""
        self._outcome(variant, outcome)
        self._window.observe(REQUEST, duration_s)
        self._observe("recserve_request_duration_seconds", (variant,), duration_s)

    def refused(self, outcome: str) -> None:
        """One request got no answer; ``outcome`` is invalid, shed or error. It has no duration:
        under overload the quick refusals would hide how long the answers take."""
        self._outcome(NO_MODEL, outcome)

    def stage(self, name: str, duration_s: float) -> None:
        """One batch came back from a stage."""
        self._window.observe(name, duration_s)
        self._observe("recserve_stage_duration_seconds", (name,), duration_s)

    def batch(self, size: int) -> None:
        """One batch of ``size`` requests set out."""
        self._observe("recserve_batch_size", (), float(size))

    def cache(self, hits: int, misses: int) -> None:
        """Results were looked up."""
        self._counts["recserve_cache_requests_total", ("hit",)] += hits
        self._counts["recserve_cache_requests_total", ("miss",)] += misses

    def degraded(self, stage: str, reason: str, n: int) -> None:
        """``n`` requests went on with a replacement of ``stage``."""
        self._counts["recserve_degraded_total", (stage, reason)] += n

    def candidates(self, n_by_source: Mapping[str, int]) -> None:
        """Sources gave that many candidates."""
        for source, n in n_by_source.items():
            self._counts["recserve_candidates_total", (source,)] += n

    def flush(self, now_s: float) -> Window:
        """
        Export what was counted since the last flush.

        Args:
            now_s: epoch seconds.

        Returns:
            The minute so far, for the store: each flush of a minute replaces the one before.
            What is counted from then on belongs to the minute of ``now_s``.
        """
        counts, self._counts = self._counts, Counter()
        if self._exporter is not None:
            for (name, tags), n in counts.items():
                if n > 0:
                    self._exporter.count(name, tags, n)
        window, minute = self._window, int(now_s) // WINDOW_S
        if minute != window.minute:
            self._window = Window(minute)
        return window

    def _outcome(self, variant: str, outcome: str) -> None:
        self._counts["recserve_requests_total", (variant, outcome)] += 1
        self._window.outcomes[variant, outcome] += 1

    def _observe(self, name: str, tags: Tags, value: float) -> None:
        if self._exporter is not None:
            self._exporter.observe(name, tags, value)


class RayExporter:
    """Ray's metrics, with the application, deployment and replica as further labels."""

    def __init__(self) -> None:
        # Ray is imported by replicas only: tests and offline runs count without it.
        from ray.serve import metrics

        # Ray's annotations say a tuple of one, its code takes any.
        self._counters = {
            name: metrics.Counter(name, metric.description, metric.tags)  # type: ignore[arg-type]
            for name, metric in METRICS.items()
            if not metric.bounds
        }
        self._histograms = {
            name: metrics.Histogram(
                name,
                metric.description,
                list(metric.bounds),
                metric.tags,  # type: ignore[arg-type]
            )
            for name, metric in METRICS.items()
            if metric.bounds
        }

    def count(self, name: str, tags: Tags, n: int) -> None:
        """Add ``n`` > 0 to a counter of ``METRICS``."""
        self._counters[name].inc(n, dict(zip(METRICS[name].tags, tags, strict=True)))

    def observe(self, name: str, tags: Tags, value: float) -> None:
        """Add one value to a histogram of ``METRICS``: Ray takes them one by one, at about 4 µs."""
        self._histograms[name].observe(value, dict(zip(METRICS[name].tags, tags, strict=True)))
