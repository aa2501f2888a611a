"""Runs the steps in their order, skips steps that are done, and measures the others."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serve_app.errors import StepMissing
from serve_app.fitting.fit_config import STEP_SETTINGS, FitConfig
from serve_app.fitting.fit_source import FitInput
from serve_app.fitting.workspace.memory import give_back_freed
from serve_app.fitting.workspace.step_folders import Done, Workspace, compute_key
from serve_app.fitting.workspace.workers import Workers

Progress = Callable[[str, float], None]
"""Receives the name of the running step, and the share of the step that is done."""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a step is given; ``progress`` receives the share of the step that is done."""

    work: Workspace
    config: FitConfig
    source: FitInput
    workers: Workers
    progress: Callable[[float], None]


Step = Callable[[Job, Path], None]
"""Reads the results of earlier steps, and writes its own results to an empty folder."""

ALWAYS_AGAIN = ("evaluate", "publish")
"""These steps depend on the bundle that is served, which no key covers."""


@dataclass(slots=True)
class StepCost:
    """Resources that a step has used; filled in when the step is over."""

    seconds: float = 0.0
    peak_bytes: int = 0


Meter = Callable[[], AbstractContextManager[StepCost]]


@dataclass(frozen=True, slots=True)
class StepRun:
    """A step that was run (``again``), or whose earlier results were used."""

    step: str
    again: bool
    done: Done


def run(
    steps: Mapping[str, Step],
    work: Workspace,
    config: FitConfig,
    source: FitInput,
    workers: Workers,
    progress: Progress,
    meter: Meter = lambda: nullcontext(StepCost()),
    *,
    inputs: object = None,
    only: str | None = None,
) -> Iterator[StepRun]:
    """Runs each step that is not done, in order.

    Args:
        inputs: identifies the code and the data, as a value that JSON can hold.
        only: the one step to run, even if it is done. The steps before it must be done.

    Yields:
        Each step when it is done, also a step whose earlier results are used.

    Raises:
        StepMissing: a step before ``only`` is not done, or was done with other inputs or settings.
    """
    keys = keys_of(config, inputs)
    for name, step in steps.items():
        done = work.done(name)
        again = name == only or (only is None and name in ALWAYS_AGAIN)
        if done is not None and done.key == keys[name] and not again:
            yield StepRun(name, False, done)
        elif only in (None, name):
            job = Job(work, config, source, workers, partial(progress, name))
            yield StepRun(name, True, _run_step(name, step, job, keys[name], meter))
        else:
            raise StepMissing(name, only)
        if name == only:
            return


def keys_of(config: FitConfig, inputs: object) -> dict[str, str]:
    """By step, a key of the inputs, its settings, and the settings of all steps before it."""
    values = config.model_dump(mode="json")
    keys, key = {}, compute_key(inputs)
    for step, names in STEP_SETTINGS.items():
        key = compute_key(key, {name: values[name] for name in names})
        keys[step] = key
    return keys


def _run_step(name: str, step: Step, job: Job, key: str, meter: Meter) -> Done:
    job.progress(0.0)
    with job.work.writing(name) as (folder, finish):
        with meter() as cost:
            step(job, folder)
        give_back_freed()
        # After the step's own work: only complete results get a key, and are ever used again.
        done = Done(key, cost.seconds, cost.peak_bytes)
        finish(done)
    job.progress(1.0)
    return done
