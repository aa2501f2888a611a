"""One page on what runs, how many of it, how fast it answers, and with which models."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from serve_app.operations.rest import application_of
from serve_app.operations.scale import Replicas, in_ingress, replicas_of
from serve_app.operations.text_tables import aligned
from serve_app.serving.config import APPLICATION
from serve_app.telemetry.histograms import REQUEST, WINDOW_S, Window, merged

QUANTILES = (0.5, 0.95, 0.99)


class Serve(Protocol):
    """What this module needs of :class:`serve_app.operations.rest.ServeClient`."""

    @property
    def address(self) -> str: ...
    def details(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """One line of the page; ``message`` is Serve's, empty while all is well."""

    name: str
    state: str
    replicas: Replicas
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """
    The page before it is written.

    Attributes:
        state: of the application, in Serve's words (``RUNNING``, ``DEPLOYING`` …).
        message: Serve's, empty while all is well.
        deployments: in Serve's order.
        in_ingress: stages that are no deployments.
        period_s: that ``traffic`` covers.
        traffic: of all replicas.
        models: version by name, as ``GET /health`` tells; empty when it did not answer.
    """

    state: str
    message: str
    deployments: Sequence[DeploymentStatus]
    in_ingress: Sequence[str]
    period_s: float
    traffic: Window
    models: Mapping[str, str]


def status(
    client: Serve, windows: Sequence[Window], health: Mapping[str, Any] | None, *, now_s: float
) -> str:
    """
    The page, for a terminal.

    Args:
        client: of the cluster.
        windows: the last minutes of every ingress replica.
        health: the answer of ``GET /health``; None when there was none.
        now_s: epoch seconds.

    Raises:
        ServeUnreachable: Serve does not answer, or does not run the application.
    """
    return format_status(gather(client, windows, health, now_s=now_s))


def gather(
    client: Serve, windows: Sequence[Window], health: Mapping[str, Any] | None, *, now_s: float
) -> Status:
    """What :func:`format_status` writes; arguments and errors as of :func:`status`."""
    application = application_of(client.details(), APPLICATION, client.address)
    traffic = merged(windows)
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
        # A minute that has only begun counts as far as it has come.
        period_s=max(1.0, now_s - traffic.minute * WINDOW_S) if windows else 0.0,
        traffic=traffic,
        models=(health or {}).get("models", {}),
    )


def format_status(status: Status) -> str:
    """The page, without a line break at its end."""
    found = ((_stages, status.traffic.stages), (_outcomes, status.traffic.outcomes))
    tables = [table(status) for table, counted in found if counted]
    parts = [
        f"{APPLICATION}: {status.state}" + (f" ({status.message})" if status.message else ""),
        _deployments(status.deployments, status.in_ingress),
        _models(status.models),
        *(tables or [_NO_TRAFFIC]),
    ]
    return "\n\n".join(parts)


_NO_TRAFFIC = "no requests in the last minutes"


def _deployments(deployments: Sequence[DeploymentStatus], in_ingress: Sequence[str]) -> str:
    rows = [
        (
            one.name,
            one.state,
            f"{one.replicas.n_running}/{one.replicas.n_target}",
            f"{one.replicas.n_min}–{one.replicas.n_max}",
        )
        for one in deployments
    ]
    messages = [f"{one.name}: {one.message}" for one in deployments if one.message]
    if in_ingress:
        messages.append(f"in the ingress: {', '.join(in_ingress)}")
    return "\n".join([aligned(("deployment", "state", "running", "bounds"), rows), *messages])


def _models(models: Mapping[str, str]) -> str:
    if not models:
        return "models: GET /health gave no answer"
    return aligned(("model", "version"), sorted(models.items()))


def _stages(status: Status) -> str:
    names = sorted(status.traffic.stages, key=lambda name: (name != REQUEST, name))
    rows = []
    for name in names:
        histogram = status.traffic.stages[name]
        quantiles = [_milliseconds(histogram.quantile(q)) for q in QUANTILES]
        rows.append((name, _per_second(histogram.n, status.period_s), *quantiles))
    minutes = math.ceil(status.period_s / WINDOW_S)
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
