"""Measures services under closed loops in turns (A B A B), each one started alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks.figures import Figure
from benchmarks.home import Home, forget_answers, warm
from benchmarks.processes import Usage, cpu_ms_per_request
from benchmarks.seed_service.filling import warm_seed
from benchmarks.services import LOADS, SERVICES, Load
from benchmarks.serving import Running
from benchmarks.wrk import ClosedRun, run_wrk

N_CACHED_USERS = 500
_SETTLING_DEADLINE_S = 30.0
_WARM_UP_SKIP = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Attributes:
        seconds: duration of each run.
    """

    rounds: int = 2
    connections: tuple[int, ...] = (1, 16, 64, 128)
    seconds: int = 6


@dataclass(frozen=True, slots=True)
class Point:
    """
    One run of one load.

    Attributes:
        load: key of ``LOADS``.
        cpu_ms: per request, by label of the processes.
    """

    load: str
    connections: int
    run: ClosedRun
    cpu_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Turn:
    """
    Attributes:
        memory: at the end, by label of the processes.
    """

    service: str
    points: Sequence[Point]
    memory: Mapping[str, Usage]


def turns(
    home: Home,
    loads: Sequence[str],
    plan: Plan,
    progress: Callable[[str, float], None],
    before: Callable[[Running], None] = lambda running: None,
) -> list[Turn]:
    """
    Args:
        loads: keys of ``LOADS``; loads of one service share a start.
        before: is called once per service, before anything is timed.
    """
    services = list(dict.fromkeys(LOADS[name].service for name in loads))
    steps = [(turn, service) for turn in range(plan.rounds) for service in services]
    done = []
    for i, (turn, service) in enumerate(steps):
        progress("closed loops", i / len(steps))
        service_loads = [name for name in loads if LOADS[name].service == service]
        warm(home)
        warm_seed(home.urls)
        with SERVICES[service](home) as running:
            if not turn:
                before(running)
            done.append(_turn(running, service, service_loads, plan))
    progress("closed loops", 1.0)
    return done


def _turn(running: Running, service: str, loads: Sequence[str], plan: Plan) -> Turn:
    points = []
    for name in loads:
        load, users = LOADS[name], running.home.users
        if load.is_cached:
            users = _few_users(running.home)
        _warm_up(running, load, users)
        for connections in plan.connections:
            points.append(_point(running, name, users, connections, plan.seconds))
    return Turn(service, points, running.usage(with_memory=True))


def _few_users(home: Home) -> Path:
    path = home.folder / "few_users.txt"
    path.write_text("\n".join(home.user_ids()[:N_CACHED_USERS]) + "\n")
    return path


def _warm_up(running: Running, load: Load, users: Path) -> None:
    """Open connections and load code; compute the answers of a cached load."""
    skip = 0 if load.is_cached else _WARM_UP_SKIP
    for connections in (1, 16):
        run_wrk(
            running.url,
            users,
            connections=connections,
            duration_s=1,
            path=load.path,
            skip=skip,
            is_repeated=load.is_cached,
        )


def _point(running: Running, name: str, users: Path, connections: int, seconds: int) -> Point:
    load = LOADS[name]
    if not load.is_cached:
        forget_answers(running.home)
    _settle(running, load)
    before = running.usage()
    run = run_wrk(
        running.url,
        users,
        connections=connections,
        duration_s=seconds,
        path=load.path,
        is_repeated=load.is_cached,
    )
    after = running.usage()
    return Point(name, connections, run, cpu_ms_per_request(before, after, max(run.n_answers, 1)))


def _settle(running: Running, load: Load) -> None:
    """Wait until the previous run's requests are answered: a new request queues behind them."""
    requests.post(running.url + load.path, json={"user_id": "nobody"}, timeout=_SETTLING_DEADLINE_S)


def select(points: Sequence[Point], load: str, connections: int) -> list[Point]:
    return [each for each in points if (each.load, each.connections) == (load, connections)]


def saturation(points: Sequence[Point], load: str) -> int:
    """Number of connections with the highest median throughput."""
    numbers = {each.connections for each in points if each.load == load}
    return max(
        numbers,
        key=lambda n: Figure.of(each.run.throughput for each in select(points, load, n)).median,
    )
