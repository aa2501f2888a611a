"""Runs the steps in their order, leaves out what is done, and tells what each took."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serve_app.errors import StepMissing
from serve_app.fitting.fit_config import STEP_SETTINGS, FitConfig
from serve_app.fitting.job import Job
from serve_app.fitting.workspace.step_folders import Done, Workspace, key_of
from serve_app.fitting.workspace.workers import Workers

Step = Callable[[Job, Path], None]
"""Reads what the steps before it left, and writes its own results to a folder."""

Progress = Callable[[str, float], None]
"""Told the name of the step that runs and which share of it is done."""


@dataclass(slots=True)
class Used:
    """What a step has used; known when it is over."""

    seconds: float = 0.0
    peak_bytes: int = 0


AGAIN = ("evaluate", "publish")
"""They depend on what is served, and run again whenever all steps do."""

Meter = Callable[[], AbstractContextManager[Used]]


@dataclass(frozen=True, slots=True)
class Ran:
    """Attributes: again: whether the step ran, or its results of before were used."""

    step: str
    again: bool
    done: Done


def run(
    steps: Mapping[str, Step],
    work: Workspace,
    config: FitConfig,
    sources: object,
    workers: Workers,
    progress: Progress,
    meter: Meter = lambda: nullcontext(Used()),
    *,
    only: str | None = None,
) -> Iterator[Ran]:
    """
    Args:
        steps: in their order.
        sources: identifies the data and the code; what can be written as JSON.
        only: a step that runs alone, whether or not it is done; those before it must be.

    Yields:
        Each step when it is done.

    Raises:
        StepMissing: a step before the only one is not done, or with other sources or settings.
    """
    keys = keys_of(config, sources)
    for name, step in steps.items():
        done = work.done(name)
        again = name == only or (only is None and name in AGAIN)
        if done is not None and done.key == keys[name] and not again:
            yield Ran(name, False, done)
        elif only in (None, name):
            job = Job(work, config, workers, partial(progress, name))
            yield Ran(name, True, _run(name, step, job, keys[name], meter))
        else:
            raise StepMissing(name, only)
        if name == only:
            return


def keys_of(config: FitConfig, sources: object) -> dict[str, str]:
    """By step: of the sources, its settings and those of all steps before it."""
    written = config.model_dump(mode="json")
    keys, key = {}, key_of(sources)
    for step, names in STEP_SETTINGS.items():
        key = key_of(key, {name: written[name] for name in names})
        keys[step] = key
    return keys


def _run(name: str, step: Step, job: Job, key: str, meter: Meter) -> Done:
    job.progress(0.0)
    with job.work.writing(name) as (folder, finish):
        with meter() as used:
            step(job, folder)
        done = Done(key, used.seconds, used.peak_bytes)
        finish(done)
    job.progress(1.0)
    return done
