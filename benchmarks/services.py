"""Lists the measured services and loads, and how each service is started."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from benchmarks.home import ROOT, Home
from benchmarks.seed_service.app_name import APP, ROUTE
from benchmarks.serving import Running, serve, uvicorn

Start = Callable[[Home], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True)
class Load:
    """
    Requests to a service.

    Attributes:
        title: in tables and plots.
        service: key of ``SERVICES``.
        is_cached: every answer is in the cache before it is measured.
    """

    title: str
    service: str
    path: str = "/recommendations"
    is_cached: bool = False


def one_at_a_time(config: dict[str, Any]) -> None:
    """Run recserve's stages on Ray's defaults: no batches, one replica each."""
    [application] = config["applications"]
    application["args"]["coalescing"] = {"max_in_flight": 1_000, "max_batch": 1}
    # Long deadlines: slow answers are measured, not the fallbacks that would replace them.
    application["args"]["deadlines"] = dict.fromkeys(
        ("features_s", "candidates_s", "scorer_s", "ranker_s"), 20.0
    )
    application["args"]["stores"] = {"redis": {"timeout_s": 5.0}, "postgres": {"timeout_s": 5.0}}
    application["deployments"] = [_bare(each) for each in application["deployments"]]
    del config["logging_config"]
    del config["http_options"]["request_timeout_s"]


def _bare(deployment: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("name", "user_config", "ray_actor_options")
    return {**{key: deployment[key] for key in kept if key in deployment}, "num_replicas": 1}


def without_work(config: dict[str, Any]) -> None:
    """Replace all stages with ones that return at once."""
    config["applications"][0]["import_path"] = "benchmarks.empty_graph:build_app"


def seed(route: str) -> Start:
    return lambda home: uvicorn(home, APP, {ROUTE: route})


SERVICES: Mapping[str, Start] = {
    "ours": serve,
    "one": lambda home: serve(home, shipped=ROOT / "configs/one_process.yaml"),
    "seed": seed("def"),
    "seed-async": seed("async"),
    "naive": lambda home: serve(home, profile=None, change=one_at_a_time),
    "empty": lambda home: serve(home, change=without_work),
}

LOADS: Mapping[str, Load] = {
    "ours": Load("recserve, uncached", "ours"),
    "cached": Load("recserve, cached", "ours", is_cached=True),
    "one": Load("recserve in one process", "one"),
    "seed": Load("seed service", "seed"),
    "seed-async": Load("seed service with async def", "seed-async"),
    "naive": Load("naive graph", "naive"),
    "empty": Load("empty graph", "empty"),
    "route": Load("empty route", "empty", path="/empty"),
}
