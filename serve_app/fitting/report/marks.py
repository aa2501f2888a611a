"""Marks that several plots share: intervals, bars, ticks and legends."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from serve_app.fitting.judging.measured import FUSED, POPULARITY, SERVED
from serve_app.fitting.report.canvas import ACCENT, MAIN, OTHER
from serve_app.measuring.bootstrap import Interval

_ROW_INCHES = 0.24


def height(n_rows: float) -> float:
    """Inches of a sheet with so many rows."""
    return 1.1 + _ROW_INCHES * n_rows


def ticks(ratios: Collection[Interval]) -> list[float]:
    """Round ratios that the axis covers; fewer of them on a long one."""
    low = min(0.95, *(each.low for each in ratios))
    high = max(1.05, *(each.high for each in ratios))
    steps = (0.5, 0.7, 1, 1.5, 2, 3, 5) if high < 8 * low else (0.1, 0.3, 1, 3, 10, 30, 100, 300)
    return [step for step in steps if low <= step <= high]


def intervals(axes: Axes, names: Sequence[str], values: Sequence[Interval], main: str) -> None:
    """One row per name, the last on top."""
    groups = {
        MAIN: [i for i, name in enumerate(names) if name in (main, f"{main}_diverse")],
        ACCENT: [i for i, name in enumerate(names) if name == SERVED],
    }
    groups[OTHER] = [i for i in range(len(names)) if i not in groups[MAIN] + groups[ACCENT]]
    for colour, places in groups.items():
        errors(axes, np.array(places, float), [values[i] for i in places], colour, "")
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="x")
    axes.margins(y=0.06)


def errors(
    axes: Axes, places: NDArray[np.floating], values: Sequence[Interval], colour: str, label: str
) -> None:
    """Means with their intervals along the horizontal axis."""
    means = [each.mean for each in values]
    axes.errorbar(
        means, places, xerr=_spread(values), fmt="o", color=colour, capsize=2, label=label
    )


def _spread(values: Sequence[Interval]) -> list[list[float]]:
    """How far the intervals go below and above; rounding may put a mean outside its own."""
    return [
        [max(0.0, each.mean - each.low) for each in values],
        [max(0.0, each.high - each.mean) for each in values],
    ]


def side_by_side(
    axes: Axes, labels: Sequence[str], groups: Sequence[Mapping[str, Interval]]
) -> None:
    """Intervals of a few orders in each of some groups."""
    names = list(dict.fromkeys(name for each in groups for name in each))
    colours = {FUSED: ACCENT, POPULARITY: OTHER}
    for i, name in enumerate(names):
        places = np.arange(len(groups)) + 0.16 * (i - (len(names) - 1) / 2)
        values = [each[name] for each in groups]
        means, colour = [each.mean for each in values], colours.get(name, MAIN)
        axes.errorbar(
            places, means, yerr=_spread(values), fmt="o", color=colour, capsize=2, label=name
        )
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(axis="y")
    axes.set_ylim(bottom=0)


def bars(axes: Axes, labels: Sequence[str], series: Mapping[str, tuple[list[float], str]]) -> None:
    """Groups of bars; of each series its values and colour."""
    width = 0.8 / len(series)
    for i, (label, (values, colour)) in enumerate(series.items()):
        places = np.arange(len(labels)) + width * (i - (len(series) - 1) / 2)
        axes.bar(places, values, 0.9 * width, color=colour, label=label)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(axis="y")


def broken(label: str) -> str:
    """On two lines, so that neighbours do not meet."""
    return "\n".join(label.rsplit(" ", 1))


def legend(figure: Figure, *, reverse: bool = False) -> None:
    """Below the plot, where it hides nothing."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    step = -1 if reverse else 1
    figure.legend(handles[::step], labels[::step], loc="outside lower center", ncols=3, fontsize=8)
