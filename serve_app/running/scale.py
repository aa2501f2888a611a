"""Changes the replica bounds of one deployment without restarting any other."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from serve_app.errors import ServeUnreachable, SettingsInvalid
from serve_app.running.rest import ServeClient, application_of
from serve_app.serving.config import APPLICATION, AppConfig, stages_in_ingress

DEADLINE_S = 120.0
POLL_INTERVAL_S = 0.5

# A deploy that leaves these out resets them to Serve's defaults.
KEPT_OPTIONS = ("proxy_location", "http_options", "grpc_options", "target_capacity")


@dataclass(frozen=True, slots=True)
class Replicas:
    """The number of replicas of a deployment, the number Serve works towards, and the bounds."""

    n_running: int
    n_target: int
    n_min: int
    n_max: int


@dataclass(frozen=True, slots=True)
class ScaleReport:
    """The replicas of one deployment before and after a change of its bounds."""

    deployment: str
    before: Replicas
    after: Replicas


def scale(
    client: ServeClient,
    deployment: str,
    *,
    min_replicas: int | None,
    max_replicas: int | None,
    deadline_s: float = DEADLINE_S,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> ScaleReport:
    """Changes the replica bounds of one deployment and waits until its replicas have followed.

    The configuration that Serve reports is sent back with only these numbers changed. Serve
    restarts no replica when numbers within an ``autoscaling_config`` change.

    Args:
        min_replicas: new lower bound; ``None`` keeps the current one.
        max_replicas: new upper bound, at least 1; ``None`` keeps the current one.
        deadline_s: longest time to wait for the replicas.

    Raises:
        SettingsInvalid: there is no such deployment, it has no ``autoscaling_config``, or the
            bounds contradict each other.
        ServeUnreachable: Serve did not answer, or the replicas were late.
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
        is_settled = after.n_min <= after.n_running == after.n_target <= after.n_max
        # Serve reports the old bounds for a moment, and the old replicas already satisfy those.
        if is_settled and (after.n_min, after.n_max) == bounds:
            return ScaleReport(deployment, before, after)
        if clock() >= deadline:
            raise ServeUnreachable(client.address, _unsettled(application, deployment, after))
        pause(POLL_INTERVAL_S)


def new_bounds(
    application: Mapping[str, Any], deployment: str, n_min: int | None, n_max: int | None
) -> tuple[int, int]:
    """New bounds of ``deployment``; ``None`` keeps a bound. Raises as :func:`scale`."""
    known = application["deployments"]
    if deployment in in_ingress(application):
        reason = "lives in the ingress by args.placement: scale Ingress, or change args.placement"
        raise SettingsInvalid(deployment, reason)
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
    """The deployed configuration with new bounds for one deployment.

    Applications that were not deployed from a configuration are left out. Serve keeps those: it
    deletes only applications that came from a configuration and are missing in the new one.

    Args:
        details: Serve's report (``ServeInstanceDetails``).
        deployment: a deployment with an ``autoscaling_config``.

    Returns:
        A configuration in the form of ``ray.serve.schema.ServeDeploySchema``.
    """
    config: dict[str, Any] = {key: details[key] for key in KEPT_OPTIONS if key in details}
    config["applications"] = [
        copy.deepcopy(application["deployed_app_config"])
        for application in details["applications"].values()
        if application.get("deployed_app_config")
    ]
    application = next(app for app in config["applications"] if app.get("name") == APPLICATION)
    options = next(entry for entry in application["deployments"] if entry["name"] == deployment)
    low, high = bounds
    autoscaling = options["autoscaling_config"]
    autoscaling |= {"min_replicas": low, "max_replicas": high}
    # Ray refuses a configuration whose initial number lies outside the bounds.
    if (initial := autoscaling.get("initial_replicas")) is not None:
        autoscaling["initial_replicas"] = min(max(initial, low), high)
    return config


def replicas_of(application: Mapping[str, Any], deployment: str) -> Replicas:
    """Reads the replicas of ``deployment`` from Serve's report (``ApplicationDetails``).

    Both bounds are the target when the deployment has no autoscaler.
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
    """Names of the stages that run inside the ingress."""
    args = (application.get("deployed_app_config") or {}).get("args") or {}
    try:
        config = AppConfig.model_validate(args)
    except ValidationError:  # another build deployed it, with other settings
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
        f" {replicas.n_min} to {replicas.n_max}; Serve is still working on it: see"
        f" `recserve status`. {message}".rstrip()
    )
