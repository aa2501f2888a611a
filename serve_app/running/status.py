"""Writes one page about the running service: replicas, versions, request rates and latencies."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from serve_app.running.rest import ServeClient, application_of
from serve_app.running.scale import in_ingress, replicas_of
from serve_app.running.text_table import aligned
from serve_app.serving.config import APPLICATION
from serve_app.telemetry.histograms import MINUTE_S, REQUEST, Minute, merge_minutes

QUANTILES = (0.5, 0.95, 0.99)


def status(
    client: ServeClient,
    minutes: Sequence[Minute],
    health: Mapping[str, Any] | None,
    *,
    now_s: float,
) -> str:
    """Page for a terminal.

    Args:
        minutes: measurements of the last minutes, one per minute and ingress replica.
        health: the answer of ``GET /health``; ``None`` when there was none.
        now_s: epoch seconds.

    Raises:
        ServeUnreachable: Serve does not answer, or does not run the application.
    """
    application = application_of(client.details(), APPLICATION, client.address)
    traffic = merge_minutes(minutes)
    # The current minute counts only up to now, or rates would be too low at its beginning.
    period_s = max(1.0, now_s - traffic.number * MINUTE_S) if minutes else 0.0
    tables = [_stages(traffic, period_s)] if traffic.stages else []
    tables += [_outcomes(traffic, period_s)] if traffic.outcomes else []
    tables += [_degraded(traffic, period_s)] if traffic.degraded else []
    message = f" ({application['message']})" if application.get("message") else ""
    parts = [
        f"{APPLICATION}: {application['status']}{message}",
        _deployments(application),
        _versions((health or {}).get("models", {})),
        *_silent_stores((health or {}).get("silent_stores", {})),
        *(f"fault: {fault}" for fault in (health or {}).get("faults", ())),
        *(tables or ["no requests in the last minutes"]),
    ]
    return "\n\n".join(parts)


def _deployments(application: Mapping[str, Any]) -> str:
    rows, messages = [], []
    for name, reported in application["deployments"].items():
        replicas = replicas_of(application, name)
        running = f"{replicas.n_running}/{replicas.n_target}"
        rows.append((name, reported["status"], running, f"{replicas.n_min}–{replicas.n_max}"))
        if reported["message"]:
            messages.append(f"{name}: {reported['message']}")
    if stages := in_ingress(application):
        messages.append(f"in the ingress: {', '.join(stages)}")
    return "\n".join([aligned(("deployment", "state", "running", "bounds"), rows), *messages])


def _versions(versions: Mapping[str, str]) -> str:
    if not versions:
        return "versions: unknown, because GET /health gave no answer"
    return aligned(("variant", "version"), sorted(versions.items()))


def _silent_stores(silent: Mapping[str, Mapping[str, float]]) -> list[str]:
    lines = [
        f"{stage}: {store} has not answered for {seconds:.0f} s"
        for stage, stores in sorted(silent.items())
        for store, seconds in sorted(stores.items())
    ]
    return ["\n".join(lines)] if lines else []


def _stages(traffic: Minute, period_s: float) -> str:
    names = sorted(traffic.stages, key=lambda name: (name != REQUEST, name))
    rows = []
    for name in names:
        stage = traffic.stages[name]
        quantiles = (_milliseconds(stage.quantile(q)) for q in QUANTILES)
        rows.append((name, _per_second(stage.n, period_s), *quantiles))
    minutes = math.ceil(period_s / MINUTE_S)
    header = (f"last {minutes} min", "per s", *(f"p{q * 100:.0f} ms" for q in QUANTILES))
    return aligned(header, rows)


def _outcomes(traffic: Minute, period_s: float) -> str:
    rows = [
        (variant, outcome, str(n), _per_second(n, period_s))
        for (variant, outcome), n in sorted(traffic.outcomes.items())
    ]
    return aligned(("variant", "outcome", "requests", "per s"), rows)


def _degraded(traffic: Minute, period_s: float) -> str:
    rows = [
        (stage, reason, str(n), _per_second(n, period_s))
        for (stage, reason), n in sorted(traffic.degraded.items())
    ]
    return aligned(("replaced", "reason", "requests", "per s"), rows)


def _per_second(n: int, period_s: float) -> str:
    return f"{n / period_s:.1f}"


def _milliseconds(duration_s: float) -> str:
    milliseconds = duration_s * 1e3
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"
