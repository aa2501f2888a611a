"""Writes an evaluation as text for people and as JSON for programs."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from serve_app.evaluation.evaluator import OURS, Evaluation
from serve_app.evaluation.protocol import EvaluationSplit, iso_time
from serve_app.evaluation.rivals import RIVALS
from serve_app.measuring.bootstrap import Interval
from serve_app.measuring.comparing import Comparison

MEASURES = (
    "ndcg", "recall", "mrr", "hit_rate", "coverage", "gini", "novelty", "diversity",
)  # fmt: skip
"""In the order of the table's columns."""

_OF_ALL_KS, _OF_FIRST_K, _OF_LAST_K = MEASURES[:2], MEASURES[2:4], MEASURES[4:]
_WITH_INTERVAL = "ndcg"


def protocol_of(evaluation: Evaluation) -> dict[str, Any]:
    """Collects everything that is needed to repeat the comparison."""
    config, split, inner = evaluation.config, evaluation.split, evaluation.inner
    protocol, label = config.protocol, split.label
    return {
        "split": "global, at one moment; all models are fitted on earlier interactions only",
        "test_share": protocol.test_share,
        "days_earlier": protocol.days_earlier,
        **_counts(split),
        "hit": label.hit,
        "repeats": label.repeats,
        "ranking": "full catalogue, no sampled negatives",
        "min_buyers": protocol.min_buyers,
        "users": "with training interactions and at least one hit in the test",
        "max_users": protocol.max_users,
        "k": list(config.ks),
        "tuning": {
            "by": "ndcg@10 on an inner split of the training interactions, by the same protocol",
            "max_points": config.max_points,
            **_counts(inner),
        },
        "item_attributes": "as in the file; their dates are not known",
        "intervals": f"95 %, {config.n_resamples} resamples of the users, paired over models",
        "rejected_rows": dict(evaluation.n_rejected),
        "bare_items": evaluation.n_bare_items,
        "notes": list(evaluation.notes),
        "seed": config.seed,
    }


def _counts(split: EvaluationSplit) -> dict[str, Any]:
    return {
        "cut_at": iso_time(split.cut_at),
        "end_at": iso_time(split.end_at),
        "n_interactions": len(split.known),
        "n_users": split.training.n_users,
        "n_items": split.training.n_items,
        "n_test_users": len(split.users),
        "n_eligible_users": split.n_eligible,
        "n_wanted": len(split.wanted.items),
    }


def as_json(evaluation: Evaluation) -> str:
    """Formats the protocol and all figures."""
    document = {
        "protocol": protocol_of(evaluation),
        "models": {name: as_dicts(of_model) for name, of_model in evaluation.models.items()},
        "best": dict(evaluation.best),
        "comparisons": compared_as_dicts(evaluation.comparisons),
        "sources": as_dicts(evaluation.sources),
        **run_as_dicts(evaluation),
    }
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)


class RunFacts(Protocol):
    """Facts of any evaluation; attributes as of ``Evaluation``."""

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def skipped(self) -> Mapping[str, str]: ...
    @property
    def seconds(self) -> Mapping[str, float]: ...
    @property
    def n_rejected(self) -> Mapping[str, int]: ...
    @property
    def n_bare_items(self) -> int: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


def run_as_dicts(run: RunFacts) -> dict[str, Any]:
    """Chosen parameters, missing models and durations."""
    return {
        "parameters": {name: dict(point) for name, point in run.parameters.items()},
        "skipped": dict(run.skipped),
        "seconds": {
            **{step: round(seconds, 2) for step, seconds in run.seconds.items()},
            "total": round(sum(run.seconds.values()), 2),
        },
    }


def compared_as_dicts(comparisons: Mapping[str, Mapping[str, Comparison]]) -> dict[str, Any]:
    return {
        name: {
            other: {kind: as_dicts(figures) for kind, figures in pair._asdict().items()}
            for other, pair in others.items()
        }
        for name, others in comparisons.items()
    }


def as_dicts(measures: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    return {name: interval._asdict() for name, interval in measures.items()}


def as_text(evaluation: Evaluation) -> str:
    """Formats the protocol, a table of the measures, comparisons and durations."""
    parts = [_protocol_lines(evaluation), _table(evaluation), *_verdicts(evaluation)]
    return "\n".join([*parts, *last_lines(evaluation)])


def last_lines(run: RunFacts) -> Iterator[str]:
    """Says which models are missing, and how long each step took, the slowest first."""
    for name, reason in run.skipped.items():
        yield f"{name} is missing: {reason}"
    slowest = sorted(run.seconds.items(), key=lambda step: -step[1])
    times = ", ".join(f"{step} {seconds:.1f}" for step, seconds in slowest)
    yield f"{sum(run.seconds.values()):.1f} s: {times}"


def _protocol_lines(evaluation: Evaluation) -> str:
    terms = protocol_of(evaluation)
    tuning = terms["tuning"]
    return "\n".join(
        (
            f"training: {terms['n_interactions']} interactions of {terms['n_users']} users"
            f" with {terms['n_items']} items (at least {terms['min_buyers']} buyers each),"
            f" before {terms['cut_at']}",
            f"test: {terms['n_test_users']} of {terms['n_eligible_users']} users with history,"
            f" {terms['n_wanted']} wanted items ({terms['hit']},"
            f" {'repeats count' if terms['repeats'] else 'new to the user'}), until"
            f" {terms['end_at']}",
            f"ranking: {terms['ranking']}",
            f"split: {terms['split']}",
            f"tuning: {tuning['by']} (cut at {tuning['cut_at']}, {tuning['n_test_users']} users),"
            f" at most {tuning['max_points']} points per model",
            f"intervals: {terms['intervals']}; seed {terms['seed']}",
            *warning_lines(evaluation),
        )
    )


def warning_lines(run: RunFacts) -> Iterator[str]:
    """Says how the files were understood, what was not used, and what no file describes."""
    yield from run.notes
    for kind, n in run.n_rejected.items():
        if n:
            yield f"left out: {n} bad rows of {kind}; `recserve load` lists their faults"
    if run.n_bare_items:
        yield f"{run.n_bare_items} items are known from interactions only"


def _table(evaluation: Evaluation) -> str:
    ks = evaluation.config.ks
    columns = [
        *(f"{measure}@{k}" for measure in _OF_ALL_KS for k in ks),
        *(f"{measure}@{ks[0]}" for measure in _OF_FIRST_K),
        *(f"{measure}@{ks[-1]}" for measure in _OF_LAST_K),
    ]
    time_aware = {rival.name for rival in RIVALS if rival.uses_time}
    first = f"{_WITH_INTERVAL}@{ks[0]}"
    widths = [max(len(name), 6) for name in columns]
    heads = [f"{name:>{width}}" for name, width in zip(columns, widths, strict=True)]
    lines = [f"\n{'':<20}{'95 %':^15}  {'  '.join(heads)}"]
    for name, measures in evaluation.models.items():
        low, high = measures[first].low, measures[first].high
        cells = [
            f"{measures[column].mean:>{width}.4f}"
            for column, width in zip(columns, widths, strict=True)
        ]
        mark = " t" if name in time_aware else ""
        lines.append(f"{name + mark:<20}{f'{low:.4f}–{high:.4f}':^15}  {'  '.join(cells)}")
    return "\n".join([*lines, f"t: time-aware model; 95 %: interval of {first}"])


def _verdicts(evaluation: Evaluation) -> list[str]:
    first = f"{_WITH_INTERVAL}@{evaluation.config.ks[0]}"
    lines = []
    for name, others in evaluation.comparisons.items():
        for kind, best in evaluation.best.items():
            ratio = others[best].ratio.get(first)
            meaning = "best textbook model" if kind == "library" else "best single of any kind"
            if ratio is not None:
                figures = f"{ratio.mean:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"
                lines.append(f"{name} / {best} ({meaning}): {figures}")
    if OURS in evaluation.models:
        recall = evaluation.models[OURS]["candidate_recall"]
        n = evaluation.parameters[OURS]["candidates"]
        lines.append(
            f"{OURS}: recall of its {n:.0f} candidates {recall.mean:.3f}"
            f" ({recall.low:.3f}–{recall.high:.3f})"
        )
    return lines
