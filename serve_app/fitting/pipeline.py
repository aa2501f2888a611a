"""Fits the models of a shop in six steps, and publishes them as a bundle.

``fit_and_publish`` fits the data of a database; ``fit`` fits data in memory and returns the result.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from serve_app.bundles.bundle import ensure_same_shop
from serve_app.bundles.manifest import Manifest
from serve_app.database.schema import check_schema
from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.fit_source import DataInMemory, FitData, FitSource
from serve_app.fitting.run import Meter, Progress, Step, StepRun, run
from serve_app.fitting.steps.check_data import check_data
from serve_app.fitting.steps.compute_features import compute_features
from serve_app.fitting.steps.evaluate_models import evaluate_models, load_metrics
from serve_app.fitting.steps.find_candidates import find_candidates
from serve_app.fitting.steps.publish_bundle import (
    MANIFEST,
    FitResult,
    assemble_result,
    publish_bundle,
)
from serve_app.fitting.steps.train_models import train_models
from serve_app.fitting.workspace.step_folders import Workspace, compute_code_key, read_json
from serve_app.fitting.workspace.workers import LocalWorkers, Workers

PUBLISH = "publish"

STEPS: Mapping[str, Callable[..., None]] = {
    # Copies the data, and refuses data that are too few to learn from.
    "check": check_data,
    # Chooses the settings of the sources; computes features of items and users at three moments.
    "features": compute_features,
    # Fits the tables of the sources; finds the candidates of past moments and their outcomes.
    "candidates": find_candidates,
    # Trains two models per variant: one to be measured, one to be published.
    "train": train_models,
    # Measures every order of the candidates, judges the main variant, and writes the report.
    "evaluate": evaluate_models,
    # Writes learnt columns to the database, and the bundle; promotes the bundle if it passed.
    PUBLISH: publish_bundle,
}
"""Function of each step, in the order in which steps run; a step reads what earlier steps wrote."""


def fit_and_publish(
    source: FitSource,
    work: Workspace,
    config: FitConfig,
    workers: Workers,
    progress: Progress,
    meter: Meter,
    *,
    created_at: float,
    only: str | None = None,
    force: bool = False,
) -> Iterator[StepRun]:
    """Runs the steps without up-to-date results; ``evaluate`` and ``publish`` always run.

    Args:
        work: must be used by one fit at a time.
        created_at: epoch seconds, written into the manifest.
        only: the one step to run, even if it is done. The steps before it must be done.
        force: promote the bundle whatever the gate says.

    Yields:
        Each step when it is done, also a step whose earlier results are used.

    Raises:
        AnotherShop: the served bundle was fitted on another database, and nothing is forced.
        NotEnoughData: too few data to learn from; the served bundle stays.
        SchemaMismatch: the tables are missing or of another version.
        StepMissing: a step before ``only`` is not done.
    """
    check_schema(source.conn)
    if not force:
        ensure_same_shop(source.bundle_root, source.shop_id)
    publish = partial(publish_bundle, target=source, created_at=created_at, force=force)
    steps: Mapping[str, Step] = {**STEPS, PUBLISH: publish}
    inputs = [compute_code_key(), source.state()]
    return run(steps, work, config, source, workers, progress, meter, inputs=inputs, only=only)


def load_published(work: Workspace) -> Manifest:
    """Manifest of the bundle that the last run of ``publish`` has written."""
    return Manifest.model_validate(read_json(work.folder_of(PUBLISH) / MANIFEST))


def fit(
    items: pd.DataFrame,
    users: pd.DataFrame,
    log: InteractionLog,
    config: FitConfig,
    progress: Progress,
    *,
    measure: bool = True,
) -> FitResult:
    """Runs all steps but ``publish`` on ``FitData`` in this process, in a temporary folder.

    Args:
        measure: measure and judge the models; otherwise only the models to publish are trained.

    Raises:
        NotEnoughData: no items, too few interactions, or too few users who did something new.
    """
    steps: dict[str, Step] = {name: step for name, step in STEPS.items() if name != PUBLISH}
    if not measure:
        steps["train"] = partial(train_models, kinds=("published",))
        del steps["evaluate"]
    source = DataInMemory(FitData(items, users, log))
    with TemporaryDirectory(prefix="recserve-fit-") as folder:
        work = Workspace(Path(folder))
        for _ in run(steps, work, config, source, LocalWorkers(), progress):
            pass
        # The result maps files of the folder. They stay readable after their deletion.
        return assemble_result(work, config, load_metrics(work) if measure else {})
