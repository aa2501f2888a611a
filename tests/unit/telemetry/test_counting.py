import subprocess
import sys

from serve_app.telemetry.counting import METRICS, RayExporter, Telemetry
from serve_app.telemetry.histograms import REQUEST, Minute


class RecordingExporter:
    def __init__(self):
        self.counts = []
        self.values = []

    def count(self, name, tags, n):
        self.counts.append((name, tags, n))

    def observe(self, name, tags, value):
        self.values.append((name, tags, value))


class TestTelemetry:
    def test_exports_each_count_once(self):
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

    def test_counts_refused_requests_without_their_durations(self):
        exporter = RecordingExporter()
        telemetry = Telemetry(exporter, now_s=0)
        telemetry.refused("shed")
        telemetry.request("main", "ok", 0.01)

        minute = telemetry.flush(1)

        assert ("recserve_requests_total", ("none", "shed"), 1) in exporter.counts
        assert minute.outcomes == {("none", "shed"): 1, ("main", "ok"): 1}
        assert [name for name, _, _ in exporter.values] == ["recserve_request_duration_seconds"]
        assert minute.stages["request"].n == 1

    def test_each_flush_returns_the_whole_minute_so_far(self):
        telemetry = Telemetry(None, now_s=120)
        telemetry.request("main", "ok", 0.01)
        first = telemetry.flush(130).encode()
        telemetry.request("main", "degraded", 0.01)

        second = telemetry.flush(140)

        assert Minute.decode(first).outcomes == {("main", "ok"): 1}
        assert second.number == 2
        assert second.outcomes == {("main", "ok"): 1, ("main", "degraded"): 1}
        assert second.stages[REQUEST].n == 2

    def test_starts_the_next_minute_empty_after_the_last_one_was_flushed(self):
        telemetry = Telemetry(None, now_s=59)
        telemetry.stage("rank", 0.002)

        last = telemetry.flush(60)
        telemetry.stage("rank", 0.002)
        telemetry.stage("rank", 0.002)

        assert (last.number, last.stages["rank"].n) == (0, 1)
        following = telemetry.flush(61)
        assert (following.number, following.stages["rank"].n) == (1, 2)

    def test_every_exported_series_is_declared_with_its_labels(self):
        class CheckingExporter:
            def count(self, name, tags, n):
                assert len(METRICS[name].tags) == len(tags)
                assert not METRICS[name].bounds
                seen.add(name)

            def set(self, name, tags, value):
                assert len(METRICS[name].tags) == len(tags)
                assert METRICS[name].is_gauge
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
        telemetry.silent("features", "postgres")
        telemetry.candidates({"popular": 1})
        telemetry.last_fit(1.0)
        telemetry.catalogue_age(1.0)
        telemetry.items_without_row(1)
        telemetry.events(accepted=1, repeated=1, differing=0)
        telemetry.events_refused("invalid", 1)
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
    def test_accepts_every_declared_series(self):
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
