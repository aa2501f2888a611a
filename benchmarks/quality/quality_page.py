"""Writes the sections of QUALITY.md from the documents of the runs."""

from collections.abc import Sequence

import numpy as np

from benchmarks.markdown import Section, Table, between
from benchmarks.quality.few_run import few_sections
from benchmarks.quality.funnel_section import funnel_sections
from benchmarks.quality.goals import (
    NDCG,
    Documents,
    Goal,
    measure,
    ratio,
    ratio_to,
)
from benchmarks.quality.kept_results import Document
from benchmarks.quality.next_sections import next_sections
from benchmarks.quality.runs import ALL_SOURCES, CUTS, DEMO_RUN, ORACLES, RETAIL_RUNS, SOURCES_RUN
from serve_app.evaluation.evaluator import ANSWERS, FIT, OURS, OURS_DIVERSE
from serve_app.measuring.bootstrap import interval, resampled_means

TITLES = {
    RETAIL_RUNS[0]: "Online Retail, latest window",
    **{
        name: f"Online Retail, window {days} days earlier"
        for name, days in zip(RETAIL_RUNS[1:], CUTS[1:], strict=True)
    },
    DEMO_RUN: "Demo shop",
}
_COLUMNS = ("recall@20", "coverage@20", "mrr@10", "hit_rate@10")
_IN_WORDS = {True: "met", False: "**not met**", None: "not measured"}
_BEST = {"library": "best textbook model", "single": "best single model of any kind"}
_RESAMPLES, _SEED = 1_000, 7


def sections(runs: Documents, goals: Sequence[Goal]) -> list[Section]:
    found = [_goals(goals), _protocol(runs)]
    if all(name in runs for name in RETAIL_RUNS):
        found.append(_over_cuts(runs))
    found += [_of_run(name, runs[name]) for name in TITLES if name in runs]
    if SOURCES_RUN in runs:
        found.append(_of_sources(runs[SOURCES_RUN]))
    return [*found, *next_sections(runs), *funnel_sections(runs), *few_sections(runs)]


def _goals(goals: Sequence[Goal]) -> Section:
    rows = [[goal.text, goal.figure, _IN_WORDS[goal.is_met]] for goal in goals]
    note = (
        f"`{OURS}` lists items in the order of their scores; `{OURS_DIVERSE}` are the served lists."
        f" Goals are for `{OURS}`. Intervals are 95 % over users, paired."
    )
    return Section(
        "Goals",
        [Table(["goal (NDCG@10 unless it names another measure)", "measured", ""], rows), note],
    )


def _protocol(runs: Documents) -> Section:
    told = next((each["protocol"] for name, each in runs.items() if name in TITLES), None)
    if told is None:
        return Section("Protocol", ["As in [docs/evaluation.md](../docs/evaluation.md)."])
    text = (
        f"As in [docs/evaluation.md](../docs/evaluation.md). The latest {told['test_share']:.0%} of"
        " the interactions are the test, for all users. Hits are items new to the user. Ranking:"
        f" {told['ranking']}; items with at least {told['min_buyers']} buyers. Every rival chose"
        f" among at most {told['tuning']['max_points']} points of its grid, on an inner split of"
        " the training interactions. The best models are the best in hindsight."
    )
    heads = ["data", "cut", "test users", "wanted items", "ranked items", "training interactions"]
    rows = [
        [
            TITLES[name],
            each["protocol"]["cut_at"][:10],
            *(
                f"{each['protocol'][count]:,}"
                for count in ("n_test_users", "n_wanted", "n_items", "n_interactions")
            ),
        ]
        for name, each in runs.items()
        if name in TITLES
    ]
    return Section("Protocol", [text, Table(heads, rows)])


def _over_cuts(runs: Documents) -> Section:
    cuts = [runs[name] for name in RETAIL_RUNS]
    means = {model: [measure(each, model, NDCG) for each in cuts] for model in cuts[0]["models"]}
    ordered = sorted(means, key=lambda model: -float(np.mean(means[model])))
    rows = [
        [f"`{model}`", *(f"{each:.4f}" for each in means[model]), f"{np.mean(means[model]):.4f}"]
        for model in ordered
    ]
    ratios = [
        [
            f"`{ours}` / {_BEST[kind]}",
            *(between(ratio(each, kind, ours)) for each in cuts),
            f"{np.mean([ratio(each, kind, ours)['mean'] for each in cuts]):.2f}",
        ]
        for ours in (OURS, OURS_DIVERSE)
        for kind in _BEST
    ]
    days = [f"{each} days earlier" if each else "latest" for each in CUTS]
    heads = [NDCG, *days, "mean"]
    return Section(
        "Online Retail over three cuts", [Table(heads, rows), Table(["ratio", *heads[1:]], ratios)]
    )


def _of_run(name: str, document: Document) -> Section:
    seconds = document["seconds"]
    rows = [
        [
            f"`{model}`",
            between(measures[NDCG], 4),
            *(f"{measures[column]['mean']:.3f}" for column in _COLUMNS),
            f"{seconds[model]:.0f}" if model in seconds else "",
        ]
        for model, measures in document["models"].items()
    ]
    parts: list[str | Table] = [Table([*("model", f"{NDCG} (95 %)"), *_COLUMNS, "s"], rows)]
    parts += [f"`{model}` is missing: {why}" for model, why in document["skipped"].items()]
    if OURS in document["models"]:
        parts.append("\n".join(_verdicts(document)))
    steps = ", ".join(
        f"{step} {seconds[step]:.0f}"
        for step in ("reading", FIT, ANSWERS, "measuring", "total")
        if step in seconds
    )
    parts.append(
        f"Seconds: {steps}. The table has the seconds of tuning and fitting each other model."
    )
    return Section(TITLES[name], parts)


def _verdicts(document: Document) -> list[str]:
    lines = []
    for ours in (OURS, OURS_DIVERSE):
        for kind, what in _BEST.items():
            best = document["best"][kind]
            lines.append(f"- `{ours}` / `{best}` ({what}): {between(ratio(document, kind, ours))}")
        for oracle in (name for name in ORACLES if name in document["models"]):
            found = between(ratio_to(document, oracle, ours))
            lines.append(f"- `{ours}` / `{oracle}`: {found}")
    recall = document["models"][OURS]["candidate_recall"]
    n = document["parameters"][OURS]["candidates"]
    lines.append(
        f"- candidate recall (wanted items among the {n:.0f} candidates): {between(recall, 3)}"
    )
    alone = ", ".join(
        f"{source} {each['mean']:.4f}" for source, each in document["sources"].items()
    )
    lines.append(f"- {NDCG} of each source alone, in the order of its own ranks: {alone}")
    return lines


def _of_sources(document: Document) -> Section:
    whole = document[ALL_SOURCES]
    names = [name for name in document if name != ALL_SOURCES]
    left_out = np.array([document[name]["ndcg"] for name in names])
    alone = whole["alone"]
    values = np.column_stack([whole["ndcg"], *left_out, *alone.values()])
    resampled = resampled_means(values, _RESAMPLES, _SEED)
    means = values.mean(axis=0)
    rows = [[ALL_SOURCES, f"{means[0]:.4f}", "", f"{whole['recall']:.3f}", ""]]
    for i, source in enumerate(alone, start=1 + len(names)):
        without = ["cannot be switched off", "", ""]
        if source in names:
            j = 1 + names.index(source)
            lost = interval(means[j] - means[0], resampled[:, j] - resampled[:, 0])
            without = [
                f"{means[j]:.4f}",
                between(lost._asdict(), 4),
                f"{document[source]['recall']:.3f}",
            ]
        own = between(interval(means[i], resampled[:, i])._asdict(), 4)
        rows.append([source, *without, own])
    heads = [
        "source",
        f"{NDCG} without it",
        "change (95 %)",
        "candidate recall",
        f"{NDCG} alone",
    ]
    text = (
        "`recserve` fitted without each source in turn, on the latest window of Online Retail."
        " Alone: lists in the order of the source's own ranks."
    )
    return Section("What each source adds", [text, Table(heads, rows)])
