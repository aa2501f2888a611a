"""The whole fit at once, in this process, for whoever wants its results and not its steps."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from serve_app.domain.interactions import InteractionLog
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.run import Progress, Step, run
from serve_app.fitting.steps.check_data import check
from serve_app.fitting.steps.compute_features import features
from serve_app.fitting.steps.evaluate_models import evaluate, metrics_of
from serve_app.fitting.steps.find_candidates import candidates
from serve_app.fitting.steps.publish import FitResult, fitted
from serve_app.fitting.steps.train_models import train
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import Here

LEARNING: Mapping[str, Step] = {
    "features": features,
    "candidates": candidates,
    "train": train,
    "evaluate": evaluate,
}
"""The steps between the one that reads the data and the one that publishes."""


def fit(
    items: pd.DataFrame,
    users: pd.DataFrame,
    log: InteractionLog,
    config: FitConfig,
    progress: Progress,
    *,
    measure: bool = True,
) -> FitResult:
    """
    Args:
        items: as ``stores.postgres.fit_input.read_items`` gives them.
        users: as ``read_users``; users that only the log knows need not be there.
        measure: whether the models are measured, and judged.

    Raises:
        NotEnoughData: no items, too few interactions, or too few users who bought something new.
    """
    steps: dict[str, Step] = {
        "check": partial(check, read=lambda: (items, users, log)),
        **LEARNING,
    }
    if not measure:
        steps = {**steps, "train": partial(train, kinds=("published",))}
        del steps["evaluate"]
    with TemporaryDirectory(prefix="recserve-fit-") as folder:
        work = Workspace(Path(folder))
        for _ in run(steps, work, config, None, Here(), progress):
            pass
        # What is mapped stays readable when its files are gone.
        return fitted(work, config, metrics_of(work) if measure else {})
