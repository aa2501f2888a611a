"""The graph, and the only place where it is wired.

    Ingress ─┬─► FeatureFetcher ──────┐
             ├─► CandidateGenerator ──┤        (side by side)
             ├─► Scorer-<variant> … ◄─┘        (one per variant)
             └─► Ranker

Each stage is a deployment of its own, or lives in the process of the ingress: ``args.placement``.
The order of the calls, their deadlines and what stands in for a stage are in ``pipeline.py``.
No ``from __future__ import annotations`` here: Serve would hand ``build_app`` a plain dict.
"""

import logging
import os
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ray import serve
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from serve_app.errors import StageFailed
from serve_app.serving.config import AppConfig, bundle_location, deployment_names, store_location
from serve_app.serving.ingress import Calls, Ingress
from serve_app.serving.pipeline import CANDIDATES, FEATURES, RANKER, Stages, scorer_of
from serve_app.serving.stages.candidate_generator import CandidateGenerator
from serve_app.serving.stages.feature_fetcher import FeatureFetcher
from serve_app.serving.stages.ranker import Ranker
from serve_app.serving.stages.scorer import Scorer
from serve_app.stores.connections import Stores
from serve_app.telemetry.counting import RayExporter

_logger = logging.getLogger("ray.serve.recserve.graph")


def build_app(config: AppConfig) -> serve.Application:
    """Entry point of ``serve_config.yaml``: ``import_path: serve_app.app:build_app``."""
    location = store_location(os.environ, Path.cwd())
    bundles = bundle_location(config, location.home)
    stores = Stores(location, config.stores)

    stages: dict[str, partial[Any]] = {
        "FeatureFetcher": partial(FeatureFetcher, stores, config.ttls),
        "CandidateGenerator": partial(
            CandidateGenerator, stores, bundles, config.ttls, config.candidates
        ),
        "Ranker": partial(Ranker, bundles, config.ranking),
        **{f"Scorer-{name}": partial(Scorer, name, bundles) for name in config.variants},
    }
    deployed = deployment_names(config.variants, config.placement)
    placed = {
        name: deploy(name, stage) if name in deployed else stage for name, stage in stages.items()
    }
    http = serve.ingress()(Ingress)
    return deploy("Ingress", partial(http, config, stores, bundles, placed, calls_of))


def deploy(name: str, made: partial[Any]) -> serve.Application:
    """A deployment whose replicas are made so."""
    return serve.deployment(name=name)(made.func).bind(*made.args)


def calls_of(placed: Mapping[str, DeploymentHandle[Any] | partial[Any]]) -> Calls:
    """
    The stages as the coroutine functions that the pipeline calls.

    Args:
        placed: each stage by its name: the handle of its deployment, or how to make it here.
    """
    stages = {
        name: place() if isinstance(place, partial) else place for name, place in placed.items()
    }
    fetcher = stages["FeatureFetcher"]
    return Calls(
        Stages(
            users=call(FEATURES, fetcher.users),
            candidates=call(CANDIDATES, stages["CandidateGenerator"].find),
            scorers={
                variant: call(scorer_of(variant), stage.score)
                for name, stage in stages.items()
                if (variant := name.removeprefix("Scorer-")) != name
            },
            rank=call(RANKER, stages["Ranker"].rank),
        ),
        items=call("metadata", fetcher.items),
        exporter=RayExporter(),
    )


Call = Callable[[Any], Coroutine[Any, Any, Any]]


def call(stage: str, method: DeploymentHandle[Any] | Call) -> Call:
    """A stage's method, wherever it is, as a function that raises ``StageFailed`` and no other."""
    if isinstance(method, DeploymentHandle):
        return remote(stage, method)
    return local(stage, method)


def local(stage: str, method: Call) -> Call:
    """The same of a stage in this process: a bug in it degrades answers as it would elsewhere."""

    async def ask(argument: Any) -> Any:
        try:
            return await method(argument)
        except Exception as error:
            raise StageFailed(stage, _reason(stage, error)) from error

    return ask


def remote(stage: str, method: DeploymentHandle[Any]) -> Call:
    """
    The same of a stage that is a deployment.

    A replica that dies with a call in its hands is not retried by Serve; every stage only reads,
    so it is asked once more.
    """
    plain = method.options(request_serialization="pickle", response_serialization="pickle")

    async def ask(argument: Any) -> Any:
        try:
            try:
                return await plain.remote(argument)
            except _LOST:
                return await plain.remote(argument)
        except Exception as error:
            raise StageFailed(stage, _reason(stage, error)) from error

    return ask


_LOST = (ActorDiedError, ActorUnavailableError)
_WITHOUT_REPLICA = (*_LOST, DeploymentUnavailableError, BackPressureError)


def _reason(stage: str, error: Exception) -> str:
    """What the pipeline is told. What nobody foresaw is logged: only its kind travels on."""
    if isinstance(error, StageFailed):
        return error.reason
    if isinstance(error, _WITHOUT_REPLICA):
        return type(error).__name__
    _logger.error("%s failed unforeseen", stage, exc_info=error)
    return "error"
