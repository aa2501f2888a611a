"""Draws the plots of a report, one for each question."""

from collections.abc import Callable, Mapping
from itertools import cycle

import numpy as np

from serve_app.fitting.report import drawing
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.figures import Figures

Plot = Callable[[Facts, Figures], drawing.Sheet | None]
"""Draws a plot, or returns ``None`` where there is nothing to draw."""

_BARS_INCHES = 3.1

_AGE = "age of the item when the window began"


def draw_orders(facts: Facts, figures: Figures) -> drawing.Sheet | None:
    ndcg = {name: metrics["ndcg_at_10"] for name, metrics in figures.orders.items()}
    names = sorted(ndcg, key=lambda name: ndcg[name].mean)
    sheet, axes = drawing.make_sheet(
        drawing.height_of(len(names)),
        "How good the lists are, 95 % intervals",
        "NDCG@10 (further right is better)",
    )
    drawing.draw_intervals(axes, names, [ndcg[name] for name in names], facts.main)
    axes.set(xlim=drawing.limits_from_zero([value.high for value in ndcg.values()]))
    return sheet


def draw_ratios(facts: Facts, figures: Figures) -> drawing.Sheet | None:
    ratios = {
        judgement.other: judgement.ratio
        for judgement in facts.verdict.judgements
        if judgement.ratio is not None
    }
    if not ratios:
        return None
    names = sorted(ratios, key=lambda name: -ratios[name].mean)
    sheet, axes = drawing.make_sheet(
        drawing.height_of(len(names)),
        f"How many times as good {facts.main} is as each, 95 % intervals",
        f"NDCG@{facts.verdict.k} of {facts.main} ÷ that of the other, same users",
    )
    drawing.draw_intervals(axes, names, [ratios[name] for name in names], facts.main)
    axes.axvline(1, color=drawing.INK, linewidth=1, linestyle="--")
    # Twice as good and half as good are equally far from 1.
    axes.set_xscale("log")
    steps = drawing.round_ratios(ratios.values())
    drawing.fix_ticks(axes.xaxis, steps)
    axes.set_xticks(steps, [f"{step:g}×" for step in steps])
    return sheet


def draw_activity(facts: Facts, figures: Figures) -> drawing.Sheet | None:
    title = "For whom the lists are good, 95 % intervals"
    xlabel = "counted interactions before the moment (users)"
    sheet, axes = drawing.make_sheet(_BARS_INCHES, title, xlabel, "NDCG@10")
    labels = [f"{group.label}\n({group.n_users:,})" for group in figures.activity]
    drawing.draw_side_by_side(axes, labels, [group.ndcg for group in figures.activity])
    drawing.add_legend(sheet)
    return sheet


def draw_ages(facts: Facts, figures: Figures) -> drawing.Sheet | None:
    groups = figures.ages
    title = f"How old the items are that {facts.main} recommends"
    sheet, axes = drawing.make_sheet(_BARS_INCHES, title, _AGE, "share")
    series = {
        "all items": ([group.listed for group in groups], drawing.OTHER),
        "recommended": ([group.recommended for group in groups], drawing.MAIN),
        "wanted": ([group.wanted for group in groups], drawing.ACCENT),
    }
    drawing.draw_bars(axes, [drawing.break_label(group.label) for group in groups], series)
    drawing.add_legend(sheet)
    drawing.show_percent(axes.yaxis, decimals=0)
    return sheet


def draw_age_recall(facts: Facts, figures: Figures) -> drawing.Sheet | None:
    groups = [group for group in figures.ages if group.recall]
    title = "Of which age the wanted items are found, 95 % intervals"
    sheet, axes = drawing.make_sheet(_BARS_INCHES, title, _AGE, "share found in the first ten")
    labels = [drawing.break_label(group.label) for group in groups]
    drawing.draw_side_by_side(axes, labels, [group.recall for group in groups])
    drawing.add_legend(sheet)
    drawing.show_percent(axes.yaxis, decimals=0)
    return sheet


def draw_sources(facts: Facts, figures: Figures) -> drawing.Sheet | None:
    shares = sorted(figures.sources, key=lambda share: share.hit)
    rows = np.arange(len(shares))
    sheet, axes = drawing.make_sheet(
        drawing.height_of(2.2 * len(shares)),
        f"Where the first ten of {facts.main} come from",
        "share that the source had offered (several may offer one item)",
    )
    for shift, label, colour, values in (
        (-0.27, "hits that it alone offered", drawing.OTHER, [share.alone for share in shares]),
        (0, "hits", drawing.ACCENT, [share.hit for share in shares]),
        (0.27, "recommended", drawing.MAIN, [share.recommended for share in shares]),
    ):
        axes.barh(rows + shift, values, 0.25, color=colour, label=label)
    axes.set_yticks(rows, [share.source for share in shares])
    drawing.show_percent(axes.xaxis, decimals=0)
    axes.grid(axis="x")
    # Horizontal bars are drawn from below: reversed, the legend reads in their order.
    drawing.add_legend(sheet, reverse=True)
    axes.set(xlim=(0, 1))
    return sheet


def draw_gains(facts: Facts, figures: Figures) -> drawing.Sheet | None:
    shares = figures.gains.get(facts.main, {})
    if not shares:
        return None
    names = list(shares)[::-1]
    height = drawing.height_of(0.85 * len(names))
    title = f"What {facts.main} looks at"
    sheet, axes = drawing.make_sheet(height, title, "share of the gain of all splits")
    axes.barh(names, [shares[name] for name in names], 0.7, color=drawing.MAIN)
    drawing.show_percent(axes.xaxis)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="x")
    axes.margins(y=0.01)
    return sheet


def draw_calibration(facts: Facts, figures: Figures) -> drawing.Sheet | None:
    # Both axes are logarithmic and cannot show a bin without any wanted candidate.
    lines = {
        name: [(point.predicted, point.observed) for point in bins if point.observed > 0]
        for name, bins in figures.calibration.items()
    }
    ends = [end for points in lines.values() for point in points for end in point]
    if not ends:
        return None
    low, high = 0.7 * min(ends), min(1.0, 1.4 * max(ends))
    title = "Whether probabilities come true"
    xlabel = "predicted probability that a candidate is wanted"
    sheet, axes = drawing.make_sheet(3.6, title, xlabel, "share that was wanted")
    colours = (drawing.MAIN, drawing.ACCENT, drawing.OTHER)
    for (name, points), colour in zip(lines.items(), cycle(colours), strict=False):
        axes.plot(*np.reshape(points, (-1, 2)).T, color=colour, marker="o", label=name)
    diagonal = [low, high]
    axes.plot(diagonal, diagonal, color=drawing.INK, linestyle="--", linewidth=1, label="perfect")
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        drawing.fix_ticks(axis, [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1])
        axis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.grid()
    axes.legend()
    return sheet


def draw_leaks(facts: Facts, figures: Figures) -> drawing.Sheet | None:
    leaks = sorted(facts.leaks, key=lambda leak: leak.later.mean)
    if not leaks:
        return None
    sheet, axes = drawing.make_sheet(
        drawing.height_of(1.3 * len(leaks)),
        "Did a source know the future? 95 % intervals",
        "NDCG@10 of the source alone (a leak: orange far right of blue)",
    )
    rows = np.arange(len(leaks))
    learnt, later = [leak.learnt for leak in leaks], [leak.later for leak in leaks]
    drawing.draw_errors(axes, rows + 0.13, learnt, drawing.ACCENT, "window that models learn from")
    drawing.draw_errors(axes, rows - 0.13, later, drawing.MAIN, "window after it")
    axes.set_yticks(rows, [leak.source for leak in leaks])
    axes.grid(axis="x")
    axes.margins(y=0.1)
    drawing.add_legend(sheet)
    axes.set(xlim=drawing.limits_from_zero([value.high for value in learnt + later]))
    return sheet


PLOTS: Mapping[str, Plot] = {
    "orders": draw_orders,
    "ratios": draw_ratios,
    "activity": draw_activity,
    "ages": draw_ages,
    "age_recall": draw_age_recall,
    "sources": draw_sources,
    "gains": draw_gains,
    "calibration": draw_calibration,
    "leaks": draw_leaks,
}
"""By the name of the file."""
