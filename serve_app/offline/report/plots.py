"""The plots of a report, each of one question."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter
from numpy.typing import NDArray

from serve_app.offline.evaluation.bootstrap import Interval
from serve_app.offline.measured import FUSED, POPULARITY, SERVED
from serve_app.offline.report.canvas import ACCENT, INK, MAIN, OTHER, limits, sheet
from serve_app.offline.report.facts import Facts
from serve_app.offline.report.figures import Figures

Plot = Callable[[Facts, Figures], Figure | None]
"""Draws, or finds that there is nothing to draw."""

_ROW_INCHES = 0.24


def orders(facts: Facts, figures: Figures) -> Figure | None:
    """NDCG@10 of every order, best first."""
    found = {name: each["ndcg_at_10"] for name, each in figures.orders.items()}
    names = sorted(found, key=lambda name: found[name].mean)
    figure, axes = sheet(
        _height(len(names)),
        "How good the lists are, 95 % intervals",
        "NDCG@10 (further right is better)",
    )
    _intervals(axes, names, [found[name] for name in names], facts.main)
    axes.set(xlim=limits([each.high for each in found.values()]))
    return figure


def ratios(facts: Facts, figures: Figures) -> Figure | None:
    """How many times as good the main variant is as what it must beat."""
    known = {each.other: each.ratio for each in facts.verdict.judgements if each.ratio is not None}
    if not known:
        return None
    names = sorted(known, key=lambda name: -known[name].mean)
    figure, axes = sheet(
        _height(len(names)),
        f"How many times as good {facts.main} is as each, 95 % intervals",
        f"NDCG@{facts.verdict.k} of {facts.main} ÷ that of the other, same users",
    )
    _intervals(axes, names, [known[name] for name in names], facts.main)
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    ticks = [tick for tick in (0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50) if _within(tick, known)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    return figure


def activity(facts: Facts, figures: Figures) -> Figure | None:
    """NDCG@10 by how much a user had bought before."""
    labels = [f"{each.label}\n({each.n_users:,})" for each in figures.activity]
    figure, axes = sheet(
        3.1, "For whom the lists are good, 95 % intervals", "purchases before the window (users)"
    )
    _side_by_side(axes, labels, [each.ndcg for each in figures.activity])
    _legend(figure)
    axes.set(ylabel="NDCG@10")
    return figure


def ages(facts: Facts, figures: Figures) -> Figure | None:
    """What is recommended and what is bought, by the age of items."""
    groups = figures.ages
    figure, axes = sheet(
        3.1,
        f"How old the items are that {facts.main} recommends",
        "age of the item when the window began",
    )
    series = {
        "all items": ([each.listed for each in groups], OTHER),
        "recommended": ([each.recommended for each in groups], MAIN),
        "bought": ([each.bought for each in groups], ACCENT),
    }
    _bars(axes, [each.label for each in groups], series)
    _legend(figure)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set(ylabel="share")
    return figure


def age_recall(facts: Facts, figures: Figures) -> Figure | None:
    """How much of what was bought was found, by the age of items."""
    groups = [each for each in figures.ages if each.recall]
    figure, axes = sheet(
        3.1,
        "Of which age the bought items are found, 95 % intervals",
        "age of the item when the window began",
    )
    _side_by_side(axes, [each.label for each in groups], [each.recall for each in groups])
    _legend(figure)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set(ylabel="share found in the first ten")
    return figure


def sources(facts: Facts, figures: Figures) -> Figure | None:
    """Which sources had offered what is recommended, and what was bought of it."""
    groups = sorted(figures.sources, key=lambda each: each.hit)
    places = np.arange(len(groups))
    figure, axes = sheet(
        _height(2.2 * len(groups)),
        f"Where the first ten of {facts.main} come from",
        "share that the source had offered (several may offer one item)",
    )
    for i, (label, colour, values) in enumerate(
        (
            ("hits that it alone offered", OTHER, [each.alone for each in groups]),
            ("hits", ACCENT, [each.hit for each in groups]),
            ("recommended", MAIN, [each.recommended for each in groups]),
        )
    ):
        axes.barh(places + 0.27 * (i - 1), values, 0.25, color=colour, label=label)
    axes.set_yticks(places, [each.source for each in groups])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="x")
    _legend(figure, reverse=True)
    axes.set(xlim=(0, 1))
    return figure


def gains(facts: Facts, figures: Figures) -> Figure | None:
    """The features that the main variant gains most from."""
    shares = figures.gains.get(facts.main, {})
    if not shares:
        return None
    names = list(shares)[::-1]
    figure, axes = sheet(
        _height(0.85 * len(names)), f"What {facts.main} looks at", "share of the gain of all splits"
    )
    axes.barh(names, [shares[name] for name in names], 0.7, color=MAIN)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="x")
    axes.margins(y=0.01)
    return figure


def calibration(facts: Facts, figures: Figures) -> Figure | None:
    """Predicted against observed probability."""
    if not figures.calibration:
        return None
    figure, axes = sheet(
        3.6, "Whether probabilities come true", "predicted probability that a candidate is bought"
    )
    ends: list[float] = []
    for (name, bins), colour in zip(figures.calibration.items(), _COLOURS, strict=False):
        known = [each for each in bins if each.observed > 0]
        xs, ys = [each.predicted for each in known], [each.observed for each in known]
        axes.plot(xs, ys, color=colour, marker="o", label=name)
        ends += [*xs, *ys]
    low, high = 0.7 * min(ends), min(1.0, 1.4 * max(ends))
    axes.plot([low, high], [low, high], color=INK, linestyle="--", linewidth=1, label="perfect")
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.grid()
    axes.legend()
    axes.set(ylabel="share that was bought")
    return figure


def leaks(facts: Facts, figures: Figures) -> Figure | None:
    """Each source in the window that is learnt from and in the one after it."""
    found = sorted(facts.leaks, key=lambda each: each.later.mean)
    if not found:
        return None
    figure, axes = sheet(
        _height(1.3 * len(found)),
        "Did a source know the future? 95 % intervals",
        "NDCG@10 of the source alone (a leak: orange far right of blue)",
    )
    places = np.arange(len(found))
    for shift, colour, label, values in (
        (0.13, ACCENT, "window that is learnt from", [each.learnt for each in found]),
        (-0.13, MAIN, "window after it", [each.later for each in found]),
    ):
        _errors(axes, places + shift, values, colour, label)
    axes.set_yticks(places, [each.source for each in found])
    axes.grid(axis="x")
    axes.margins(y=0.1)
    _legend(figure)
    axes.set(xlim=limits([each.high for leak in found for each in (leak.learnt, leak.later)]))
    return figure


PLOTS: Mapping[str, Plot] = {
    "orders": orders,
    "ratios": ratios,
    "activity": activity,
    "ages": ages,
    "age_recall": age_recall,
    "sources": sources,
    "gains": gains,
    "calibration": calibration,
    "leaks": leaks,
}

_COLOURS = (MAIN, ACCENT, OTHER)


def _height(n_rows: float) -> float:
    return 1.1 + _ROW_INCHES * n_rows


def _within(tick: float, known: Mapping[str, Interval]) -> bool:
    lows, highs = [each.low for each in known.values()], [each.high for each in known.values()]
    return min(0.95, *lows) <= tick <= max(1.05, *highs)


def _intervals(axes: Axes, names: Sequence[str], values: Sequence[Interval], main: str) -> None:
    """One row per name, the last on top."""
    groups = {
        MAIN: [i for i, name in enumerate(names) if name in (main, f"{main}_diverse")],
        ACCENT: [i for i, name in enumerate(names) if name == SERVED],
    }
    groups[OTHER] = [i for i in range(len(names)) if i not in groups[MAIN] + groups[ACCENT]]
    for colour, places in groups.items():
        _errors(axes, np.array(places, float), [values[i] for i in places], colour, "")
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="x")
    axes.margins(y=0.06)


def _errors(
    axes: Axes, places: NDArray[np.floating], values: Sequence[Interval], colour: str, label: str
) -> None:
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


def _side_by_side(
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


def _bars(axes: Axes, labels: Sequence[str], series: Mapping[str, tuple[list[float], str]]) -> None:
    width = 0.8 / len(series)
    for i, (label, (values, colour)) in enumerate(series.items()):
        places = np.arange(len(labels)) + width * (i - (len(series) - 1) / 2)
        axes.bar(places, values, 0.9 * width, color=colour, label=label)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(axis="y")


def _legend(figure: Figure, *, reverse: bool = False) -> None:
    """Below the plot, where it hides nothing."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    step = -1 if reverse else 1
    figure.legend(handles[::step], labels[::step], loc="outside lower center", ncols=3, fontsize=8)
