"""Computes the parts of a step as tasks of a Ray cluster, which it starts if there is none."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
from ray.train import Checkpoint, RunConfig, ScalingConfig, get_context, report
from ray.train.xgboost import XGBoostTrainer

from serve_app.errors import SettingsInvalid
from serve_app.fitting.workspace.memory import give_back_freed
from serve_app.fitting.workspace.workers import Part, Result, Share, Shared

# Tasks for each CPU at a time. One would leave CPUs idle between tasks; many would fill the memory
# with results that the step has not taken yet.
_TASKS_PER_CPU = 2

_MODEL = "model.ubj"

_QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


@dataclass(frozen=True, slots=True)
class RayWorkers:
    """See ``Workers``. Errors of a task are raised here; Ray repeats the tasks of a machine that
    dies.

    Attributes:
        storage: folder or URI that all machines reach, for models that several processes train.
    """

    storage: str

    def map(
        self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Iterable[Part]
    ) -> Iterator[Result]:
        _ensure_started()
        common: Any = ray.put(shared)
        # The object store holds a copy. Without these lines the driver would keep its own as well,
        # and whatever was freed while the step made it.
        del shared
        give_back_freed()
        limit = max(1, _TASKS_PER_CPU * _n_cpus())
        waiting: deque[Any] = deque()
        for part in parts:
            if len(waiting) == limit:
                # The oldest first: results come in the order of the parts, whoever is faster.
                yield ray.get(waiting.popleft())
            waiting.append(_work.remote(work, common, part))
        while waiting:
            yield ray.get(waiting.popleft())

    def train_together(
        self, work: Callable[[Shared, Share], bytes], shared: Shared, n_workers: int
    ) -> bytes:
        if n_workers == 1:
            [model] = self.map(work, shared, [(0, 1)])
            return model
        _ensure_started()
        result = XGBoostTrainer(
            _train,
            train_loop_config={"work": work, "shared": ray.put(shared)},
            scaling_config=ScalingConfig(num_workers=n_workers, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(storage_path=self.storage),
        ).fit()
        # The first process always reports its model; Ray raises if a process fails.
        assert result.checkpoint is not None
        with result.checkpoint.as_directory() as folder:
            model = (Path(folder) / _MODEL).read_bytes()
        # Ray Train never deletes its results, and every fit would leave one folder per model.
        result.filesystem.delete_dir(result.path)
        return model


@contextmanager
def on_ray(address: str | None, storage: str) -> Iterator[RayWorkers]:
    """Opens workers that compute parts as tasks of Ray.

    Args:
        address: of a running cluster; ``None`` starts one on this machine for the first part, and
            stops it at the end. A fit that has nothing to compute starts none: that takes seconds.
        storage: see ``RayWorkers``.

    Raises:
        SettingsInvalid: no cluster answers at the address.
    """
    if address:
        _connect(address)
    try:
        yield RayWorkers(storage)
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    try:
        ray.init(address, **_QUIET)
    except (ConnectionError, ValueError) as error:
        raise SettingsInvalid("address of a Ray cluster", f"{address}: {error}") from error


def _ensure_started() -> None:
    if not ray.is_initialized():
        ray.init("local", include_dashboard=False, **_QUIET)


def _n_cpus() -> int:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get("CPU", 1))


@ray.remote
def _work(work: Callable[[Any, Any], Any], shared: Any, part: Any) -> Any:
    # Ray passes the object itself where the caller gave a reference to it.
    result = work(shared, part)
    # The process lives as long as the fit, and waits between tasks with whatever it holds.
    give_back_freed()
    return result


def _train(config: dict[str, Any]) -> None:
    """Runs in every process that trains a model together with others."""
    context = get_context()
    share = (context.get_world_rank(), context.get_world_size())
    model = config["work"](ray.get(config["shared"]), share)
    # All processes end with the same model. Every one must report, or Ray waits for it.
    if share[0]:
        report({})
        return
    with TemporaryDirectory() as folder:
        (Path(folder) / _MODEL).write_bytes(model)
        report({}, checkpoint=Checkpoint.from_directory(folder))
