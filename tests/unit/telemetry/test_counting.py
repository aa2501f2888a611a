import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.errors import StoreUnavailable
from serve_app.telemetry.counting import METRICS, RayExporter, Telemetry
from serve_app.telemetry.histograms import (
    LOWEST_S,
    N_BUCKETS,
    REQUEST,
    StageHistogram,
    Window,
    merged,
)

durations = st.floats(min_value=60e-6, max_value=55.0)


def histogram_of(values):
    histogram = StageHistogram()
    for value in values:
        histogram.observe(value)
    return histogram


class RecordingExporter:
    def __init__(self):
        self.counts = []
        self.values = []

    def count(self, name, tags, n):
        self.counts.append((name, tags, n))

    def observe(self, name, tags, value):
        self.values.append((name, tags, value))


class TestStageHistogram:
    @given(st.lists(durations, min_size=1), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
    def test_quantiles_are_within_three_percent_of_the_exact_ones(self, values, q):
        exact = np.quantile(values, q, method="inverted_cdf")

        assert histogram_of(values).quantile(q) == pytest.approx(exact, rel=0.03)

    @given(st.lists(durations), st.lists(durations))
    def test_merging_counts_what_one_histogram_would_have_counted(self, left, right):
        both = histogram_of(left)
        both.merge(histogram_of(right))

        assert both.counts.tolist() == histogram_of(left + right).counts.tolist()
        assert both.n == len(left) + len(right)

    def test_has_no_quantile_of_nothing(self):
        assert math.isnan(StageHistogram().quantile(0.5))

    @pytest.mark.parametrize(
        ("duration_s", "bucket"),
        [(0.0, 0), (-1.0, 0), (LOWEST_S, 0), (60.0, N_BUCKETS - 2), (1e9, N_BUCKETS - 1)],
    )
    def test_counts_durations_beyond_its_ends_at_its_ends(self, duration_s, bucket):
        assert np.flatnonzero(histogram_of([duration_s]).counts).tolist() == [bucket]


class TestWindow:
    def test_comes_back_from_its_bytes(self):
        window = Window(29)
        window.observe("features", 0.004)
        window.observe("features", 1.0)
        window.outcomes["main", "ok"] = 3

        back = Window.decode(window.encode())

        assert back.minute == 29
        assert back.outcomes == window.outcomes
        assert back.stages["features"].counts.tolist() == window.stages["features"].counts.tolist()

    def test_merges_over_replicas(self):
        left, right = Window(7), Window(6)
        left.observe(REQUEST, 0.01)
        right.observe(REQUEST, 0.02)
        right.observe("rank", 0.02)
        left.outcomes["main", "ok"] = 2
        right.outcomes["main", "ok"] = 3

        total = merged([left, right])

        assert total.minute == 6
        assert total.stages[REQUEST].n == 2
        assert total.stages["rank"].n == 1
        assert total.outcomes["main", "ok"] == 5
        assert left.stages[REQUEST].n == 1

    def test_merges_none_to_an_empty_one(self):
        assert merged([]) == Window(0)

    @pytest.mark.parametrize(
        "encoded",
        [
            b"\xff",
            b"[]",
            b"{}",
            json.dumps({"format": 2, "minute": 1, "stages": {}, "outcomes": []}).encode(),
            json.dumps({"format": 1, "minute": 1, "stages": {"a": {"999": 1}}}).encode(),
            json.dumps({"format": 1, "minute": 1, "stages": {}, "outcomes": [["main"]]}).encode(),
        ],
    )
    def test_refuses_other_bytes(self, encoded):
        with pytest.raises(StoreUnavailable):
            Window.decode(encoded)


class TestTelemetry:
    def test_exports_what_it_counted_once(self):
        exporter = RecordingExporter()
        telemetry = Telemetry(exporter, now_s=0)
        telemetry.request("main", "ok", 0.01)
        telemetry.request("main", "ok", 0.02)
        telemetry.cache(hits=2, misses=0)
        telemetry.degraded("score", "timed_out", 4)
        telemetry.candidates({"popular": 100, "neighbours": 0})

        telemetry.flush(1)
        telemetry.flush(2)

        assert sorted(exporter.counts) == [
            ("recserve_cache_requests_total", ("hit",), 2),
            ("recserve_candidates_total", ("popular",), 100),
            ("recserve_degraded_total", ("score", "timed_out"), 4),
            ("recserve_requests_total", ("main", "ok"), 2),
        ]

    def test_exports_durations_and_sizes_one_by_one(self):
        exporter = RecordingExporter()
        telemetry = Telemetry(exporter, now_s=0)

        telemetry.stage("rank", 0.002)
        telemetry.request("main", "ok", 0.01)
        telemetry.batch(8)

        assert exporter.values == [
            ("recserve_stage_duration_seconds", ("rank",), 0.002),
            ("recserve_request_duration_seconds", ("main",), 0.01),
            ("recserve_batch_size", (), 8.0),
        ]

    def test_refused_requests_are_counted_and_hide_no_latency(self):
        exporter = RecordingExporter()
        telemetry = Telemetry(exporter, now_s=0)
        telemetry.refused("shed")
        telemetry.request("main", "ok", 0.01)

        window = telemetry.flush(1)

        assert ("recserve_requests_total", ("none", "shed"), 1) in exporter.counts
        assert window.outcomes == {("none", "shed"): 1, ("main", "ok"): 1}
        assert [name for name, _, _ in exporter.values] == ["recserve_request_duration_seconds"]
        assert window.stages["request"].n == 1

    def test_gives_the_minute_so_far_at_each_flush(self):
        telemetry = Telemetry(None, now_s=120)
        telemetry.request("main", "ok", 0.01)
        first = telemetry.flush(130).encode()
        telemetry.request("main", "degraded", 0.01)

        second = telemetry.flush(140)

        assert Window.decode(first).outcomes == {("main", "ok"): 1}
        assert second.minute == 2
        assert second.outcomes == {("main", "ok"): 1, ("main", "degraded"): 1}
        assert second.stages[REQUEST].n == 2

    def test_starts_the_next_minute_empty_and_loses_nothing_of_the_last(self):
        telemetry = Telemetry(None, now_s=59)
        telemetry.stage("rank", 0.002)

        last = telemetry.flush(60)
        telemetry.stage("rank", 0.002)
        telemetry.stage("rank", 0.002)

        assert (last.minute, last.stages["rank"].n) == (0, 1)
        following = telemetry.flush(61)
        assert (following.minute, following.stages["rank"].n) == (1, 2)

    def test_every_exported_series_is_declared_with_its_labels(self):
        class CheckingExporter:
            def count(self, name, tags, n):
                assert len(METRICS[name].tags) == len(tags)
                assert not METRICS[name].bounds
                seen.add(name)

            def observe(self, name, tags, value):
                assert len(METRICS[name].tags) == len(tags)
                assert METRICS[name].bounds
                seen.add(name)

        seen = set()
        telemetry = Telemetry(CheckingExporter(), now_s=0)
        telemetry.request("main", "ok", 0.01)
        telemetry.stage("rank", 0.01)
        telemetry.batch(1)
        telemetry.cache(1, 1)
        telemetry.degraded("rank", "timed_out", 1)
        telemetry.candidates({"popular": 1})
        telemetry.flush(1)

        assert seen == set(METRICS)

    def test_histogram_bounds_rise(self):
        for metric in METRICS.values():
            assert list(metric.bounds) == sorted(set(metric.bounds))

    def test_counts_without_ray(self):
        code = (
            "import sys, serve_app.telemetry.counting as t; t.Telemetry(None, now_s=0).batch(1);"
            "assert 'ray' not in sys.modules"
        )

        subprocess.run([sys.executable, "-c", code], check=True)


class TestRayExporter:
    def test_takes_every_declared_series(self):
        telemetry = Telemetry(RayExporter(), now_s=0)

        telemetry.request("main", "ok", 0.01)
        telemetry.batch(1)
        telemetry.stage("rank", 0.01)
        telemetry.cache(1, 1)

        assert telemetry.flush(1).stages[REQUEST].n == 1

    def test_gives_ray_each_value_under_the_name_of_its_label(self, monkeypatch):
        taken = []
        monkeypatch.setattr(
            "ray.util.metrics.Metric._record",
            lambda metric, value, tags=None: taken.append((metric.info["name"], value, tags)),
        )
        exporter = RayExporter()

        exporter.count("recserve_requests_total", ("main", "ok"), 3)
        exporter.observe("recserve_stage_duration_seconds", ("rank",), 0.25)

        assert taken == [
            ("recserve_requests_total", 3, {"variant": "main", "outcome": "ok"}),
            ("recserve_stage_duration_seconds", 0.25, {"stage": "rank"}),
        ]
