"""Draws marks on sheets and turns sheets into bytes; only this module imports matplotlib."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter
from numpy.typing import NDArray

from serve_app.fitting.judging.window_results import FUSED, POPULARITY, SERVED
from serve_app.measuring.bootstrap import Interval

Sheet = Figure

INK = "#24292f"
MAIN = "#2e86de"
OTHER = "#8d96a0"
ACCENT = "#e67e22"
"""Colours that are legible on white and on black; the page replaces the ink by its own."""

_STYLE: Mapping[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "figure.titlesize": 10.0,
    "figure.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "legend.columnspacing": 1.5,
    "legend.handlelength": 1.2,
    "lines.markersize": 5.0,
    # Without a fixed salt the ids of an SVG are random, and equal drawings differ in bytes.
    "svg.hashsalt": "recserve",
    "svg.fonttype": "none",
}


@contextmanager
def use_style() -> Iterator[None]:
    """Plots are drawn and written inside; the machine's own settings have no effect there."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def make_sheet(
    height_inches: float, title: str, xlabel: str, ylabel: str = ""
) -> tuple[Sheet, Axes]:
    """A sheet whose title and label have the full width, however long the row names are."""
    # Narrow: letters stay readable when a phone shows the whole width.
    figure = Figure(figsize=(4.8, height_inches), layout="constrained")
    # Its own canvas: pyplot would keep every figure alive and choose a backend by the machine.
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, horizontalalignment="left")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, loc="right")
    axes.set_ylabel(ylabel)
    return figure, axes


def as_png(sheet: Sheet) -> bytes:
    buffer = BytesIO()
    sheet.savefig(buffer, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def as_svg(sheet: Sheet, name: str) -> str:
    """An ``<svg>`` element to stand inside a page, in the page's own colour of letters.

    The name of the plot becomes the prefix of all ids, which are unique in the page.
    """
    # Matplotlib would write its version and the time here.
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    buffer = BytesIO()
    sheet.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    # Without a size of its own the drawing scales to the width of the page.
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", text)


def height_of(n_rows: float) -> float:
    """Inches of a sheet with so many rows."""
    return 1.1 + 0.24 * n_rows


def limits_from_zero(values: Sequence[float]) -> tuple[float, float]:
    """From zero to a little more than the largest value."""
    return 0.0, 1.04 * max([*values, 1e-9])


def round_ratios(ratios: Collection[Interval]) -> list[float]:
    """Round ratios on an axis that shows some intervals; fewer of them on a long axis."""
    low = min(0.95, *(ratio.low for ratio in ratios))
    high = max(1.05, *(ratio.high for ratio in ratios))
    steps = (0.5, 0.7, 1, 1.5, 2, 3, 5) if high < 8 * low else (0.1, 0.3, 1, 3, 10, 30, 100, 300)
    return [step for step in steps if low <= step <= high]


def fix_ticks(axis: Axis, positions: Sequence[float]) -> None:
    """Ticks stand at these positions and nowhere else."""
    axis.set_major_locator(FixedLocator(positions))
    axis.set_minor_locator(NullLocator())


def show_percent(axis: Axis, decimals: int | None = None) -> None:
    """Shares from 0 to 1 are shown as percentages."""
    axis.set_major_formatter(PercentFormatter(1.0, decimals=decimals))


def draw_intervals(axes: Axes, names: Sequence[str], values: Sequence[Interval], main: str) -> None:
    """Draws one row per name, the last on top."""
    colours = {main: MAIN, f"{main}_diverse": MAIN, SERVED: ACCENT}
    for colour in (MAIN, ACCENT, OTHER):
        rows = [i for i, name in enumerate(names) if colours.get(name, OTHER) == colour]
        draw_errors(axes, np.array(rows, float), [values[i] for i in rows], colour, "")
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="x")
    axes.margins(y=0.06)


def draw_errors(
    axes: Axes, rows: NDArray[np.floating], values: Sequence[Interval], colour: str, label: str
) -> None:
    """Draws means with their intervals along the horizontal axis."""
    means = [value.mean for value in values]
    axes.errorbar(means, rows, xerr=_spread(values), fmt="o", color=colour, capsize=2, label=label)


def _spread(values: Sequence[Interval]) -> list[list[float]]:
    """Lengths of the intervals below and above their means."""
    # Rounding may put a mean just outside its interval, and matplotlib refuses negative lengths.
    return [
        [max(0.0, value.mean - value.low) for value in values],
        [max(0.0, value.high - value.mean) for value in values],
    ]


def draw_side_by_side(
    axes: Axes, labels: Sequence[str], groups: Sequence[Mapping[str, Interval]]
) -> None:
    """Draws the intervals of a few orders in each group."""
    names = list(dict.fromkeys(name for group in groups for name in group))
    colours = {FUSED: ACCENT, POPULARITY: OTHER}
    for i, name in enumerate(names):
        xs = np.arange(len(groups)) + 0.16 * (i - (len(names) - 1) / 2)
        values = [group[name] for group in groups]
        means, colour = [value.mean for value in values], colours.get(name, MAIN)
        axes.errorbar(xs, means, yerr=_spread(values), fmt="o", color=colour, capsize=2, label=name)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(axis="y")
    axes.set_ylim(bottom=0)


def draw_bars(
    axes: Axes, labels: Sequence[str], series: Mapping[str, tuple[list[float], str]]
) -> None:
    """Draws groups of bars; a series has its values and its colour."""
    width = 0.8 / len(series)
    for i, (label, (values, colour)) in enumerate(series.items()):
        xs = np.arange(len(labels)) + width * (i - (len(series) - 1) / 2)
        axes.bar(xs, values, 0.9 * width, color=colour, label=label)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(axis="y")


def break_label(label: str) -> str:
    """Two lines instead of one: labels of neighbours do not meet."""
    return "\n".join(label.rsplit(" ", 1))


def add_legend(sheet: Sheet, *, reverse: bool = False) -> None:
    """Adds a legend below the plot, where it hides nothing."""
    handles, labels = sheet.axes[0].get_legend_handles_labels()
    step = -1 if reverse else 1
    sheet.legend(handles[::step], labels[::step], loc="outside lower center", ncols=3, fontsize=8)
