import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.errors import StoreUnavailable
from serve_app.telemetry.histograms import (
    LOWEST_S,
    N_BUCKETS,
    REQUEST,
    Minute,
    StageHistogram,
    merge_minutes,
)

durations = st.floats(min_value=60e-6, max_value=55.0)


def histogram_of(values):
    histogram = StageHistogram()
    for value in values:
        histogram.observe(value)
    return histogram


class TestStageHistogram:
    @given(st.lists(durations, min_size=1), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
    def test_quantiles_are_within_three_percent_of_the_exact_ones(self, values, q):
        exact = np.quantile(values, q, method="inverted_cdf")

        assert histogram_of(values).quantile(q) == pytest.approx(exact, rel=0.03)

    @given(st.lists(durations), st.lists(durations))
    def test_merged_histograms_equal_one_histogram_of_all_durations(self, left, right):
        both = histogram_of(left)
        both.merge(histogram_of(right))

        assert both.counts.tolist() == histogram_of(left + right).counts.tolist()
        assert both.n == len(left) + len(right)

    def test_the_quantile_of_no_durations_is_nan(self):
        assert math.isnan(StageHistogram().quantile(0.5))

    @pytest.mark.parametrize(
        ("duration_s", "bucket"),
        [(0.0, 0), (-1.0, 0), (LOWEST_S, 0), (60.0, N_BUCKETS - 2), (1e9, N_BUCKETS - 1)],
    )
    def test_counts_durations_out_of_range_in_the_first_or_last_bucket(self, duration_s, bucket):
        assert np.flatnonzero(histogram_of([duration_s]).counts).tolist() == [bucket]


class TestMinute:
    def test_decodes_what_it_encodes(self):
        minute = Minute(29)
        minute.observe("features", 0.004)
        minute.observe("features", 1.0)
        minute.outcomes["main", "ok"] = 3
        minute.degraded["history", "store_unavailable"] = 2

        back = Minute.decode(minute.encode())

        assert back.number == 29
        assert back.outcomes == minute.outcomes
        assert back.degraded == minute.degraded
        assert back.stages["features"].counts.tolist() == minute.stages["features"].counts.tolist()

    def test_reads_minutes_of_builds_that_did_not_count_replaced_stages(self):
        old = json.dumps({"format": 1, "minute": 1, "stages": {}, "outcomes": []}).encode()

        assert Minute.decode(old) == Minute(1)

    def test_merges_the_minutes_of_replicas(self):
        left, right = Minute(7), Minute(6)
        left.observe(REQUEST, 0.01)
        right.observe(REQUEST, 0.02)
        right.observe("rank", 0.02)
        left.outcomes["main", "ok"] = 2
        right.outcomes["main", "ok"] = 3
        left.degraded["rank", "timed_out"] = 4
        right.degraded["rank", "timed_out"] = 1

        total = merge_minutes([left, right])

        assert total.number == 6
        assert total.stages[REQUEST].n == 2
        assert total.stages["rank"].n == 1
        assert total.outcomes["main", "ok"] == 5
        assert total.degraded["rank", "timed_out"] == 5
        assert left.stages[REQUEST].n == 1

    def test_merges_no_minutes_into_an_empty_one(self):
        assert merge_minutes([]) == Minute(0)

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
    def test_refuses_bytes_that_are_no_minute(self, encoded):
        with pytest.raises(StoreUnavailable):
            Minute.decode(encoded)
