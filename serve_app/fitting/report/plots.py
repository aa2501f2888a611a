"""Draws the plots of a report, one for each question."""

from collections.abc import Callable, Mapping

import numpy as np

from serve_app.fitting.report.drawing import (
    ACCENT,
    INK,
    MAIN,
    OTHER,
    Drawing,
    add_legend,
    break_label,
    draw_bars,
    draw_errors,
    draw_intervals,
    draw_side_by_side,
    fix_ticks,
    height_of,
    limits_from_zero,
    make_sheet,
    round_ratios,
    show_percent,
)
from serve_app.fitting.report.facts import Facts
from serve_app.fitting.report.figures import Figures

Plot = Callable[[Facts, Figures], Drawing | None]
"""Draws a plot, or returns ``None`` where there is nothing to draw."""

_COLOURS = (MAIN, ACCENT, OTHER)


def draw_orders(facts: Facts, figures: Figures) -> Drawing | None:
    """NDCG@10 of every order, best first."""
    ndcg = {name: metrics["ndcg_at_10"] for name, metrics in figures.orders.items()}
    names = sorted(ndcg, key=lambda name: ndcg[name].mean)
    drawing, axes = make_sheet(
        height_of(len(names)),
        "How good the lists are, 95 % intervals",
        "NDCG@10 (further right is better)",
    )
    draw_intervals(axes, names, [ndcg[name] for name in names], facts.main)
    axes.set(xlim=limits_from_zero([value.high for value in ndcg.values()]))
    return drawing


def draw_ratios(facts: Facts, figures: Figures) -> Drawing | None:
    """NDCG of the main variant over that of each order it was compared with."""
    ratios = {
        judgement.other: judgement.ratio
        for judgement in facts.verdict.judgements
        if judgement.ratio is not None
    }
    if not ratios:
        return None
    names = sorted(ratios, key=lambda name: -ratios[name].mean)
    drawing, axes = make_sheet(
        height_of(len(names)),
        f"How many times as good {facts.main} is as each, 95 % intervals",
        f"NDCG@{facts.verdict.k} of {facts.main} ÷ that of the other, same users",
    )
    draw_intervals(axes, names, [ratios[name] for name in names], facts.main)
    axes.axvline(1, color=INK, linewidth=1, linestyle="--")
    # Twice as good and half as good are equally far from 1.
    axes.set_xscale("log")
    steps = round_ratios(ratios.values())
    fix_ticks(axes.xaxis, steps)
    axes.set_xticks(steps, [f"{step:g}×" for step in steps])
    return drawing


def draw_activity(facts: Facts, figures: Figures) -> Drawing | None:
    """NDCG@10 by the number of purchases before the window."""
    labels = [f"{group.label}\n({group.n_users:,})" for group in figures.activity]
    drawing, axes = make_sheet(
        3.1, "For whom the lists are good, 95 % intervals", "purchases before the window (users)"
    )
    draw_side_by_side(axes, labels, [group.ndcg for group in figures.activity])
    add_legend(drawing)
    axes.set(ylabel="NDCG@10")
    return drawing


def draw_ages(facts: Facts, figures: Figures) -> Drawing | None:
    """Listed, recommended and bought items by their age."""
    groups = figures.ages
    drawing, axes = make_sheet(
        3.1,
        f"How old the items are that {facts.main} recommends",
        "age of the item when the window began",
    )
    series = {
        "all items": ([group.listed for group in groups], OTHER),
        "recommended": ([group.recommended for group in groups], MAIN),
        "bought": ([group.bought for group in groups], ACCENT),
    }
    draw_bars(axes, [break_label(group.label) for group in groups], series)
    add_legend(drawing)
    show_percent(axes.yaxis, decimals=0)
    axes.set(ylabel="share")
    return drawing


def draw_age_recall(facts: Facts, figures: Figures) -> Drawing | None:
    """Share of the bought items in the first ten, by the age of items."""
    groups = [group for group in figures.ages if group.recall]
    drawing, axes = make_sheet(
        3.1,
        "Of which age the bought items are found, 95 % intervals",
        "age of the item when the window began",
    )
    labels = [break_label(group.label) for group in groups]
    draw_side_by_side(axes, labels, [group.recall for group in groups])
    add_legend(drawing)
    show_percent(axes.yaxis, decimals=0)
    axes.set(ylabel="share found in the first ten")
    return drawing


def draw_sources(facts: Facts, figures: Figures) -> Drawing | None:
    """Share of each source in the recommended items and in the hits."""
    shares = sorted(figures.sources, key=lambda share: share.hit)
    rows = np.arange(len(shares))
    drawing, axes = make_sheet(
        height_of(2.2 * len(shares)),
        f"Where the first ten of {facts.main} come from",
        "share that the source had offered (several may offer one item)",
    )
    for i, (label, colour, values) in enumerate(
        (
            ("hits that it alone offered", OTHER, [share.alone for share in shares]),
            ("hits", ACCENT, [share.hit for share in shares]),
            ("recommended", MAIN, [share.recommended for share in shares]),
        )
    ):
        axes.barh(rows + 0.27 * (i - 1), values, 0.25, color=colour, label=label)
    axes.set_yticks(rows, [share.source for share in shares])
    show_percent(axes.xaxis, decimals=0)
    axes.grid(axis="x")
    # Horizontal bars are drawn from below: reversed, the legend reads in their order.
    add_legend(drawing, reverse=True)
    axes.set(xlim=(0, 1))
    return drawing


def draw_gains(facts: Facts, figures: Figures) -> Drawing | None:
    """The features with the largest share of the main variant's gain."""
    shares = figures.gains.get(facts.main, {})
    if not shares:
        return None
    names = list(shares)[::-1]
    drawing, axes = make_sheet(
        height_of(0.85 * len(names)),
        f"What {facts.main} looks at",
        "share of the gain of all splits",
    )
    axes.barh(names, [shares[name] for name in names], 0.7, color=MAIN)
    show_percent(axes.xaxis)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="x")
    axes.margins(y=0.01)
    return drawing


def draw_calibration(facts: Facts, figures: Figures) -> Drawing | None:
    """Predicted against observed probability."""
    if not figures.calibration:
        return None
    drawing, axes = make_sheet(
        3.6, "Whether probabilities come true", "predicted probability that a candidate is bought"
    )
    ends: list[float] = []
    for (name, bins), colour in zip(figures.calibration.items(), _COLOURS, strict=False):
        # Both axes are logarithmic and cannot show a bin without any wanted candidate.
        shown = [each_bin for each_bin in bins if each_bin.observed > 0]
        xs = [each_bin.predicted for each_bin in shown]
        ys = [each_bin.observed for each_bin in shown]
        axes.plot(xs, ys, color=colour, marker="o", label=name)
        ends += [*xs, *ys]
    low, high = 0.7 * min(ends), min(1.0, 1.4 * max(ends))
    axes.plot([low, high], [low, high], color=INK, linestyle="--", linewidth=1, label="perfect")
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        fix_ticks(axis, [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1])
        axis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.grid()
    axes.legend()
    axes.set(ylabel="share that was bought")
    return drawing


def draw_leaks(facts: Facts, figures: Figures) -> Drawing | None:
    """NDCG@10 of each source in the window that models learn from and in the window after it."""
    leaks = sorted(facts.leaks, key=lambda leak: leak.later.mean)
    if not leaks:
        return None
    drawing, axes = make_sheet(
        height_of(1.3 * len(leaks)),
        "Did a source know the future? 95 % intervals",
        "NDCG@10 of the source alone (a leak: orange far right of blue)",
    )
    rows = np.arange(len(leaks))
    for shift, colour, label, values in (
        (0.13, ACCENT, "window that models learn from", [leak.learnt for leak in leaks]),
        (-0.13, MAIN, "window after it", [leak.later for leak in leaks]),
    ):
        draw_errors(axes, rows + shift, values, colour, label)
    axes.set_yticks(rows, [leak.source for leak in leaks])
    axes.grid(axis="x")
    axes.margins(y=0.1)
    add_legend(drawing)
    highs = [value.high for leak in leaks for value in (leak.learnt, leak.later)]
    axes.set(xlim=limits_from_zero(highs))
    return drawing


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
