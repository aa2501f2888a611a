"""Writes one page about the running service: replicas, versions, request rates and latencies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serve_app.operations.rest import ServeClient, application_of
from serve_app.operations.scale import Replicas, in_ingress, replicas_of
from serve_app.operations.terminal import aligned
from serve_app.serving.config import APPLICATION
from serve_app.telemetry.histograms import MINUTE_S, REQUEST, Minute, merge_minutes

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """One line of the page. ``message`` comes from Serve and is empty while all is well."""

    name: str
    state: str
    replicas: Replicas
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """
    The contents of the page.

    Attributes:
        state: state of the application in Serve's words (``RUNNING``, ``DEPLOYING`` …).
        message: Serve's message; empty while all is well.
        deployments: in Serve's order.
        in_ingress: stages that run inside the ingress and are no deployments.
        period_s: length of the period that ``traffic`` covers.
        traffic: measurements of all ingress replicas together.
        versions: served version by variant, from ``GET /health``; empty without an answer.
    """

    state: str
    message: str
    deployments: Sequence[DeploymentStatus]
    in_ingress: Sequence[str]
    period_s: float
    traffic: Minute
    versions: Mapping[str, str]


def status(
    client: ServeClient,
    minutes: Sequence[Minute],
    health: Mapping[str, Any] | None,
    *,
    now_s: float,
) -> str:
    """
    Return the page for a terminal.

    Args:
        client: client of the cluster.
        minutes: measurements of the last minutes, one per minute and ingress replica.
        health: the answer of ``GET /health``; ``None`` when there was none.
        now_s: epoch seconds.

    Raises:
        ServeUnreachable: Serve does not answer, or does not run the application.
    """
    return format_status(gather(client, minutes, health, now_s=now_s))


def gather(
    client: ServeClient,
    minutes: Sequence[Minute],
    health: Mapping[str, Any] | None,
    *,
    now_s: float,
) -> Status:
    """Collect the contents of the page. Arguments and errors are those of :func:`status`."""
    application = application_of(client.details(), APPLICATION, client.address)
    traffic = merge_minutes(minutes)
    return Status(
        state=application["status"],
        message=application.get("message", ""),
        deployments=[
            DeploymentStatus(
                name, reported["status"], replicas_of(application, name), reported["message"]
            )
            for name, reported in application["deployments"].items()
        ],
        in_ingress=in_ingress(application),
        # The current minute counts only up to now, or rates would be too low at its beginning.
        period_s=max(1.0, now_s - traffic.number * MINUTE_S) if minutes else 0.0,
        traffic=traffic,
        versions=(health or {}).get("models", {}),
    )


def format_status(status: Status) -> str:
    """Format the page, without a line break at its end."""
    counted = ((_stages, status.traffic.stages), (_outcomes, status.traffic.outcomes))
    tables = [table(status) for table, counts in counted if counts]
    parts = [
        f"{APPLICATION}: {status.state}" + (f" ({status.message})" if status.message else ""),
        _deployments(status.deployments, status.in_ingress),
        _versions(status.versions),
        *(tables or [_NO_TRAFFIC]),
    ]
    return "\n\n".join(parts)


_NO_TRAFFIC = "no requests in the last minutes"


def _deployments(deployments: Sequence[DeploymentStatus], in_ingress: Sequence[str]) -> str:
    rows = [
        (
            deployment.name,
            deployment.state,
            f"{deployment.replicas.n_running}/{deployment.replicas.n_target}",
            f"{deployment.replicas.n_min}–{deployment.replicas.n_max}",
        )
        for deployment in deployments
    ]
    messages = [
        f"{deployment.name}: {deployment.message}"
        for deployment in deployments
        if deployment.message
    ]
    if in_ingress:
        messages.append(f"in the ingress: {', '.join(in_ingress)}")
    return "\n".join([aligned(("deployment", "state", "running", "bounds"), rows), *messages])


def _versions(versions: Mapping[str, str]) -> str:
    if not versions:
        return "versions: unknown, because GET /health gave no answer"
    return aligned(("variant", "version"), sorted(versions.items()))


def _stages(status: Status) -> str:
    names = sorted(status.traffic.stages, key=lambda name: (name != REQUEST, name))
    rows = []
    for name in names:
        histogram = status.traffic.stages[name]
        quantiles = [_milliseconds(histogram.quantile(q)) for q in QUANTILES]
        rows.append((name, _per_second(histogram.n, status.period_s), *quantiles))
    minutes = math.ceil(status.period_s / MINUTE_S)
    header = (f"last {minutes} min", "per s", *(f"p{q * 100:.0f} ms" for q in QUANTILES))
    return aligned(header, rows)


def _outcomes(status: Status) -> str:
    rows = [
        (variant, outcome, str(n), _per_second(n, status.period_s))
        for (variant, outcome), n in sorted(status.traffic.outcomes.items())
    ]
    return aligned(("variant", "outcome", "requests", "per s"), rows)


def _per_second(n: int, period_s: float) -> str:
    return f"{n / period_s:.1f}"


def _milliseconds(duration_s: float) -> str:
    milliseconds = duration_s * 1e3
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"
