"""Writes the sections of QUALITY.md about next items, and checks their goals."""

from collections.abc import Mapping
from math import isnan

from benchmarks.markdown import Section, Table, between
from benchmarks.quality.kept_results import Document
from benchmarks.quality.next_runs import DEMO_NEXT, ESHOP_NEXT, RETAIL_NEXT
from serve_app.evaluation.evaluator import OURS, OURS_DIVERSE
from serve_app.next_items.next_lists import TUNING_K
from serve_app.next_items.next_measures import KNOWN

NEXT_TITLES = {
    ESHOP_NEXT: "Next clicks of anonymous visitors",
    RETAIL_NEXT: "Next purchases of Online Retail",
    DEMO_NEXT: "Next purchases of the demo shop",
}
_MEASURES = ("hit_rate@20", "mrr@20")
_BY_GROUP = f"ndcg@{TUNING_K}"
_GROUPS = ("known 0", "known 1", "known 2-3", "known 4-9")
"""Groups of questions in which ours should be as good as the best other model."""

LEAST_QUESTIONS = 30
"""A smaller group says nothing: the best of seven models in hindsight is the luckiest there."""


def next_sections(runs: Mapping[str, Document]) -> list[Section]:
    return [_of_next(title, runs[name]) for name, title in NEXT_TITLES.items() if name in runs]


def _of_next(title: str, document: Document) -> Section:
    protocol = document["protocol"]
    text = (
        f"As in [docs/evaluation.md](../docs/evaluation.md#next-items). The test are"
        f" {protocol['n_test_sessions']:,} sessions from {protocol['cut_at'][:10]} on, with"
        f" {protocol['n_questions']:,} questions ({protocol['hit']}), asked"
        f" {protocol['questions']}. All"
        f" {protocol['n_items']:,} items are ranked. Models learn from"
        f" {protocol['n_interactions']:,} events. Groups are by known events of the user."
    )
    parts: list[str | Table] = [
        text,
        *(_table(document, measure) for measure in (*_MEASURES, _BY_GROUP)),
    ]
    parts += [f"`{model}` is missing: {why}" for model, why in document["skipped"].items()]
    seconds = document["seconds"]
    parts.append(f"Seconds: {', '.join(f'{step} {s:.0f}' for step, s in seconds.items())}.")
    return Section(title, parts)


def _table(document: Document, measure: str) -> Table:
    groups = list(document["models"])
    rows = [["questions", *(f"{document['questions'][group]:,}" for group in groups)]]
    for model in document["models"][groups[0]]:
        means = [document["models"][group][model][measure]["mean"] for group in groups]
        rows.append([f"`{model}`", *(f"{mean:.3f}" for mean in means)])
    for ours in (OURS, OURS_DIVERSE):
        ratios = [next_ratio(document, group, measure, ours) for group in groups]
        rows.append([f"`{ours}` / best single", *map(_ratio_cell, ratios)])
    return Table([measure, *groups], rows)


def _ratio_cell(ratio: Mapping[str, float]) -> str:
    """A ratio with its interval; empty where the other model may be zero."""
    return "" if isnan(ratio["mean"]) else between(ratio)


def next_ratio(document: Document, group: str, measure: str, ours: str = OURS) -> dict[str, float]:
    """Ratio of ours to the best rival in a group; NaN without ours or if that may be zero."""
    best = document["best"][group][measure]
    compared = document["comparisons"][group].get(ours, {}).get(best, {"ratio": {}})
    unknown = dict.fromkeys(("mean", "low", "high"), float("nan"))
    found: dict[str, float] = compared["ratio"].get(measure, unknown)
    return found


def next_clicks(runs: Mapping[str, Document]) -> tuple[str, bool]:
    """Ratios on the shop of clicks where any event is known, and whether they reach the goal."""
    found = [next_ratio(runs[ESHOP_NEXT], KNOWN, measure)["mean"] for measure in _MEASURES]
    text = ", ".join(f"{m} {ratio:.2f}" for m, ratio in zip(_MEASURES, found, strict=True))
    return text, all(ratio >= 1.05 for ratio in found)


def short_histories(runs: Mapping[str, Document]) -> tuple[str, bool]:
    """Least ratio over groups of short histories in two shops, and whether it reaches 1."""
    found = {
        f"{name}, {group}": next_ratio(runs[name], group, _BY_GROUP)["mean"]
        for name in (RETAIL_NEXT, DEMO_NEXT)
        for group in _GROUPS
        if runs[name]["questions"].get(group, 0) >= LEAST_QUESTIONS
    }
    if not found:
        return f"no group has {LEAST_QUESTIONS} questions", False
    worst = min(found, key=lambda group: -1.0 if isnan(found[group]) else found[group])
    return f"least {found[worst]:.2f} ({worst})", all(ratio >= 1 for ratio in found.values())
