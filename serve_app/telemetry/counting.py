"""Counts and times the work of a replica, and exports the counts to Ray's metrics.

:class:`Telemetry` counts in plain Python. Its ``flush`` hands the counts to Ray, which exports
them to Prometheus as ``ray_<name>``, and returns what was measured in the minute so far.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from serve_app.telemetry.histograms import MINUTE_S, REQUEST, Minute

STAGE_BOUNDS_S = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04),
    *(0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0),
)
# Between whole numbers: Ray adds up the middles of buckets, not the observed values. With these
# bounds `_sum` is exact for small batches. Sums of durations are as coarse as their buckets.
BATCH_BOUNDS = (0.5, 1.5, 2.5, 3.5, 4.5, 6.5, 8.5, 12.5, 16.5, 24.5, 32.5, 48.5, 64.5, 96.5, 128.5)

Tags = tuple[str, ...]

NO_VARIANT = "none"
"""The variant under which requests are counted that reached no variant."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One exported series.

    Attributes:
        description: its help text in Prometheus.
        tags: names of its labels, in the order in which :class:`Telemetry` gives their values.
        bounds: upper bucket bounds of a histogram; empty for others.
        is_gauge: the series has a value that rises and falls.
    """

    description: str
    tags: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    is_gauge: bool = False


METRICS = {
    "recserve_requests_total": Metric("Requests answered.", ("variant", "outcome")),
    "recserve_request_duration_seconds": Metric(
        "From arrival to answer; without refused requests.", ("variant",), STAGE_BOUNDS_S
    ),
    "recserve_stage_duration_seconds": Metric(
        "One batch in one stage, hops included.", ("stage",), STAGE_BOUNDS_S
    ),
    "recserve_batch_size": Metric("Requests that travelled together.", (), BATCH_BOUNDS),
    "recserve_cache_requests_total": Metric("Look-ups in the result cache.", ("result",)),
    "recserve_degraded_total": Metric("Requests with a stage replaced.", ("stage", "reason")),
    "recserve_silent_store_total": Metric(
        "Checks, 5 s apart, in which a store had not answered a stage for long.", ("stage", "store")
    ),
    "recserve_events_total": Metric("Events stored, or known before.", ("outcome",)),
    "recserve_events_refused_total": Metric("Events that were not stored.", ("reason",)),
    "recserve_candidates_total": Metric("Candidates by their source.", ("source",)),
    "recserve_catalogue_age_seconds": Metric(
        "Seconds since all changes of items were read.", is_gauge=True
    ),
    "recserve_items_without_row": Metric(
        "New items that wait for the next fit, because no spare row was left.", is_gauge=True
    ),
    "recserve_last_fit_timestamp_seconds": Metric(
        "Time of the last fit that ended well.", is_gauge=True
    ),
}


class Telemetry:
    """Counts of one replica, for one event loop; without an exporter it needs no Ray."""

    def __init__(self, exporter: "RayExporter | None", *, now_s: float) -> None:
        self._exporter = exporter
        self._counts: Counter[tuple[str, Tags]] = Counter()
        self._minute = Minute(int(now_s) // MINUTE_S)

    def request(self, variant: str, outcome: str, duration_s: float) -> None:
        """Counts a request that was answered; ``outcome`` is ok or degraded."""
        self._outcome(variant, outcome)
        self._minute.observe(REQUEST, duration_s)
        self._observe("recserve_request_duration_seconds", (variant,), duration_s)

    def refused(self, outcome: str) -> None:
        """Counts a request that got no answer; ``outcome`` is invalid, shed or error."""
        # Without its duration: under overload, quick refusals would hide how long answers take.
        self._outcome(NO_VARIANT, outcome)

    def stage(self, name: str, duration_s: float) -> None:
        """Counts a batch that came back from a stage."""
        self._minute.observe(name, duration_s)
        self._observe("recserve_stage_duration_seconds", (name,), duration_s)

    def batch(self, size: int) -> None:
        """Counts a batch of ``size`` requests that was sent to the stages."""
        self._observe("recserve_batch_size", (), float(size))

    def cache(self, hits: int, misses: int) -> None:
        """Counts look-ups in the result cache."""
        self._counts["recserve_cache_requests_total", ("hit",)] += hits
        self._counts["recserve_cache_requests_total", ("miss",)] += misses

    def degraded(self, stage: str, reason: str, n: int) -> None:
        """Counts ``n`` requests that went on with a replacement of ``stage``."""
        self._counts["recserve_degraded_total", (stage, reason)] += n
        self._minute.degraded[stage, reason] += n

    def silent(self, stage: str, store: str) -> None:
        """Counts a check in which a store had not answered a stage for long."""
        self._counts["recserve_silent_store_total", (stage, store)] += 1

    def events(self, accepted: int, repeated: int, differing: int) -> None:
        """Counts events of a post that was stored."""
        for outcome, n in (
            ("accepted", accepted),
            ("repeated", repeated),
            ("differing", differing),
        ):
            self._counts["recserve_events_total", (outcome,)] += n

    def events_refused(self, reason: str, n: int) -> None:
        """Counts ``n`` events of a post that was not stored."""
        self._counts["recserve_events_refused_total", (reason,)] += n

    def candidates(self, n_by_source: Mapping[str, int]) -> None:
        """Counts the candidates that each source gave."""
        for source, n in n_by_source.items():
            self._counts["recserve_candidates_total", (source,)] += n

    def last_fit(self, succeeded_at: float) -> None:
        """Notes when the last fit ended well, epoch seconds."""
        self._gauge("recserve_last_fit_timestamp_seconds", (), succeeded_at)

    def catalogue_age(self, age_s: float) -> None:
        """Notes since when changes of items may not have been read."""
        self._gauge("recserve_catalogue_age_seconds", (), age_s)

    def items_without_row(self, n: int) -> None:
        """Notes how many new items wait for the next fit."""
        self._gauge("recserve_items_without_row", (), float(n))

    def flush(self, now_s: float) -> Minute:
        """Exports what was counted since the last flush.

        Args:
            now_s: epoch seconds.

        Returns:
            Everything measured in the current minute so far, not only since the last flush. Later
            calls count for the minute of ``now_s``.
        """
        counts, self._counts = self._counts, Counter()
        if self._exporter is not None:
            for (name, tags), n in counts.items():
                # Ray refuses to add 0, which ``cache`` counts when there were no hits.
                if n > 0:
                    self._exporter.count(name, tags, n)
        # The first flush after a minute ends still returns that minute. The seconds since its end
        # count for it, and nothing is lost.
        minute, number = self._minute, int(now_s) // MINUTE_S
        if number != minute.number:
            self._minute = Minute(number)
        return minute

    def _outcome(self, variant: str, outcome: str) -> None:
        self._counts["recserve_requests_total", (variant, outcome)] += 1
        self._minute.outcomes[variant, outcome] += 1

    def _gauge(self, name: str, tags: Tags, value: float) -> None:
        if self._exporter is not None:
            self._exporter.set(name, tags, value)

    def _observe(self, name: str, tags: Tags, value: float) -> None:
        if self._exporter is not None:
            self._exporter.observe(name, tags, value)


class RayExporter:
    """Hands counts to Ray's metrics, which add the application, deployment and replica."""

    def __init__(self) -> None:
        # Imported by replicas only: tests and offline runs count without Ray.
        from ray.serve import metrics

        # Ray's annotations say a tuple of one; its code takes a tuple of any length.
        self._counters = {
            name: metrics.Counter(name, metric.description, metric.tags)  # type: ignore[arg-type]
            for name, metric in METRICS.items()
            if not metric.bounds and not metric.is_gauge
        }
        self._gauges = {
            name: metrics.Gauge(name, metric.description, metric.tags)  # type: ignore[arg-type]
            for name, metric in METRICS.items()
            if metric.is_gauge
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
        """Adds ``n`` > 0 to a counter of ``METRICS``."""
        self._counters[name].inc(n, dict(zip(METRICS[name].tags, tags, strict=True)))

    def set(self, name: str, tags: Tags, value: float) -> None:
        """Sets a gauge of ``METRICS``."""
        self._gauges[name].set(value, dict(zip(METRICS[name].tags, tags, strict=True)))

    def observe(self, name: str, tags: Tags, value: float) -> None:
        """Adds one value to a histogram of ``METRICS``; Ray takes about 4 µs for each."""
        self._histograms[name].observe(value, dict(zip(METRICS[name].tags, tags, strict=True)))
