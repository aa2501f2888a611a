"""Decides if a fit may replace the served bundle: it must beat every simpler order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from serve_app.bundles.manifest import ModelManifest, Order
from serve_app.domain.settings import Settings
from serve_app.fitting.judging import window_results
from serve_app.fitting.judging.leaks import Leak
from serve_app.fitting.judging.window_results import FUSED, POPULARITY, SERVED, WindowResults
from serve_app.measuring.bootstrap import Interval
from serve_app.measuring.comparing import Comparison, comparisons
from serve_app.recommending.scoring.model_features import SOURCES, fingerprint

Demand = Literal["better", "not_worse"]

POPULAR = "popular"
"""The source whose order is served in place of a model: items by popularity, the decayed sales."""

SIMPLER = (POPULARITY, *SOURCES, FUSED)
"""Orders that need no model. The main variant must be better than each of them."""


class GateConfig(Settings):
    """Settings of the gate."""

    k: int = Field(
        default=10, ge=1, le=20, description="Length of the lists whose NDCG is compared."
    )
    n_resamples: int = Field(
        default=1_000,
        ge=100,
        description="Resamples of the users for the intervals. More make intervals steadier and"
        " slower.",
    )
    served: Demand = Field(
        default="not_worse", description="Demand on the new fit against the served model."
    )


NOTHING_SERVED = "no model is served"
"""The reason when there is no served model to compare with."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One comparison of the main variant with another order.

    Attributes:
        difference: NDCG of the main variant minus the other's; ``None`` if nothing is compared.
        ratio: NDCG of the main variant over the other's; ``None`` where the other may be zero.
        sentence: the result in words.
    """

    other: str
    demand: Demand
    passed: bool
    difference: Interval | None
    ratio: Interval | None
    sentence: str


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """The decision on promotion, with the comparisons behind it.

    Attributes:
        main: the judged variant.
        k: length of the compared lists.
        reason: half a sentence, to follow "because".
        order: orders the lists if the fit is promoted.
        lack: what the data lack, if the main variant is not better than popularity; else empty.
    """

    main: str
    k: int
    promoted: bool
    judgements: tuple[Judgement, ...]
    reason: str
    order: Order = "model"
    lack: str = ""


def judge(
    results: WindowResults,
    main: str,
    config: GateConfig,
    seed: int,
    *,
    served_absent: str = NOTHING_SERVED,
    leaks: Sequence[Leak] = (),
    nothing_served: bool = False,
) -> GateVerdict:
    """Compares the main variant with every other order, and decides whether it is promoted.

    Args:
        main: the variant that most users would get.
        served_absent: reason if ``results`` holds no list of the served model.
        leaks: of all sources; a suspicious source fails the fit.
        nothing_served: no model is served, so the fit is promoted whatever the comparisons say. It
            serves the order of popularity if the main variant is not better than that.
    """
    # All demands must hold at once, so the intervals need no correction for their number.
    ndcg = window_results.ndcg_by_order(results, config.k)
    per_user = {name: {"ndcg": values} for name, values in ndcg.items()}
    compared = comparisons(main, per_user, ("ndcg",), config.n_resamples, seed)
    others: dict[str, Demand] = {
        **dict.fromkeys(SIMPLER, "better"),
        SERVED: config.served,
    }
    judgements = tuple(
        _judge(main, other, demand, compared[other], config.k)
        if results.offers(other)
        else _skip(other, demand, served_absent if other == SERVED else "it has no lists")
        for other, demand in others.items()
    )
    promoted, reason = _decide(main, judgements, leaks)
    if promoted or not nothing_served:
        return GateVerdict(main, config.k, promoted, judgements, reason)
    # Any lists are better than none. Those of a model must be better than popular items.
    if not _suspicious(leaks) and beats_popularity(judgements):
        reason = f"nothing better is there to be served, although {reason}"
        return GateVerdict(main, config.k, True, judgements, reason)
    reason = f"popularity orders the lists until a model is better: {reason}"
    return GateVerdict(main, config.k, True, judgements, reason, "popularity")


def why_not_comparable(
    served: ModelManifest | None, learnt_until_at: float, window_at: float
) -> str | None:
    """The reason if the served model cannot be measured on the window, else ``None``.

    Args:
        served: entry of the variant in the manifest of the served bundle.
        learnt_until_at: end of the data that the model learnt from, epoch seconds.
        window_at: beginning of the window, epoch seconds.
    """
    if served is None:
        return NOTHING_SERVED
    if fingerprint(served.features) != served.fingerprint:
        return "the served model was fitted for the features of another build"
    if learnt_until_at > window_at:
        # It has seen the answers, and would look better than any honest model.
        return "the served model learnt from the window itself"
    return None


def _judge(main: str, other: str, demand: Demand, comparison: Comparison, k: int) -> Judgement:
    difference, ratio = comparison.difference["ndcg"], comparison.ratio.get("ndcg")
    # "Better" is proven by the lower end; "not worse" is only refuted by the upper end.
    passed = difference.low > 0 if demand == "better" else difference.high >= 0
    how = "better than" if difference.low > 0 else "worse than" if difference.high < 0 else "like"
    sentence = (
        f"{main} is {how} {other}: NDCG@{k} differs by {difference.mean:+.4f}"
        f" ({difference.low:+.4f} to {difference.high:+.4f})"
    )
    return Judgement(other, demand, passed, difference, ratio, sentence)


def _skip(other: str, demand: Demand, why: str) -> Judgement:
    return Judgement(other, demand, True, None, None, f"not compared with {other}: {why}")


def _decide(main: str, judgements: Sequence[Judgement], leaks: Sequence[Leak]) -> tuple[bool, str]:
    suspicious = _suspicious(leaks)
    compared = [judgement for judgement in judgements if judgement.difference is not None]
    failed = [judgement for judgement in compared if not judgement.passed]
    if suspicious:
        return False, f"{_join(suspicious)} may have seen what the models learn from"
    if not compared:
        return False, f"there was nothing to compare {main} with"
    return not failed, f"{main} is {_in_words(failed or compared)}"


def _suspicious(leaks: Sequence[Leak]) -> list[str]:
    """Names of the suspicious sources."""
    return [leak.source for leak in leaks if leak.suspicious]


def beats_popularity(judgements: Sequence[Judgement]) -> bool:
    """Tells whether the main variant is better than items by popularity, of all time and now."""
    compared = [
        judgement
        for judgement in judgements
        if judgement.other in (POPULARITY, POPULAR) and judgement.difference is not None
    ]
    return bool(compared) and all(judgement.passed for judgement in compared)


_PHRASES: Mapping[tuple[Demand, bool], str] = {
    ("better", True): "better than",
    ("better", False): "not better than",
    ("not_worse", True): "not worse than",
    ("not_worse", False): "worse than",
}


def _in_words(judgements: Sequence[Judgement]) -> str:
    """For example "better than a, b and c and not worse than d"."""
    groups: dict[str, list[str]] = {phrase: [] for phrase in _PHRASES.values()}
    for judgement in judgements:
        groups[_PHRASES[judgement.demand, judgement.passed]].append(judgement.other)
    return " and ".join(f"{phrase} {_join(names)}" for phrase, names in groups.items() if names)


def _join(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
