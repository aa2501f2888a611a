"""Works on the parts of a step as tasks of a Ray cluster, or of one that it starts here."""

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
from serve_app.fitting.workspace.workers import Part, Result, Share, Shared

_AHEAD = 2
"""Tasks that wait for each CPU: their results fill memory until they are taken."""

_MODEL = "model.ubj"


@dataclass(frozen=True, slots=True)
class OnRay:
    """
    See ``Workers``. What a task raises is raised here; tasks of a machine that dies run again.

    Attributes:
        storage: folder or URI that all machines reach, for models that several train together.
    """

    storage: str

    def map(
        self, work: Callable[[Shared, Part], Result], shared: Shared, parts: Iterable[Part]
    ) -> Iterator[Result]:
        common: Any = ray.put(shared)
        del shared  # the cluster has it now
        limit = max(1, _AHEAD * _n_cpus())
        waiting: deque[Any] = deque()
        for part in parts:
            if len(waiting) == limit:
                yield ray.get(waiting.popleft())
            waiting.append(_work.remote(work, common, part))
        while waiting:
            yield ray.get(waiting.popleft())

    def together(
        self, work: Callable[[Shared, Share], bytes], shared: Shared, n_workers: int
    ) -> bytes:
        if n_workers == 1:
            [model] = self.map(work, shared, [(0, 1)])
            return model
        result = XGBoostTrainer(
            _train,
            train_loop_config={"work": work, "shared": ray.put(shared)},
            scaling_config=ScalingConfig(num_workers=n_workers, resources_per_worker={"CPU": 1}),
            run_config=RunConfig(storage_path=self.storage),
        ).fit()
        assert result.checkpoint is not None
        with result.checkpoint.as_directory() as folder:
            model = (Path(folder) / _MODEL).read_bytes()
        result.filesystem.delete_dir(result.path)
        return model


@contextmanager
def on_ray(address: str | None, storage: str) -> Iterator[OnRay]:
    """
    Args:
        address: of a cluster that runs; ``None`` starts one on this machine for as long as this
            lasts.
        storage: see ``OnRay``.

    Raises:
        SettingsInvalid: there is no such cluster.
    """
    own: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        ray.init(address or "local", logging_level=logging.ERROR, log_to_driver=False, **own)
    except (ConnectionError, ValueError) as error:
        raise SettingsInvalid("address of a Ray cluster", f"{address}: {error}") from error
    try:
        yield OnRay(storage)
    finally:
        ray.shutdown()


def _n_cpus() -> int:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get("CPU", 1))


@ray.remote
def _work(work: Callable[[Any, Any], Any], shared: Any, part: Any) -> Any:
    """Ray puts what was shared in the place of its reference."""
    return work(shared, part)


def _train(config: dict[str, Any]) -> None:
    """What each of the processes runs that train a model together."""
    context = get_context()
    share = (context.get_world_rank(), context.get_world_size())
    model = config["work"](ray.get(config["shared"]), share)
    if share[0]:
        report({})
        return
    with TemporaryDirectory() as folder:
        (Path(folder) / _MODEL).write_bytes(model)
        report({}, checkpoint=Checkpoint.from_directory(folder))
