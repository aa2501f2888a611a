"""What is run: the evaluator on each data set and cut, and our fit without each source."""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.home import CONFIG, ROOT
from benchmarks.quality.data import DEMO, demo_files, retail_files
from benchmarks.quality.ideal import ideal_scorer
from benchmarks.quality.insider import insider_scorer
from benchmarks.quality.kept import Document, keeping, kept, key_of, key_of_files
from benchmarks.quality.sources import with_imports
from serve_app.domain.scoring.model_features import SOURCES
from serve_app.evaluation.evaluation_report import as_json
from serve_app.evaluation.evaluator import EvaluationConfig, evaluate
from serve_app.evaluation.list_measures import ndcgs
from serve_app.evaluation.protocol import EvaluationSplit, ProtocolConfig, split_at_share
from serve_app.evaluation.served import OursConfig, served_lists
from serve_app.evaluation.training_matrix import ScoreItems
from serve_app.loading.in_memory import LoadedFiles, read_files
from serve_app.loading.load import InputFiles
from serve_app.operations.fit_settings import ours_config

RETAIL, DEMO_RUN, SOURCES_RUN = "retail", "demo", "sources"
CUTS = (0, 28, 56)
"""Days earlier, of Online Retail."""

RETAIL_RUNS = tuple(f"{RETAIL}-{days}" for days in CUTS)
RUNS = (*RETAIL_RUNS, DEMO_RUN, SOURCES_RUN)
WHOLE = "all sources"

KNOWING: Mapping[str, Callable[[LoadedFiles, EvaluationSplit], ScoreItems]] = {
    "ideal": ideal_scorer,
    "insider": insider_scorer,
}
"""What could be done on the demo shop by who knows more than its files tell."""

Progress = Callable[[str, float], None]

_PACKAGE = ROOT / "serve_app"
_OF_RIVALS = ("loading/in_memory.py", "evaluation/protocol.py", "evaluation/rivals.py")
"""Where the lists of the other models come from; those are kept while ours change."""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Attributes:
        work: folder of data and results.
        retail: the table of Online Retail as it is published.
        points: of a model's grid that are tried.
    """

    work: Path
    retail: Path
    points: int


def run(name: str, plan: Plan, progress: Progress) -> Document:
    """
    The document of one run, of ``RUNS``.

    Raises:
        DataRejected: the table of Online Retail is not what it must be.
    """
    if name == DEMO_RUN:
        files = demo_files(plan.work / DEMO_RUN)
        return _evaluated(name, files, 0, plan, progress)
    files = retail_files(plan.retail, plan.work / RETAIL)
    if name == SOURCES_RUN:
        return _without_each(files, plan, progress)
    return _evaluated(name, files, int(name.removeprefix(f"{RETAIL}-")), plan, progress)


def settings(days_earlier: int, points: int) -> EvaluationConfig:
    """What is served and fitted by the files of the project."""
    return EvaluationConfig(
        protocol=ProtocolConfig(days_earlier=float(days_earlier)),
        max_points=points,
        ours=ours_config(CONFIG, ROOT / "configs/fit.yaml", n_threads=os.cpu_count()),
    )


def files_of_rivals() -> frozenset[Path]:
    """
    What the lists of the other models depend on.

    The evaluator itself hands them their settings; what else it imports, only ours depend on.
    """
    made = with_imports(_PACKAGE / file for file in _OF_RIVALS)
    return made | {_PACKAGE / "evaluation/evaluator.py"}


def _evaluated(
    name: str, files: InputFiles, days_earlier: int, plan: Plan, progress: Progress
) -> Document:
    config = settings(days_earlier, plan.points)
    data = key_of_files(file for _, file in files.given())
    of_rivals = config.model_copy(update={"ours": OursConfig()}).model_dump_json()

    def make() -> Document:
        found = evaluate(
            files,
            config,
            lambda step, share: progress(f"{name}: {step}", share),
            now_at=_now_at(),
            clock=time.perf_counter,
            further=KNOWING if name == DEMO_RUN else {},
            keep=keeping(
                plan.work / "rivals", key_of(data, of_rivals, key_of_files(files_of_rivals()))
            ),
        )
        document: Document = json.loads(as_json(found))
        return document

    return kept(plan.work / "runs", name, _key(data, config.model_dump_json()), make)


def _without_each(files: InputFiles, plan: Plan, progress: Progress) -> Document:
    """NDCG@10 of every user with all sources, without each, and of each source alone."""
    config = settings(CUTS[0], plan.points)
    data = key_of_files(file for _, file in files.given())
    shop = read_files(files, config.reading, lambda share: None, now_at=_now_at())
    split = split_at_share(shop.log, config.protocol)
    found: Document = {}
    for name, ours in _variations(config.ours).items():

        def make(ours: OursConfig = ours, name: str = name) -> Document:
            started_at = time.perf_counter()

            def tell(step: str, share: float) -> None:
                progress(f"{name}: {step}", share)

            lists = served_lists(shop, split, 10, ours, tell)
            return {
                "ndcg": ndcgs(lists.plain, split, 10).tolist(),
                "recall": float(lists.recall.mean()),
                "alone": {
                    source: ndcgs(of_source, split, 10).tolist()
                    for source, of_source in lists.by_source.items()
                },
                "seconds": time.perf_counter() - started_at,
            }

        key = _key(data, config.model_copy(update={"ours": ours}).model_dump_json())
        found[name] = kept(plan.work / "runs", f"{SOURCES_RUN}-{name.replace(' ', '-')}", key, make)
    return found


def _variations(config: OursConfig) -> Mapping[str, OursConfig]:
    """All sources, and all but one; ``popular`` cannot be switched off."""
    candidates = config.fit.candidates
    found = {WHOLE: config}
    for source in SOURCES:
        if source != "popular":
            off = getattr(candidates, source).model_copy(update={"enabled": False})
            fit = config.fit.model_copy(
                update={"candidates": candidates.model_copy(update={source: off})}
            )
            found[source] = config.model_copy(update={"fit": fit})
    return found


def _key(data: str, config: str) -> str:
    return key_of(data, config, key_of_files(_PACKAGE.rglob("*.py")))


def _now_at() -> float:
    """The demo shop's interactions lie in its own time, which may be yet to come."""
    return max(time.time(), DEMO.end_at)
