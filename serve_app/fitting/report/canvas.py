"""The sheet that plots are drawn on, and its bytes: the same drawing gives the same bytes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#24292f"
MAIN = "#2e86de"
OTHER = "#8d96a0"
ACCENT = "#e67e22"
"""Colours that read on white and on black; the ink becomes the page's own."""

_WIDTH_INCHES = 4.8
"""Narrow, so that letters stay readable when a phone shows the whole width."""

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
    "svg.hashsalt": "recserve",
    "svg.fonttype": "none",
}


@contextmanager
def style() -> Iterator[None]:
    """Plots are drawn and written within it; settings of the machine do not reach them."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def sheet(height_inches: float, title: str, xlabel: str) -> tuple[Figure, Axes]:
    """Title and label have the whole width, however long the names of the rows are."""
    figure = Figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, horizontalalignment="left")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, loc="right")
    return figure, axes


def as_png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=160, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def as_svg(figure: Figure, name: str) -> str:
    """
    A drawing for the middle of a page, in the page's own colour of letters.

    Args:
        name: of the plot; keeps its ids apart from those of other drawings.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", text)


_METADATA = ("Creator", "Date", "Format", "Type")


def limits(values: Sequence[float], room: float = 0.04) -> tuple[float, float]:
    """From zero to the largest value and some room."""
    return 0.0, (1 + room) * max([*values, 1e-9])
