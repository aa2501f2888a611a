"""Defines the goals of the quality figures and checks them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.markdown import between
from benchmarks.quality.few_run import FEW, few_users
from benchmarks.quality.funnel_run import FUNNEL
from benchmarks.quality.funnel_section import views_and_carts
from benchmarks.quality.kept_results import Document
from benchmarks.quality.next_runs import DEMO_NEXT, ESHOP_NEXT, RETAIL_NEXT
from benchmarks.quality.next_sections import next_clicks, short_histories
from benchmarks.quality.runs import DEMO_RUN, RETAIL_RUNS
from serve_app.evaluation.evaluator import FIT, OURS

NDCG = "ndcg@10"

Documents = Mapping[str, Document]


@dataclass(frozen=True, slots=True)
class Goal:
    """
    Attributes:
        figure: with its interval if it has one; empty if it was not measured.
        is_met: ``None`` if it was not measured.
    """

    text: str
    figure: str
    is_met: bool | None


def goals_of(runs: Documents) -> list[Goal]:
    return [
        Goal(text, *measure(runs)) if all(name in runs for name in needed) else Goal(text, "", None)
        for text, needed, measure in _GOALS
    ]


def ratio(document: Document, kind: str, ours: str = OURS) -> dict[str, float]:
    """Ratio of ours to the best textbook model (``library``) or the best rival (``single``)."""
    return ratio_to(document, document["best"][kind], ours)


def ratio_to(document: Document, other: str, ours: str = OURS) -> dict[str, float]:
    """
    Paired ratio of NDCG@10: ``mean``, ``low``, ``high``.

    NaN without ours, or if the other model may have an NDCG of zero.
    """
    compared = document["comparisons"].get(ours, {}).get(other, {"ratio": {}})
    unknown = dict.fromkeys(("mean", "low", "high"), float("nan"))
    found: dict[str, float] = compared["ratio"].get(NDCG, unknown)
    return found


def measure(document: Document, model: str, name: str) -> float:
    """A figure of a model; NaN without the model."""
    return float(document["models"].get(model, {}).get(name, {"mean": np.nan})["mean"])


def _textbook(runs: Documents) -> tuple[str, bool]:
    found = ratio(runs[RETAIL_RUNS[0]], "library")
    return between(found), found["mean"] >= 2.0


def _single(runs: Documents) -> tuple[str, bool]:
    found = ratio(runs[RETAIL_RUNS[0]], "single")
    return between(found), found["mean"] >= 1.20 and found["low"] > 1.10


def _cuts(runs: Documents) -> tuple[str, bool]:
    means = [ratio(runs[name], "single")["mean"] for name in RETAIL_RUNS]
    return f"{np.mean(means):.2f}", bool(np.mean(means) >= 1.15)


def _recall(runs: Documents) -> tuple[str, bool]:
    document = runs[RETAIL_RUNS[0]]
    found: Any = document["models"].get(OURS, {}).get("candidate_recall")
    return (between(found, 3), found["mean"] >= 0.60) if found else ("no lists", False)


def _coverage(runs: Documents) -> tuple[str, bool]:
    document = runs[RETAIL_RUNS[0]]
    single = document["best"]["single"]
    own, other = (measure(document, name, "coverage@20") for name in (OURS, single))
    return f"{own:.3f} against {other:.3f}", own >= other


def _oracle(runs: Documents) -> tuple[str, bool]:
    found = ratio_to(runs[DEMO_RUN], "oracle")
    return between(found), found["mean"] >= 0.80


def _seconds(runs: Documents) -> tuple[str, bool]:
    found = max(runs[name]["seconds"].get(FIT, np.inf) for name in (*RETAIL_RUNS, DEMO_RUN))
    return f"{found:.0f} s", bool(found <= 180)


_GOALS: Sequence[tuple[str, Sequence[str], Callable[[Documents], tuple[str, bool]]]] = (
    ("Online Retail: at least 2.0 times the best textbook model", RETAIL_RUNS[:1], _textbook),
    (
        "Online Retail: at least 1.20 times the best single model, with a lower bound above 1.10",
        RETAIL_RUNS[:1],
        _single,
    ),
    ("Mean of the three cuts: at least 1.15 times the best single model", RETAIL_RUNS, _cuts),
    ("Online Retail: candidates hold at least .60 of the wanted items", RETAIL_RUNS[:1], _recall),
    (
        "Online Retail: coverage@20 at least that of the best single model",
        RETAIL_RUNS[:1],
        _coverage,
    ),
    ("Demo shop: at least .80 of the oracle's NDCG@10", (DEMO_RUN,), _oracle),
    (
        "Next clicks of anonymous visitors: at least 1.05 times the best single model",
        (ESHOP_NEXT,),
        next_clicks,
    ),
    (
        "Next purchases, 0 to 9 known events: NDCG@20 of every group of 30 questions or more at"
        " least that of the group's best single model",
        (RETAIL_NEXT, DEMO_NEXT),
        short_histories,
    ),
    (
        "Purchases with views and carts as history: at least 1.15 times those without",
        (FUNNEL,),
        views_and_carts,
    ),
    (
        "Simulated shops of 30, 60 and 100 users: at least .97 of the best single model",
        (FEW,),
        few_users,
    ),
    ("Every fit within 180 s", (*RETAIL_RUNS, DEMO_RUN), _seconds),
)
