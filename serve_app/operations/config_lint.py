"""Checks a ``serve_config.yaml`` before Ray reads it.

Ray silently ignores most keys that it does not know. For example, a misspelt ``max_replicas``
deploys and never scales. This module checks every key against Ray's own schema classes, and every
value with Ray's own validation.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from ray.serve.config import (
    AutoscalingConfig,
    DeploymentActorConfig,
    GangSchedulingConfig,
    RequestRouterConfig,
)
from ray.serve.schema import ServeDeploySchema

from serve_app.operations.faults import (
    NOT_A_MAPPING,
    Fault,
    Location,
    accepts,
    faults,
    near,
    written,
)

# Ray's own defaults for a deployment that leaves them out.
DEFAULT_MAX_ONGOING_REQUESTS = 5
DEFAULT_TARGET_ONGOING_REQUESTS = 2

# Ray's schema accepts any mapping here and builds the class later, without a look at other keys.
_OPEN_OPTIONS: Mapping[str, type[BaseModel]] = {
    "autoscaling_config": AutoscalingConfig,
    "request_router_config": RequestRouterConfig,
    "gang_scheduling_config": GangSchedulingConfig,
    "deployment_actors": DeploymentActorConfig,
}

_UNLISTED = "Ray would give it one replica and a whole CPU of its own"


@dataclass(frozen=True, slots=True)
class Application:
    """The settings and deployments of an application. A field that is ``None`` is not checked.

    Attributes:
        name: name of the application; others in the same file are only checked for what is true
            of every application. ``None`` stands for each.
        args_model: model of ``args``.
        user_config_models: model of ``user_config`` by deployment; the others must have none.
        deployments: names of all deployments.
        in_ingress: stages that run inside the ingress and therefore are no deployments.
    """

    name: str | None = None
    args_model: type[BaseModel] | None = None
    user_config_models: Mapping[str, type[BaseModel]] | None = None
    deployments: Collection[str] | None = None
    in_ingress: Collection[str] = ()


def lint(config: Mapping[str, Any], app: Application = Application()) -> list[str]:
    """Lists everything in ``config`` that Ray would refuse, ignore or run badly.

    Args:
        config: the parsed file, in the form of ``ray.serve.schema.ServeDeploySchema``.

    Returns:
        One sentence per fault, e.g. ``applications[0].deployments[2].autoscaling_config.
        max_replica: unknown key; did you mean max_replicas?``. Empty when there is none.
    """
    problems = _ray_faults(config)
    # A file that Ray refuses may have any form, so that reading it further could fail.
    if accepts(ServeDeploySchema, config):
        problems += _contradictions(config, app)
    return [f"{written(location)}: {message}" for location, message in problems]


def _ray_faults(config: Mapping[str, Any]) -> list[Fault]:
    deployments = list(_deployments(config))
    # Ray's validators call `get` on each deployment before they check that it is a mapping.
    if misshapen := [at for at, options in deployments if not isinstance(options, Mapping)]:
        return [(at, NOT_A_MAPPING) for at in misshapen]
    problems = [fault for at, options in deployments for fault in _option_faults(options, at)]
    locations, messages = {at for at, _ in problems}, {message for _, message in problems}
    # Ray builds the open options as well, and reports their faults again, without a position.
    return problems + [
        (at, message)
        for at, message in faults(config, ServeDeploySchema, ())
        if at not in locations and message not in messages
    ]


def _deployments(config: Mapping[str, Any]) -> Iterator[tuple[Location, Any]]:
    """Yields every entry under ``deployments`` that has a position, whatever its form."""
    applications = config.get("applications")
    for i, application in enumerate(applications if isinstance(applications, list) else ()):
        listed = application.get("deployments") if isinstance(application, Mapping) else None
        for j, options in enumerate(listed if isinstance(listed, list) else ()):
            yield ("applications", i, "deployments", j), options


def _option_faults(options: Mapping[str, Any], location: Location) -> Iterator[Fault]:
    for name, model in _OPEN_OPTIONS.items():
        value = options.get(name)
        if isinstance(value, list):
            for i, part in enumerate(value):
                yield from faults(part, model, (*location, name, i))
        elif value is not None:
            yield from faults(value, model, (*location, name))


def _contradictions(config: Mapping[str, Any], app: Application) -> Iterator[Fault]:
    """Yields what Ray cannot know: every contradiction between the file and the application."""
    ours = app
    for i, application in enumerate(config.get("applications") or []):
        location: Location = ("applications", i)
        app = ours if ours.name in (None, application.get("name")) else Application()
        if app.args_model is not None:
            yield from faults(application.get("args") or {}, app.args_model, (*location, "args"))
        listed = application.get("deployments") or []
        names = [options.get("name") for options in listed]
        for j, options in enumerate(listed):
            yield from _contradictions_of_deployment(
                options, names[:j], app, (*location, "deployments", j)
            )
        for missing in sorted(set(app.deployments or ()) - set(names)):
            yield (*location, "deployments"), f"{missing} is not listed: {_UNLISTED}"


def _contradictions_of_deployment(
    options: Mapping[str, Any], earlier: Sequence[str], app: Application, location: Location
) -> Iterator[Fault]:
    name = options.get("name")
    if name in earlier:
        yield (*location, "name"), f"{name} stands here a second time"
    if name in app.in_ingress:
        message = f"{name} lives in the ingress by args.placement: leave it out here"
        yield (*location, "name"), message
    elif app.deployments is not None and name not in app.deployments:
        yield (*location, "name"), f"no such deployment; {near(name, app.deployments)}"
    user_config = options.get("user_config")
    if app.user_config_models is not None and user_config is not None:
        if model := app.user_config_models.get(str(name)):
            yield from faults(user_config, model, (*location, "user_config"))
        else:
            yield (*location, "user_config"), f"{name} takes none"
    yield from _unscalable(options, location)


def _unscalable(options: Mapping[str, Any], location: Location) -> Iterator[Fault]:
    autoscaling = options.get("autoscaling_config")
    # Faults of Ray's own class are reported already.
    if not autoscaling or not accepts(AutoscalingConfig, autoscaling):
        return
    ongoing = options.get("max_ongoing_requests", DEFAULT_MAX_ONGOING_REQUESTS)
    target = autoscaling.get("target_ongoing_requests", DEFAULT_TARGET_ONGOING_REQUESTS)
    if target is None:
        message = "must be a number above 0: Ray takes null, and fails when it scales"
        yield (*location, "autoscaling_config", "target_ongoing_requests"), message
    # A replica that refuses requests before it has reached the target never asks for another one.
    elif ongoing < target:
        message = f"{ongoing} is below target_ongoing_requests {target}: it would never scale up"
        yield (*location, "max_ongoing_requests"), message
