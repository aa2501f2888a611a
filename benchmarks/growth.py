"""Measures how speed and memory grow with items, users, candidates, replicas and batch sizes."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bigger_catalogue import enlarged
from benchmarks.home import SHOP, Home, forget_answers, warm
from benchmarks.more_users import more_users
from benchmarks.processes import Usage
from benchmarks.services import SERVICES
from benchmarks.serving import Change, Running, serve
from benchmarks.wrk import ClosedRun, run_wrk
from serve_app.bundles.publishing import publish
from serve_app.recommending.scoring.model_features import SOURCES

STAGES = ("FeatureFetcher", "CandidateGenerator", "Ranker", "Scorer-")

N_CANDIDATES = (100, 1_000)
"""In addition to the default number."""

MAX_BATCH = (1, 8, 32, 64, 128)
MAX_IN_FLIGHT = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Case:
    """
    Attributes:
        name: of the grown quantity, e.g. "catalogue".
        size: of the quantity.
        change: of the configuration.
        n_more_users: users in the stores in addition to those of the shop.
    """

    name: str
    size: int
    change: Change
    n_more_users: int = 0


@dataclass(frozen=True, slots=True)
class Grown:
    """
    Attributes:
        alone: with one connection.
        loaded: with 64 connections.
        memory: by label of the processes.
    """

    case: Case
    alone: ClosedRun
    loaded: ClosedRun
    memory: Mapping[str, Usage]


def cases(
    home: Home, n_items: tuple[int, ...], n_users: tuple[int, ...], n_replicas: tuple[int, ...]
) -> list[Case]:
    """
    List the cases; missing larger bundles are made.

    Every stage has one replica unless replicas grow. Replicas grow on the largest catalogue.
    """
    folders = {n: bundles_of(home, n) for n in sorted(n_items)}
    largest = folders[max(n_items)]
    return [
        *(Case("catalogue", n, _with_replicas(1, folder)) for n, folder in folders.items()),
        *(Case("users", n, _with_replicas(1), n - SHOP.n_users) for n in n_users),
        *(Case("candidates", n, _with_candidates(n)) for n in N_CANDIDATES),
        *(Case("replicas", n, _with_replicas(n, largest)) for n in n_replicas),
    ]


def batch_cases() -> list[Case]:
    """List cases of the number of requests per batch and of batches in flight."""
    sizes = [Case("max_batch", n, _with_batches(max_batch=n)) for n in MAX_BATCH]
    return sizes + [Case("max_in_flight", n, _with_batches(max_in_flight=n)) for n in MAX_IN_FLIGHT]


def grown(home: Home, case: Case, seconds: int) -> Grown:
    warm(home)
    with more_users(home, case.n_more_users), serve(home, change=case.change) as running:
        _run(running, 16, 2)
        return Grown(case, _run(running, 1, seconds), _run(running, 64, seconds), _memory(running))


def bundles_of(home: Home, n_items: int) -> Path:
    """Make a root with the shop's bundle, its catalogue enlarged to ``n_items``."""
    root = home.folder / f"bundles-{n_items}"
    if not (root / "current").exists():
        shutil.rmtree(root, ignore_errors=True)
        manifest = home.bundle().manifest
        publish(str(root), enlarged(home.bundle(), n_items), created_at=manifest.created_at)
    return root


def memory_per_replica(one: Grown, two: Grown, stage: str) -> float:
    """Megabytes of the second replica of a stage."""
    return (two.memory[stage].pss_mb - one.memory[stage].pss_mb) / (
        two.memory[stage].n - one.memory[stage].n
    )


def memory_of_empty(home: Home) -> float:
    """Mean megabytes of a replica of the empty graph."""
    with SERVICES["empty"](home) as running:
        _run(running, 16, 2)
        found = _memory(running)
    stages = [use for name, use in found.items() if name.startswith(STAGES)]
    return sum(use.pss_mb for use in stages) / sum(use.n for use in stages)


def _run(running: Running, connections: int, seconds: int) -> ClosedRun:
    forget_answers(running.home)
    return run_wrk(running.url, running.home.users, connections=connections, duration_s=seconds)


def _memory(running: Running) -> Mapping[str, Usage]:
    return running.usage(with_memory=True)


def _args(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config["applications"][0]["args"]
    return found


def _with_batches(**settings: int) -> Change:
    return lambda config: _args(config)["coalescing"].update(settings)


def _with_candidates(n: int) -> Change:
    """Raise the limit of every source along with the number of candidates."""

    def change(config: dict[str, Any]) -> None:
        _with_replicas(1)(config)
        limits = {source: {"limit": min(1_000, n)} for source in SOURCES}
        _args(config)["candidates"] = {"max_candidates": n, **limits}

    return change


def _with_replicas(n: int, root: Path | None = None) -> Change:
    """
    Args:
        root: of the bundles; ``None`` for the shop's.
    """

    def change(config: dict[str, Any]) -> None:
        if root is not None:
            _args(config)["bundles"] = str(root)
        for deployment in config["applications"][0]["deployments"]:
            if deployment["name"] != "Ingress":
                del deployment["autoscaling_config"]
                deployment["num_replicas"] = n
                # All replicas together claim the CPUs of one: else some would not start.
                deployment["ray_actor_options"]["num_cpus"] /= n

    return change
