import asyncio

import pytest

from serve_app.bundles.last_fit import record_failure, record_success
from serve_app.serving.watching.fit_watch import FitWatch
from serve_app.telemetry.counting import Telemetry


class Gauges:
    def __init__(self):
        self.values = {}

    def set(self, name, tags, value):
        self.values[name] = value


@pytest.fixture
def gauges():
    return Gauges()


@pytest.fixture
def watch(tmp_path, gauges):
    return FitWatch(str(tmp_path), Telemetry(gauges, now_s=0))


def test_exports_when_the_last_fit_ended_well(watch, gauges, tmp_path):
    record_success(str(tmp_path), 10.0)

    asyncio.run(watch.look())

    assert gauges.values == {"recserve_last_fit_timestamp_seconds": 10.0}
    assert watch.last() == {"succeeded_at": 10.0, "failed_at": None, "failure": ""}


def test_a_failed_fit_is_told_and_the_last_success_stays(watch, gauges, tmp_path):
    record_success(str(tmp_path), 10.0)
    record_failure(str(tmp_path), 20.0, "the disk is full")

    asyncio.run(watch.look())

    assert gauges.values == {"recserve_last_fit_timestamp_seconds": 10.0}
    assert watch.last()["failure"] == "the disk is full"


def test_there_is_no_time_before_the_first_fit(watch, gauges):
    asyncio.run(watch.look())

    assert gauges.values == {}
