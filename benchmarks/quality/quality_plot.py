"""Plots the NDCG@10 of the main models as bars with intervals, by run."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.goals import NDCG, Documents
from benchmarks.quality.kept_results import Document
from benchmarks.quality.quality_page import TITLES
from serve_app.evaluation.evaluator import OURS, OURS_DIVERSE

Bar = tuple[str, dict[str, float]]

_COLOURS = {
    "popularity": "#c8c8c8",
    "best textbook": "#9db4c8",
    "best single": "#5f86a8",
    "fusion": "#8fae9b",
    "recserve": "#d1703c",
    "recserve, diverse": "#e6a67f",
    "oracle without tastes": "#7a7a86",
    "oracle": "#40404a",
}


def bars_of(document: Document) -> list[Bar]:
    """Labels and figures of a run's bars."""
    best, models = document["best"], document["models"]
    chosen = {
        "popularity": "popularity",
        "best textbook": best["library"],
        "best single": best["single"],
        "fusion": "rrf",
        "recserve": OURS,
        "recserve, diverse": OURS_DIVERSE,
        "oracle without tastes": "oracle_without_tastes",
        "oracle": "oracle",
    }
    return [(label, models[name][NDCG]) for label, name in chosen.items() if name in models]


def plot_quality(runs: Documents, file: Path) -> bool:
    """Draw the plot and return true; return false without matplotlib, or a run to plot."""
    names = [name for name in TITLES if name in runs]
    if not names:
        return False
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return False
    canvas = Figure(figsize=(3 * len(names) + 2.2, 4.2), layout="constrained")
    every = canvas.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(every, names, strict=True):
        _draw(axes, TITLES[name].replace(", ", "\n"), bars_of(runs[name]))
    every[0].set_ylabel("NDCG@10, 95 % over users")
    file.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(file, dpi=120)
    return True


def _draw(axes: object, title: str, bars: Sequence[Bar]) -> None:
    labels = [label for label, _ in bars]
    means = [figure["mean"] for _, figure in bars]
    errors = [
        [figure["mean"] - figure["low"] for _, figure in bars],
        [figure["high"] - figure["mean"] for _, figure in bars],
    ]
    colours = [_COLOURS[label] for label in labels]
    axes.bar(labels, means, yerr=errors, color=colours, capsize=3)  # type: ignore[attr-defined]
    for i, (mean, above) in enumerate(zip(means, errors[1], strict=True)):
        axes.annotate(  # type: ignore[attr-defined]
            f"{mean:.3f}", (i, mean + above), ha="center", va="bottom", fontsize=7
        )
    axes.margins(y=0.12)  # type: ignore[attr-defined]
    axes.set_title(title, fontsize=10)  # type: ignore[attr-defined]
    axes.tick_params(axis="x", labelrotation=60, labelsize=8)  # type: ignore[attr-defined]
    axes.spines[["top", "right"]].set_visible(False)  # type: ignore[attr-defined]
