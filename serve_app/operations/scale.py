"""Other replica bounds for one deployment, while everything else runs on untouched."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from serve_app.errors import ServeUnreachable, SettingsInvalid
from serve_app.operations.rest import application_of
from serve_app.serving.config import APPLICATION, AppConfig, stages_in_ingress

DEADLINE_S = 120.0
POLL_INTERVAL_S = 0.5

# What Serve reports of itself and must be told again, or it falls back to its defaults.
KEPT_OPTIONS = ("proxy_location", "http_options", "grpc_options", "target_capacity")


class Serve(Protocol):
    """What this module needs of :class:`serve_app.operations.rest.ServeClient`."""

    @property
    def address(self) -> str: ...
    def details(self) -> dict[str, Any]: ...
    def deploy(self, config: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Replicas:
    """
    How many replicas a deployment has and may have.

    Attributes:
        n_running: that answer requests.
        n_target: that Serve works towards.
        n_min: lower bound of the autoscaler.
        n_max: upper bound of the autoscaler.
    """

    n_running: int
    n_target: int
    n_min: int
    n_max: int

    def is_settled(self) -> bool:
        """Whether as many run as Serve wants, within the bounds."""
        return self.n_running == self.n_target and self.n_min <= self.n_running <= self.n_max


@dataclass(frozen=True, slots=True)
class ScaleReport:
    """One deployment before and after."""

    deployment: str
    before: Replicas
    after: Replicas


def scale(
    client: Serve,
    deployment: str,
    *,
    min_replicas: int | None,
    max_replicas: int | None,
    deadline_s: float = DEADLINE_S,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> ScaleReport:
    """
    Change the replica bounds of one deployment and wait until Serve has obeyed.

    The configuration that Serve reports is sent back with these numbers changed and nothing
    else: Serve restarts no replica for numbers within an ``autoscaling_config``.

    Args:
        client: of the cluster.
        deployment: its name.
        min_replicas: new lower bound; None keeps it.
        max_replicas: new upper bound, at least 1; None keeps it.
        deadline_s: how long to wait for the replicas.
        clock: monotonic seconds.
        pause: waits that many seconds.

    Raises:
        SettingsInvalid: no such deployment, bounds that contradict each other, or a deployment
            without an ``autoscaling_config`` of its own.
        ServeUnreachable: Serve gave no answer, or not these replicas before the deadline.
    """
    details = client.details()
    application = application_of(details, APPLICATION, client.address)
    bounds = new_bounds(application, deployment, min_replicas, max_replicas)
    before = replicas_of(application, deployment)
    client.deploy(with_bounds(details, deployment, bounds))
    deadline = clock() + deadline_s
    while True:
        application = application_of(client.details(), APPLICATION, client.address)
        after = replicas_of(application, deployment)
        if (after.n_min, after.n_max) == bounds and after.is_settled():
            return ScaleReport(deployment, before, after)
        if clock() >= deadline:
            raise ServeUnreachable(client.address, _unsettled(application, deployment, after))
        pause(POLL_INTERVAL_S)


def new_bounds(
    application: Mapping[str, Any], deployment: str, n_min: int | None, n_max: int | None
) -> tuple[int, int]:
    """
    The bounds that ``deployment`` is to have, a bound that is None being the one it has.

    Args:
        application: as Serve reports it (``ApplicationDetails``).

    Raises:
        SettingsInvalid: see :func:`scale`.
    """
    known = application["deployments"]
    if deployment in in_ingress(application):
        raise SettingsInvalid(
            deployment,
            "lives in the ingress by args.placement: scale Ingress, or place it otherwise",
        )
    if deployment not in known:
        raise SettingsInvalid(deployment, f"no such deployment; there are {', '.join(known)}")
    if not isinstance(_configured(application, deployment).get("autoscaling_config"), Mapping):
        raise SettingsInvalid(
            f"deployments.{deployment}.autoscaling_config",
            "is not in the deployed configuration, and adding it restarts every deployment:"
            " add it to serve_config.yaml and run `serve deploy serve_config.yaml`",
        )
    current = replicas_of(application, deployment)
    low = current.n_min if n_min is None else n_min
    high = current.n_max if n_max is None else n_max
    if high < 1:
        raise SettingsInvalid("max_replicas", f"is {high}, must be at least 1")
    if low < 0:
        raise SettingsInvalid("min_replicas", f"is {low}, must be at least 0")
    if low > high:
        raise SettingsInvalid("min_replicas", f"is {low}, more than max_replicas {high}")
    return low, high


def with_bounds(
    details: Mapping[str, Any], deployment: str, bounds: tuple[int, int]
) -> dict[str, Any]:
    """
    The configuration that is deployed, with other bounds for one deployment.

    Applications that did not come from a configuration are left out: Serve deletes only
    applications that did and are missing.

    Args:
        details: as Serve reports them (``ServeInstanceDetails``).
        deployment: a deployment of the application, with an ``autoscaling_config``.
        bounds: least and most replicas.

    Returns:
        dict in the form of ``ray.serve.schema.ServeDeploySchema``.
    """
    config: dict[str, Any] = {key: details[key] for key in KEPT_OPTIONS if key in details}
    config["applications"] = [
        copy.deepcopy(application["deployed_app_config"])
        for application in details["applications"].values()
        if application.get("deployed_app_config")
    ]
    [application] = [one for one in config["applications"] if one.get("name") == APPLICATION]
    [options] = [one for one in application["deployments"] if one["name"] == deployment]
    low, high = bounds
    autoscaling = options["autoscaling_config"]
    autoscaling |= {"min_replicas": low, "max_replicas": high}
    if (initial := autoscaling.get("initial_replicas")) is not None:
        autoscaling["initial_replicas"] = min(max(initial, low), high)
    return config


def replicas_of(application: Mapping[str, Any], deployment: str) -> Replicas:
    """
    How many replicas ``deployment`` has and may have.

    Args:
        application: as Serve reports it (``ApplicationDetails``).
        deployment: one of its deployments. Without an autoscaler both bounds are the target.
    """
    reported = application["deployments"][deployment]
    target = reported["target_num_replicas"]
    autoscaling = reported["deployment_config"].get("autoscaling_config") or {}
    return Replicas(
        n_running=sum(replica["state"] == "RUNNING" for replica in reported["replicas"]),
        n_target=target,
        n_min=autoscaling.get("min_replicas", target),
        n_max=autoscaling.get("max_replicas", target),
    )


def in_ingress(application: Mapping[str, Any]) -> tuple[str, ...]:
    """
    The stages that run inside the ingress.

    Args:
        application: as Serve reports it (``ApplicationDetails``).
    """
    args = (application.get("deployed_app_config") or {}).get("args") or {}
    try:
        config = AppConfig.model_validate(args)
    except ValidationError:  # deployed by another build, or another application
        return ()
    return stages_in_ingress(config.variants, config.placement)


def _configured(application: Mapping[str, Any], deployment: str) -> Mapping[str, Any]:
    config = application.get("deployed_app_config") or {}
    listed: list[Mapping[str, Any]] = config.get("deployments", [])
    return next((options for options in listed if options["name"] == deployment), {})


def _unsettled(application: Mapping[str, Any], deployment: str, replicas: Replicas) -> str:
    message = application["deployments"][deployment].get("message", "")
    return (
        f"{deployment} runs {replicas.n_running} of {replicas.n_target} replicas, bounds"
        f" {replicas.n_min} to {replicas.n_max}; Serve goes on working at it. {message}".rstrip()
    )
