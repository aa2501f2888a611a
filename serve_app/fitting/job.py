"""What every step is given."""

from collections.abc import Callable
from dataclasses import dataclass

from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import Workers


@dataclass(frozen=True, slots=True)
class Job:
    """
    Attributes:
        work: where the results of the steps before lie.
        workers: who works on the parts of a step.
        progress: told which share of the step is done.
    """

    work: Workspace
    config: FitConfig
    workers: Workers
    progress: Callable[[float], None]
