"""The plots of a report, each of one question."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from serve_app.fitting.report.canvas import ACCENT, INK, MAIN, OTHER, limits, sheet
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.figures import Figures
from serve_app.fitting.report.marks import (
    bars,
    broken,
    errors,
    height,
    intervals,
    legend,
    side_by_side,
    ticks,
)

Plot = Callable[[Facts, Figures], Figure | None]
"""Draws, or finds that there is nothing to draw."""

_COLOURS = (MAIN, ACCENT, OTHER)


def orders(facts: Facts, figures: Figures) -> Figure | None:
    """NDCG@10 of every order, best first."""
    found = {name: each["ndcg_at_10"] for name, each in figures.orders.items()}
    names = sorted(found, key=lambda name: found[name].mean)
    figure, axes = sheet(
        height(len(names)),
        "How good the lists are, 95 % intervals",
        "NDCG@10 (further right is better)",
    )
    intervals(axes, names, [found[name] for name in names], facts.main)
    axes.set(xlim=limits([each.high for each in found.values()]))
    return figure


def ratios(facts: Facts, figures: Figures) -> Figure | None:
    """How many times as good the main variant is as what it must beat."""
    known = {each.other: each.ratio for each in facts.verdict.judgements if each.ratio is not None}
    if not known:
        return None
    names = sorted(known, key=lambda name: -known[name].mean)
    figure, axes = sheet(
        height(len(names)),
        f"How many times as good {facts.main} is as each, 95 % intervals",
        f"NDCG@{facts.verdict.k} of {facts.main} ÷ that of the other, same users",
    )
    intervals(axes, names, [known[name] for name in names], facts.main)
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    axes.set_xscale("log")
    steps = ticks(known.values())
    axes.xaxis.set_major_locator(FixedLocator(steps))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(steps, [f"{step:g}×" for step in steps])
    return figure


def activity(facts: Facts, figures: Figures) -> Figure | None:
    """NDCG@10 by how much a user had bought before."""
    labels = [f"{each.label}\n({each.n_users:,})" for each in figures.activity]
    figure, axes = sheet(
        3.1, "For whom the lists are good, 95 % intervals", "purchases before the window (users)"
    )
    side_by_side(axes, labels, [each.ndcg for each in figures.activity])
    legend(figure)
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
    bars(axes, [broken(each.label) for each in groups], series)
    legend(figure)
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
    side_by_side(axes, [broken(each.label) for each in groups], [each.recall for each in groups])
    legend(figure)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set(ylabel="share found in the first ten")
    return figure


def sources(facts: Facts, figures: Figures) -> Figure | None:
    """Which sources had offered what is recommended, and what was bought of it."""
    groups = sorted(figures.sources, key=lambda each: each.hit)
    places = np.arange(len(groups))
    figure, axes = sheet(
        height(2.2 * len(groups)),
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
    legend(figure, reverse=True)
    axes.set(xlim=(0, 1))
    return figure


def gains(facts: Facts, figures: Figures) -> Figure | None:
    """The features that the main variant gains most from."""
    shares = figures.gains.get(facts.main, {})
    if not shares:
        return None
    names = list(shares)[::-1]
    figure, axes = sheet(
        height(0.85 * len(names)), f"What {facts.main} looks at", "share of the gain of all splits"
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
        height(1.3 * len(found)),
        "Did a source know the future? 95 % intervals",
        "NDCG@10 of the source alone (a leak: orange far right of blue)",
    )
    places = np.arange(len(found))
    for shift, colour, label, values in (
        (0.13, ACCENT, "window that is learnt from", [each.learnt for each in found]),
        (-0.13, MAIN, "window after it", [each.later for each in found]),
    ):
        errors(axes, places + shift, values, colour, label)
    axes.set_yticks(places, [each.source for each in found])
    axes.grid(axis="x")
    axes.margins(y=0.1)
    legend(figure)
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
