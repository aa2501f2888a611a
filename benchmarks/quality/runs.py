"""Runs the evaluator on each data set and cut, and fits ours without each source in turn."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.home import CONFIG, ROOT
from benchmarks.quality.code_files import with_imports
from benchmarks.quality.data_sets import DEMO, demo_files, eshop_files, retail_files
from benchmarks.quality.few_run import FEW, run_few
from benchmarks.quality.funnel_run import FUNNEL, run_funnel
from benchmarks.quality.funnel_shop import FunnelConfig, funnel_files
from benchmarks.quality.kept_results import (
    Document,
    keep_in,
    key_of,
    key_of_files,
    load_or_make,
)
from benchmarks.quality.next_runs import DEMO_NEXT, ESHOP_NEXT, NEXT_RUNS, run_next
from benchmarks.quality.oracle import oracle_scorer
from benchmarks.quality.oracle_without_tastes import oracle_without_tastes_scorer
from serve_app.evaluation.evaluation_report import as_json
from serve_app.evaluation.evaluator import EvaluationConfig, MakeScorer, evaluate
from serve_app.evaluation.list_measures import ndcgs
from serve_app.evaluation.protocol import ProtocolConfig, split_at_share
from serve_app.evaluation.served import ServedConfig, fit_on_training, list_from_bundle
from serve_app.loading.in_memory import read_files
from serve_app.loading.load import InputFiles
from serve_app.operations.fits.fit_settings import ours_config
from serve_app.recommending.scoring.model_features import SOURCES

RETAIL, DEMO_RUN, SOURCES_RUN = "retail", "demo", "sources"
CUTS = (0, 28, 56)
"""Days by which the test period of Online Retail moves back."""

RETAIL_RUNS = tuple(f"{RETAIL}-{days}" for days in CUTS)
RUNS = (*RETAIL_RUNS, DEMO_RUN, SOURCES_RUN, *NEXT_RUNS, FUNNEL, FEW)
OF_ESHOP, OF_DEMO, OF_FUNNEL = (ESHOP_NEXT,), (DEMO_RUN, DEMO_NEXT), (FUNNEL, FEW)
"""Runs of other data than Online Retail."""

ALL_SOURCES = "all sources"

ORACLES: Mapping[str, MakeScorer] = {
    "oracle": oracle_scorer,
    "oracle_without_tastes": oracle_without_tastes_scorer,
}
"""Models of the demo shop that know more than its files tell."""

Progress = Callable[[str, float], None]

_PACKAGE = ROOT / "serve_app"
_OF_RIVALS = ("loading/in_memory.py", "evaluation/protocol.py", "evaluation/rivals.py")
"""Modules that make the lists of the rivals, which are kept while ours change."""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Attributes:
        work: folder of data and results.
        retail: published table of Online Retail.
        eshop: published clicks of a shop.
        points: most points of a rival's grid that are tried.
    """

    work: Path
    retail: Path
    eshop: Path
    points: int


def run(name: str, plan: Plan, progress: Progress) -> Document:
    """
    Run one of ``RUNS``, or load its kept document.

    Raises:
        DataRejected: a published table cannot be read or lacks a column.
    """
    if name == FEW:
        return run_few(plan.points, plan.work, progress, now_at=_now_at())
    files = _files_of(name, plan)
    if name in OF_FUNNEL:
        return run_funnel(files, plan.work, progress)
    if name in NEXT_RUNS:
        return run_next(name, files, plan.points, plan.work, progress, now_at=_now_at())
    if name == DEMO_RUN:
        return _evaluate(name, files, 0, plan, progress)
    if name == SOURCES_RUN:
        return _fit_without_each_source(files, plan, progress)
    return _evaluate(name, files, int(name.removeprefix(f"{RETAIL}-")), plan, progress)


def _files_of(name: str, plan: Plan) -> InputFiles:
    if name in OF_ESHOP:
        return eshop_files(plan.eshop, plan.work / "eshop")
    if name in OF_FUNNEL:
        return funnel_files(FunnelConfig(), plan.work / FUNNEL)
    if name in OF_DEMO:
        return demo_files(plan.work / DEMO_RUN)
    return retail_files(plan.retail, plan.work / RETAIL)


def settings(days_earlier: int, points: int) -> EvaluationConfig:
    """Evaluate the settings of the project's ``serve_config.yaml`` and ``configs/fit.yaml``."""
    return EvaluationConfig(
        protocol=ProtocolConfig(days_earlier=float(days_earlier)),
        max_points=points,
        ours=ours_config(CONFIG, ROOT / "configs/fit.yaml", n_threads=os.cpu_count()),
    )


def files_of_rivals() -> frozenset[Path]:
    """
    Find the code files that the rivals' lists depend on.

    The evaluator passes them their settings. Only ours depend on its other imports.
    """
    modules = with_imports(_PACKAGE / file for file in _OF_RIVALS)
    return modules | {_PACKAGE / "evaluation/evaluator.py"}


def _evaluate(
    name: str, files: InputFiles, days_earlier: int, plan: Plan, progress: Progress
) -> Document:
    config = settings(days_earlier, plan.points)
    data = key_of_files(file for _, file in files.given())
    of_rivals = config.model_copy(update={"ours": ServedConfig()}).model_dump_json()

    def make() -> Document:
        evaluation = evaluate(
            files,
            config,
            lambda step, share: progress(f"{name}: {step}", share),
            now_at=_now_at(),
            clock=time.perf_counter,
            further=ORACLES if name == DEMO_RUN else {},
            keep=keep_in(
                plan.work / "rivals", key_of(data, of_rivals, key_of_files(files_of_rivals()))
            ),
        )
        document: Document = json.loads(as_json(evaluation))
        return document

    return load_or_make(plan.work / "runs", name, _key(data, config.model_dump_json()), make)


def _fit_without_each_source(files: InputFiles, plan: Plan, progress: Progress) -> Document:
    """Collect each user's NDCG@10 with all sources, without each, and of each source alone."""
    config = settings(CUTS[0], plan.points)
    data = key_of_files(file for _, file in files.given())
    loaded = read_files(files, config.reading, lambda share: None, now_at=_now_at())
    split = split_at_share(loaded.log, config.protocol)
    documents: Document = {}
    for name, ours in _variations(config.ours).items():

        def make(ours: ServedConfig = ours, name: str = name) -> Document:
            started_at = time.perf_counter()

            def tell(step: str, share: float) -> None:
                progress(f"{name}: {step}", share)

            result = fit_on_training(loaded, split, ours, tell)
            lists = list_from_bundle(result, split, 10, ours, tell)
            return {
                "ndcg": ndcgs(lists.plain, split, 10).tolist(),
                "recall": float(lists.candidate_recall.mean()),
                "alone": {
                    source: ndcgs(of_source, split, 10).tolist()
                    for source, of_source in lists.by_source.items()
                },
                "seconds": time.perf_counter() - started_at,
            }

        key = _key(data, config.model_copy(update={"ours": ours}).model_dump_json())
        documents[name] = load_or_make(
            plan.work / "runs", f"{SOURCES_RUN}-{name.replace(' ', '-')}", key, make
        )
    return documents


def _variations(config: ServedConfig) -> Mapping[str, ServedConfig]:
    """Settings with all sources, and without each in turn; ``popular`` cannot be switched off."""
    candidates = config.fit.candidates
    variations = {ALL_SOURCES: config}
    for source in SOURCES:
        if source != "popular":
            off = getattr(candidates, source).model_copy(update={"enabled": False})
            fit = config.fit.model_copy(
                update={"candidates": candidates.model_copy(update={source: off})}
            )
            variations[source] = config.model_copy(update={"fit": fit})
    return variations


def _key(data: str, config: str) -> str:
    return key_of(data, config, key_of_files(_PACKAGE.rglob("*.py")))


def _now_at() -> float:
    """Now, or the end of the demo shop's history if that lies in the future."""
    return max(time.time(), DEMO.end_at)
