"""Writes the section on the closed loops: throughput, latency, CPU, memory and goals."""

from collections.abc import Callable, Mapping, Sequence

from benchmarks.closed_loop import Point, Turn, saturation, select
from benchmarks.figures import Figure, ratio_of_medians, rounded
from benchmarks.markdown import Section, Table
from benchmarks.services import LOADS

_COLUMNS: Mapping[str, Callable[[Point], float]] = {
    "requests/s": lambda point: point.run.throughput,
    "p50 ms": lambda point: point.run.p50_ms,
    "p95 ms": lambda point: point.run.p95_ms,
    "p99 ms": lambda point: point.run.p99_ms,
    "p99.9 ms": lambda point: point.run.p999_ms,
    "CPU ms/request": lambda point: sum(point.cpu_ms.values()),
}

_COUNTS: Mapping[str, Callable[[Point], int]] = {
    "failed": lambda point: point.run.n_failed,
    "refused": lambda point: point.run.n_refused,
    "degraded": lambda point: point.run.n_degraded,
    "cached": lambda point: point.run.n_cached,
}


def closed_section(done: Sequence[Turn], notes: Sequence[str]) -> Section:
    points = [point for turn in done for point in turn.points]
    return Section(
        "Closed loops",
        [
            "Medians over the turns, with the lowest and highest value in brackets. Each service"
            " runs alone; wrk shares its cores. The seed service is a conventional service in one"
            " process. The naive graph runs recserve's stages on Ray's defaults. The empty graph"
            " has recserve's hops without work.",
            *notes,
            _figures(points),
            "### Ratios of medians",
            Table(["ratio", "measured", "goal"], list(_goals(points))),
            "### CPU milliseconds per request, by process",
            *_cpu(points),
            "### Memory (PSS, MB) at the end of a turn",
            *_memory(done),
        ],
    )


def _combinations(points: Sequence[Point]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((each.load, each.connections) for each in points))


def _figures(points: Sequence[Point]) -> Table:
    rows = []
    for load, connections in sorted(_combinations(points), key=lambda each: each[1]):
        own = select(points, load, connections)
        figures = [str(Figure.of(map(column, own))) for column in _COLUMNS.values()]
        counts = [str(sum(map(count, own))) for count in _COUNTS.values()]
        rows.append([LOADS[load].title, str(connections), *figures, *counts])
    return Table(["service", "connections", *_COLUMNS, *_COUNTS], rows)


def _goals(points: Sequence[Point]) -> list[list[str]]:
    measured = {each.load for each in points}
    lines = []
    for other, goal in (("seed", "≥ 5 ×"), ("seed-async", "≥ 5 ×"), ("naive", "≥ 20 ×")):
        if {"ours", other} <= measured:
            lines.append(_throughput(points, other, goal))
            lines.append(_p99(points, other))
    for load, other, goal in (("ours", "empty", "≤ 1.3 ×"), ("cached", "route", "≤ 1.3 ×")):
        if {load, other} <= measured and 1 in {each.connections for each in points}:
            ratio = _ratio(points, load, other, 1, _COLUMNS["p50 ms"])
            what = f"p50 at one connection, {LOADS[load].title} / {LOADS[other].title}"
            lines.append([what, f"{rounded(ratio)} ×", goal])
    return lines


def _throughput(points: Sequence[Point], other: str, goal: str) -> list[str]:
    ours, theirs = saturation(points, "ours"), saturation(points, other)
    ratio = ratio_of_medians(
        (each.run.throughput for each in select(points, "ours", ours)),
        (each.run.throughput for each in select(points, other, theirs)),
    )
    what = (
        f"requests/s at saturation, recserve ({ours}) / {LOADS[other].title} ({theirs} connections)"
    )
    return [what, f"{rounded(ratio)} ×", goal]


def _p99(points: Sequence[Point], other: str) -> list[str]:
    connections = saturation(points, "ours")
    ratio = _ratio(points, "ours", other, connections, _COLUMNS["p99 ms"])
    what = f"p99 at {connections} connections, recserve / {LOADS[other].title}"
    return [what, f"{rounded(ratio)} ×", "≤ 1 ×"]


def _ratio(
    points: Sequence[Point], load: str, other: str, connections: int, of: Callable[[Point], float]
) -> float:
    return ratio_of_medians(
        map(of, select(points, load, connections)), map(of, select(points, other, connections))
    )


def _cpu(points: Sequence[Point]) -> list[str | Table]:
    tables: list[str | Table] = []
    for load in dict.fromkeys(each.load for each in points):
        combinations = [each for each in _combinations(points) if each[0] == load]
        labels = list(dict.fromkeys(name for p in points if p.load == load for name in p.cpu_ms))
        rows = [
            [label, *(_cpu_of(select(points, *each), label) for each in combinations)]
            for label in labels
        ]
        heads = [f"{connections} connections" for _, connections in combinations]
        tables.append(Table([LOADS[load].title, *heads], rows))
    return tables


def _cpu_of(points: Sequence[Point], label: str) -> str:
    return str(Figure.of(each.cpu_ms.get(label, 0.0) for each in points))


def _memory(done: Sequence[Turn]) -> list[str | Table]:
    tables: list[str | Table] = []
    for service in dict.fromkeys(turn.service for turn in done):
        last = [turn for turn in done if turn.service == service][-1].memory
        rows = [[label, str(use.n), f"{use.pss_mb:.0f}"] for label, use in last.items()]
        rows.append(["all", "", f"{sum(use.pss_mb for use in last.values()):.0f}"])
        tables.append(Table([service, "processes", "MB"], rows))
    return tables
