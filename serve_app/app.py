"""The graph, and the only place where it is wired.

    Ingress ─┬─► FeatureFetcher ──────┐
             ├─► CandidateGenerator ──┤        (side by side)
             ├─► Scorer-<variant> … ◄─┘        (one deployment per variant)
             └─► Ranker

The order of the calls, their deadlines and what stands in for a stage are in ``pipeline.py``.
No ``from __future__ import annotations`` here: Serve would hand ``build_app`` a plain dict.
"""

import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from ray import serve
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, RayServeException
from ray.serve.handle import DeploymentHandle

from serve_app.config import AppConfig, bundle_location, store_location
from serve_app.deployments.candidates import CandidateGenerator
from serve_app.deployments.features import FeatureFetcher
from serve_app.deployments.ingress import Calls, Ingress
from serve_app.deployments.ranking import Ranker
from serve_app.deployments.scoring import Scorer
from serve_app.errors import StageFailed
from serve_app.pipeline import CANDIDATES, FEATURES, RANKER, Stages, scorer_of
from serve_app.telemetry import RayExporter

_logger = logging.getLogger("ray.serve.recserve.graph")


def build_app(config: AppConfig) -> serve.Application:
    """Entry point of ``serve_config.yaml``: ``import_path: serve_app.app:build_app``."""
    location = store_location(os.environ, Path.cwd())
    bundles = bundle_location(config, location.home)

    def deploy(cls: type, *args: object, name: str = "") -> serve.Application:
        return serve.deployment(name=name or cls.__name__)(cls).bind(*args)

    others = {
        "FeatureFetcher": deploy(FeatureFetcher, location, config.stores, config.ttls),
        "CandidateGenerator": deploy(
            CandidateGenerator, location, bundles, config.stores, config.ttls, config.candidates
        ),
        "Ranker": deploy(Ranker, bundles, config.ranking),
        **{
            f"Scorer-{variant}": deploy(Scorer, variant, bundles, name=f"Scorer-{variant}")
            for variant in config.variants
        },
    }
    ingress = serve.ingress()(Ingress)
    return deploy(ingress, config, location, bundles, others, calls_of, name="Ingress")


def calls_of(handles: Mapping[str, DeploymentHandle[Any]]) -> Calls:
    """The deployments as the coroutine functions that the pipeline calls."""
    fetcher = handles["FeatureFetcher"]
    scorers = {
        name.removeprefix("Scorer-"): handle
        for name, handle in handles.items()
        if name.startswith("Scorer-")
    }
    stages = Stages(
        users=remote(FEATURES, fetcher.users),
        candidates=remote(CANDIDATES, handles["CandidateGenerator"].find),
        scorers={
            variant: remote(scorer_of(variant), handle.score) for variant, handle in scorers.items()
        },
        rank=remote(RANKER, handles["Ranker"].rank),
    )
    return Calls(stages, items=remote("metadata", fetcher.items), exporter=RayExporter())


_LOST = (ActorDiedError, ActorUnavailableError)


def remote(stage: str, method: DeploymentHandle[Any]) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """
    A deployment's method as a coroutine function that raises ``StageFailed`` and nothing else.

    A replica that dies with a call in its hands is not retried by Serve; every stage only reads,
    so it is asked once more.
    """
    plain = method.options(request_serialization="pickle", response_serialization="pickle")

    async def call(argument: Any) -> Any:
        for attempts_left in (1, 0):
            try:
                return await plain.remote(argument)
            except _LOST as error:
                if not attempts_left:
                    raise StageFailed(stage, type(error).__name__) from error
            except StageFailed as error:
                raise StageFailed(stage, error.reason) from error
            except (DeploymentUnavailableError, BackPressureError) as error:
                raise StageFailed(stage, type(error).__name__) from error
            except (RayError, RayServeException, RayTaskError) as error:
                _logger.error("%s failed unforeseen", stage, exc_info=error)
                raise StageFailed(stage, "error") from error
        raise AssertionError("unreachable")

    return call
