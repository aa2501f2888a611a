"""Asks the running service whether anything in it is not as it should be."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests

from serve_app.errors import ServeUnreachable
from serve_app.running.rest import ServeClient, application_of, health_of
from serve_app.running.scale import replicas_of
from serve_app.serving.config import APPLICATION

N_ASKED_PER_REPLICA = 3
"""``GET /health`` reaches any replica of the ingress: so many requests meet nearly all of them."""

N_ASKED = 30
TIMEOUT_S = 10.0

NOBODY = "recserve-doctor"
"""A user whom no store knows: their data are read from every store, and cached by none."""


def service_faults(client: ServeClient, url: str, variants: Sequence[str]) -> list[str] | None:
    """Lists what is wrong with the running service; ``None`` if none runs.

    Args:
        url: address of the application, without a trailing slash.

    Raises:
        ServeUnreachable: the application answers, but Serve does not.
    """
    try:
        application = application_of(client.details(), APPLICATION, client.address)
    except ServeUnreachable:
        if "models" in (health_of(url) or {}):
            raise
        return None
    found = [*_of_serve(application), *_of_health(url, application), *_of_answers(url, variants)]
    return list(dict.fromkeys(found))


def _of_serve(application: Mapping[str, Any]) -> Iterator[str]:
    if application["status"] != "RUNNING":
        yield _with_message(f"Serve says {application['status']}", application)
    for name, deployment in application["deployments"].items():
        if deployment["status"] == "UNHEALTHY" or replicas_of(application, name).n_running == 0:
            yield _with_message(f"{name} is {deployment['status']}", deployment)


def _with_message(fault: str, reported: Mapping[str, Any]) -> str:
    message = " ".join(str(reported.get("message") or "").split())
    return f"{fault}: {message}" if message else fault


def _of_health(url: str, application: Mapping[str, Any]) -> Iterator[str]:
    n_replicas = replicas_of(application, "Ingress").n_running
    answers = [health_of(url) for _ in range(min(N_ASKED, N_ASKED_PER_REPLICA * n_replicas))]
    if None in answers or not answers:
        yield f"GET {url}/health gives no answer"
    for health in filter(None, answers):
        if health.get("bundle") is None:
            yield "a replica has no bundle"
        yield from health.get("faults", ())
        for stage, stores in health.get("silent_stores", {}).items():
            yield from (f"{stage} cannot reach {store} for long" for store in stores)


def _of_answers(url: str, variants: Sequence[str]) -> Iterator[str]:
    for variant in variants:
        body = {"user_id": NOBODY, "n": 1, "model_name": variant}
        try:
            response = requests.post(f"{url}/recommendations", json=body, timeout=TIMEOUT_S)
            response.raise_for_status()
            degraded = response.json().get("degraded", ())
        except (requests.RequestException, AttributeError) as error:
            yield f"a request for {variant} gets no answer: {error}"
        else:
            yield from (f"{stage} is degraded" for stage in degraded)
