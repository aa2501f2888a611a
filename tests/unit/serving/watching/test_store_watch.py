"""Tests what the ingress knows about the stores behind its stages."""

import asyncio
from typing import cast

from serve_app.errors import StageFailed
from serve_app.serving.pipeline import CANDIDATES, FEATURES
from serve_app.serving.watching import store_watch
from serve_app.serving.watching.store_watch import LONG_S, StoreWatch
from serve_app.telemetry.counting import RayExporter, Telemetry
from tests.support.in_process import Counts, logged, until

SILENT = ("recserve_silent_store_total", (FEATURES, "postgres"))


class Stage:
    def __init__(self) -> None:
        self.silences: dict[str, float] = {}
        self.asked: list[float] = []

    async def silent_stores(self, at_least_s: float) -> dict[str, float]:
        self.asked.append(at_least_s)
        return self.silences


async def away(at_least_s: float) -> dict[str, float]:
    raise StageFailed(CANDIDATES, "ActorDiedError")


async def stuck(at_least_s: float) -> dict[str, float]:
    await asyncio.Event().wait()
    raise AssertionError


def test_names_the_stores_that_a_stage_does_not_reach_until_it_does() -> None:
    stage, counts = Stage(), Counts()
    telemetry = Telemetry(cast(RayExporter, counts), now_s=0)
    watch = StoreWatch({FEATURES: stage.silent_stores, CANDIDATES: away}, telemetry)

    async def scenario() -> None:
        await watch.look()
        assert watch.silent() == {}
        stage.silences = {"postgres": 31.6}
        await watch.look()
        await watch.look()
        assert watch.silent() == {FEATURES: {"postgres": 32}}
        stage.silences = {}
        await watch.look()
        assert watch.silent() == {}

    with logged("ray.serve.recserve.ingress") as records:
        asyncio.run(scenario())
    telemetry.flush(1)

    assert stage.asked == [LONG_S] * 4
    assert counts.counters[SILENT] == 2
    assert [record.getMessage() for record in records] == [
        "features: postgres has not answered for long"
    ]


def test_looks_by_itself_and_does_not_wait_for_a_stage_that_is_stuck(monkeypatch) -> None:
    monkeypatch.setattr(store_watch, "PERIOD_S", 0.001)
    monkeypatch.setattr(store_watch, "DEADLINE_S", 0.001)
    stage = Stage()
    stages = {FEATURES: stage.silent_stores, CANDIDATES: stuck}

    async def scenario() -> None:
        watch = StoreWatch(stages, Telemetry(None, now_s=0))
        watch.start()
        watch.start()
        await until(lambda: len(stage.asked) > 2)

    asyncio.run(scenario())
