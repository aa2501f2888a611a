"""Decides whether a fit may replace what is served: it must beat everything that is simpler."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from serve_app.bundles.manifest import ModelManifest
from serve_app.domain.scoring.model_features import SOURCES, fingerprint
from serve_app.domain.settings import Settings
from serve_app.fitting.judging.leaks import Leak
from serve_app.fitting.judging.window_results import (
    FUSED,
    POPULARITY,
    SERVED,
    WindowResults,
    ndcg_by_order,
)
from serve_app.measuring.bootstrap import Interval
from serve_app.measuring.comparing import Comparison, comparisons

Demand = Literal["better", "not_worse"]

SIMPLER = (POPULARITY, *SOURCES, FUSED)
"""What the first variant must be better than."""


class GateConfig(Settings):
    """
    Attributes:
        k: length of the lists that are compared, by NDCG.
        n_resamples: of the users, for the intervals.
        served: what is demanded against the served model.
    """

    k: int = Field(default=10, ge=1, le=20)
    n_resamples: int = Field(default=1_000, ge=100)
    served: Demand = "not_worse"


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    One comparison of the main variant.

    Attributes:
        difference: of NDCG, the main one minus the other; ``None`` where nothing is compared.
        ratio: the main one over the other; ``None`` where the other may be zero.
        sentence: what came out.
    """

    other: str
    demand: Demand
    passed: bool
    difference: Interval | None
    ratio: Interval | None
    sentence: str


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """
    Attributes:
        main: name of the variant that was judged.
        k: length of the lists that were compared.
        reason: half a sentence that follows "because".
    """

    main: str
    k: int
    promoted: bool
    judgements: tuple[Judgement, ...]
    reason: str


def judge(
    measured: WindowResults,
    main: str,
    config: GateConfig,
    seed: int,
    *,
    served_absent: str = "no model is served",
    leaks: Sequence[Leak] = (),
) -> GateVerdict:
    """
    Args:
        main: the variant that most users would get.
        served_absent: why ``measured`` holds no list of the served model, if it does not.
        leaks: what the leak detector found; a suspicious source refuses.
    """
    found = comparisons(
        main,
        {name: {"ndcg": values} for name, values in ndcg_by_order(measured, config.k).items()},
        ("ndcg",),
        config.n_resamples,
        seed,
    )
    others: dict[str, Demand] = {**dict.fromkeys(SIMPLER, "better"), SERVED: config.served}
    absent = {SERVED: served_absent}
    judgements = tuple(
        _compared(main, other, demand, found[other], config.k)
        if measured.offers(other)
        else _not_compared(other, demand, absent.get(other, "it has no lists"))
        for other, demand in others.items()
    )
    promoted, reason = _reasoned(main, judgements, leaks)
    return GateVerdict(main, config.k, promoted, judgements, reason)


def why_not_comparable(
    served: ModelManifest | None, learnt_until_at: float, window_at: float
) -> str | None:
    """
    Why the served model cannot be measured on the window; ``None`` if it can.

    Args:
        served: what the manifest of the served bundle says of the variant.
        learnt_until_at: end of what the model learnt from, epoch seconds.
        window_at: begin of the window.
    """
    if served is None:
        return "no model is served"
    if fingerprint(served.features) != served.fingerprint:
        return "the served model was fitted for the features of another build"
    if learnt_until_at > window_at:
        return "the served model learnt from the window itself"
    return None


def _compared(main: str, other: str, demand: Demand, found: Comparison, k: int) -> Judgement:
    difference, ratio = found.difference["ndcg"], found.ratio.get("ndcg")
    passed = difference.low > 0 if demand == "better" else difference.high >= 0
    how = "better than" if difference.low > 0 else "worse than" if difference.high < 0 else "like"
    sentence = (
        f"{main} is {how} {other}: NDCG@{k} differs by {difference.mean:+.4f}"
        f" ({difference.low:+.4f} to {difference.high:+.4f})"
    )
    return Judgement(other, demand, passed, difference, ratio, sentence)


def _not_compared(other: str, demand: Demand, why: str) -> Judgement:
    return Judgement(other, demand, True, None, None, f"not compared with {other}: {why}")


def _reasoned(
    main: str, judgements: Sequence[Judgement], leaks: Sequence[Leak]
) -> tuple[bool, str]:
    suspicious = [leak.source for leak in leaks if leak.suspicious]
    compared = [each for each in judgements if each.difference is not None]
    failed = [each for each in compared if not each.passed]
    if suspicious:
        reason = f"{_listed(suspicious)} may have seen what the models learn from"
    elif failed:
        reason = f"{main} is {_told(failed)}"
    elif not compared:
        reason = f"there was nothing to compare {main} with"
    else:
        reason = f"{main} is {_told(compared)}"
    return bool(compared) and not suspicious and not failed, reason


_PHRASES: Mapping[tuple[Demand, bool], str] = {
    ("better", True): "better than",
    ("better", False): "not better than",
    ("not_worse", True): "not worse than",
    ("not_worse", False): "worse than",
}


def _told(judgements: Sequence[Judgement]) -> str:
    """Such as "better than a, b and c and not worse than d"."""
    groups = {
        phrase: [each.other for each in judgements if (each.demand, each.passed) == key]
        for key, phrase in _PHRASES.items()
    }
    return " and ".join(f"{phrase} {_listed(names)}" for phrase, names in groups.items() if names)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
