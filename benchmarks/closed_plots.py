"""Plots the closed loops, if matplotlib is installed."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.closed_loop import Point, Turn, select
from benchmarks.figures import Figure
from benchmarks.services import LOADS


def plot_closed(done: Sequence[Turn], folder: Path) -> list[Path]:
    """Plot throughput and p99 by connections; return the written files."""
    try:
        from matplotlib.figure import Figure as Canvas
    except ModuleNotFoundError:
        return []
    points = [point for turn in done for point in turn.points]
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, label, of in (
        ("throughput", "requests/s", _throughput),
        ("p99", "p99 in ms", _p99),
    ):
        canvas = Canvas(figsize=(7, 4.5), layout="constrained")
        axes = canvas.add_subplot(
            xscale="log", yscale="log", xlabel="connections", ylabel=label, title=label
        )
        for load in dict.fromkeys(each.load for each in points):
            xs, middles, below, above = curve(points, load, of)
            axes.errorbar(xs, middles, [below, above], marker="o", label=LOADS[load].title)
        axes.set_xticks(xs, map(str, xs))
        axes.grid(visible=True, alpha=0.3)
        canvas.legend(loc="outside lower center", ncols=3, fontsize="small")
        canvas.savefig(folder / f"{name}.png", dpi=120)
        written.append(folder / f"{name}.png")
    return written


def curve(
    points: Sequence[Point], load: str, of: Callable[[Point], float]
) -> tuple[list[int], list[float], list[float], list[float]]:
    """Connections, medians, and distances of the range below and above each median."""
    xs = sorted({each.connections for each in points if each.load == load})
    figures = [Figure.of(map(of, select(points, load, x))) for x in xs]
    return (
        xs,
        [each.median for each in figures],
        [each.median - each.low for each in figures],
        [each.high - each.median for each in figures],
    )


def _throughput(point: Point) -> float:
    return point.run.throughput


def _p99(point: Point) -> float:
    return point.run.p99_ms
