"""Writes an evaluation of next items as text for people and as JSON for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from serve_app.evaluation.evaluation_report import (
    as_dicts,
    compared_as_dicts,
    last_lines,
    run_as_dicts,
    warning_lines,
)
from serve_app.evaluation.evaluator import OURS, OURS_DIVERSE
from serve_app.evaluation.protocol import iso_time
from serve_app.measuring.bootstrap import Interval
from serve_app.next_items.next_evaluator import NextEvaluation
from serve_app.next_items.next_lists import TUNING_K
from serve_app.next_items.next_measures import ALL, KNOWN
from serve_app.next_items.next_protocol import NextSplit

_IN_GROUPS = ("hit_rate", "mrr")
"""Measures that the text shows for every group of questions, at the last k."""

CROWDED = 0.05
"""With a larger share of the questions, one user decides the figures: it may be a robot."""


def next_protocol_of(evaluation: NextEvaluation) -> dict[str, Any]:
    """Collects everything that is needed to repeat the comparison."""
    config, split = evaluation.config, evaluation.split
    protocol, label = config.protocol, split.label
    return {
        "split": "global, where the test sessions begin; all models are fitted on earlier events",
        "test_share": protocol.test_share,
        "days_earlier": protocol.days_earlier,
        "session_gap_minutes": protocol.session_gap_minutes,
        **_counts(split),
        "hit": label.hit,
        "repeats": label.repeats,
        "ranking": "full catalogue, no sampled negatives",
        "min_buyers": protocol.min_buyers,
        "questions": "at the first event of each session, for the whole session"
        if protocol.at_session_start
        else "at each moment with a counted event, for its items",
        "known": "events of the user strictly before the question",
        "max_sessions": protocol.max_sessions,
        "k": list(config.ks),
        "tuning": {
            "by": f"ndcg@{TUNING_K} on an inner split of the training events, by the same protocol",
            "max_points": config.max_points,
            **_counts(evaluation.inner),
        },
        "item_attributes": "as in the file; their dates are not known",
        "intervals": f"95 %, {config.n_resamples} resamples of the users, paired over models",
        "rejected_rows": dict(evaluation.n_rejected),
        "bare_items": evaluation.n_bare_items,
        "notes": list(evaluation.notes),
        "seed": config.seed,
    }


def _counts(split: NextSplit) -> dict[str, Any]:
    return {
        "cut_at": iso_time(split.cut_at),
        "end_at": iso_time(split.end_at),
        "n_interactions": len(split.known),
        "n_items": split.n_items,
        "n_test_sessions": split.n_sessions,
        "n_eligible_sessions": split.n_eligible,
        "n_questions": len(split.questions),
        "n_wanted": len(split.wanted.items),
        "largest_share": float(np.bincount(split.questions.users).max() / len(split.questions)),
    }


def next_json(evaluation: NextEvaluation) -> str:
    """Formats the protocol and all figures."""
    measured = evaluation.measured
    document = {
        "protocol": next_protocol_of(evaluation),
        "questions": dict(measured.n_questions),
        "models": {
            group: {name: as_dicts(figures) for name, figures in models.items()}
            for group, models in measured.models.items()
        },
        "best": {group: best_rivals(models) for group, models in measured.models.items()},
        "comparisons": {
            group: compared_as_dicts(compared) for group, compared in measured.comparisons.items()
        },
        **run_as_dicts(evaluation),
    }
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)


def best_rivals(models: Mapping[str, Mapping[str, Interval]]) -> dict[str, str]:
    """Names of the best rival by each measure, in hindsight."""
    rivals = {name: each for name, each in models.items() if name not in (OURS, OURS_DIVERSE)}
    measures = next(iter(rivals.values()))
    return {each: max(rivals, key=lambda name: rivals[name][each].mean) for each in measures}


def next_text(evaluation: NextEvaluation) -> str:
    """Formats the protocol, tables of the measures, comparisons and durations."""
    k = evaluation.config.ks[-1]
    parts = [*_protocol_lines(evaluation), *_overall_table(evaluation)]
    for measure in _IN_GROUPS:
        parts += _group_table(evaluation, f"{measure}@{k}")
    parts += _verdicts(evaluation)
    return "\n".join([*parts, *last_lines(evaluation)])


def _protocol_lines(evaluation: NextEvaluation) -> Iterator[str]:
    terms = next_protocol_of(evaluation)
    tuning = terms["tuning"]
    yield (
        f"training: {terms['n_interactions']} events with {terms['n_items']} items (at least"
        f" {terms['min_buyers']} buyers each), before {terms['cut_at']}"
    )
    yield (
        f"test: {terms['n_test_sessions']} of {terms['n_eligible_sessions']} sessions of two events"
        f" or more that begin later, until {terms['end_at']}"
    )
    yield (
        f"questions: {terms['n_questions']}, {terms['n_wanted']} wanted items ({terms['hit']},"
        f" {'repeats count' if terms['repeats'] else 'new to the user'}), {terms['questions']}"
    )
    yield f"sessions: end with a pause of more than {terms['session_gap_minutes']:g} minutes"
    yield f"known: {terms['known']}"
    yield f"ranking: {terms['ranking']}"
    yield f"split: {terms['split']}"
    yield (
        f"tuning: {tuning['by']} (cut at {tuning['cut_at']}, {tuning['n_questions']} questions), at"
        f" most {tuning['max_points']} points per model"
    )
    yield f"intervals: {terms['intervals']}; seed {terms['seed']}"
    yield from warning_lines(evaluation)
    if terms["largest_share"] > CROWDED:
        yield (
            f"one user has {100 * terms['largest_share']:.0f} % of the questions, and counts for so"
            " much of all figures: leave robots out of the file"
        )


def _overall_table(evaluation: NextEvaluation) -> Iterator[str]:
    models = evaluation.measured.models[ALL]
    measures = list(next(iter(models.values())))
    last = measures[-1]
    yield "\n" + _row("all questions", [f"95 % of {last}", *measures])
    for name, figures in models.items():
        low, high = f"{figures[last].low:.4f}", f"{figures[last].high:.4f}"
        cells = [f"{figures[measure].mean:.4f}" for measure in measures]
        yield _row(name, [f"{low}–{high}", *cells])


def _group_table(evaluation: NextEvaluation, measure: str) -> Iterator[str]:
    measured = evaluation.measured
    groups = list(measured.models)
    yield "\n" + _row(f"{measure} by events", groups, 10)
    yield _row("questions", [str(measured.n_questions[group]) for group in groups], 10)
    for name in measured.models[ALL]:
        means = [measured.models[group][name][measure].mean for group in groups]
        yield _row(name, [f"{mean:.4f}" for mean in means], 10)
    for name in measured.comparisons[ALL]:
        ratios = [_ratio_to_best(evaluation, group, name, measure) for group in groups]
        cells = [f"{ratio.mean:.2f}" if ratio else "" for _, ratio in ratios]
        yield _row(f"{name} / best", cells, 10)


def _row(name: str, cells: Sequence[str], width: int = 12) -> str:
    return f"{name:<24}" + "".join(f"  {cell:>{width}}" for cell in cells)


def _ratio_to_best(
    evaluation: NextEvaluation, group: str, name: str, measure: str
) -> tuple[str, Interval | None]:
    measured = evaluation.measured
    best = best_rivals(measured.models[group])[measure]
    return best, measured.comparisons[group][name][best].ratio.get(measure)


def _verdicts(evaluation: NextEvaluation) -> Iterator[str]:
    k = evaluation.config.ks[-1]
    yield f"\nknown: events of the user; session: events of the session so far; {KNOWN}: any event"
    for name in evaluation.measured.comparisons[ALL]:
        for group in (ALL, KNOWN):
            for measure in _IN_GROUPS if group in evaluation.measured.models else ():
                best, ratio = _ratio_to_best(evaluation, group, name, f"{measure}@{k}")
                if ratio is not None:
                    figures = f"{ratio.mean:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"
                    yield f"{name} / {best} (best single), {measure}@{k}, {group}: {figures}"
