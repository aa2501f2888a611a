import json
import re

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.support.real_serve import until

SERIES = (
    "ray_recserve_requests_total",
    "ray_recserve_stage_duration_seconds",
    "ray_recserve_batch_size",
    "ray_recserve_cache_requests_total",
    "ray_recserve_candidates_total",
)


def scrape(service):
    """The metrics that Prometheus would read, from where Ray tells it to read."""
    # The same file stands in several folders, of which some are links to others.
    files = (service.home / "ray").glob("**/prom_metrics_service_discovery.json")
    groups = [group for file in files for group in json.loads(file.read_text())]
    addresses = {target for group in groups for target in group["targets"]}
    try:
        texts = [httpx2.get(f"http://{address}/metrics").text for address in addresses]
    except httpx2.TransportError:
        return {}  # Ray's agent is still starting
    return {
        family.name: family
        for text in texts
        for family in text_string_to_metric_families(text)
        if family.name.startswith("ray_recserve")
    }


def test_metrics_reach_rays_prometheus_endpoint(service):
    service.ask("u000001", n=4)

    found = until(
        lambda: (
            (families := scrape(service))
            and all(any(name.startswith(family) for family in families) for name in SERIES)
            and families
        ),
        "all series",
    )

    outcomes = {
        (sample.labels["variant"], sample.labels["outcome"])
        for family in found.values()
        for sample in family.samples
        if sample.name == "ray_recserve_requests_total"
    }
    assert {("main", "ok"), ("challenger", "ok")} & outcomes


def test_each_request_has_one_log_line_without_the_users_name(service):
    user_id = "somebody with a name"
    request_id = "log-line-test-1"
    service.http.post(
        "/recommendations", json={"user_id": user_id}, headers={"x-request-id": request_id}
    )

    def lines():
        logs = (service.home / "ray").glob("**/logs/serve/replica_*Ingress*")
        text = "".join(log.read_text() for log in logs)
        assert user_id not in text
        return [line for line in text.splitlines() if request_id in line]

    (line,) = until(lines, "the line")
    logged = json.loads(re.search(r"\{.*\}", line).group())
    assert logged["request_id"] == request_id
    assert logged["n_items"] == 10
    assert logged["duration_ms"] > 0


def test_status_shows_replicas_models_and_latencies(service):
    service.ask("u000002")

    def page():
        done = service.run(
            "serve_app.cli.main",
            *("status", "--config", str(service.config)),
            *("--dashboard", service.client().address),
        )
        assert done.returncode == 0, done.stderr
        return "p99" in done.stdout and done.stdout

    shown = until(page, "latencies")
    for expected in ("Scorer-challenger", "candidates", "scorer-main", "main", "request"):
        assert expected in shown


def test_doctor_finds_nothing_wrong(service):
    done = service.run("serve_app.cli.main", "doctor", "--config", str(service.config))

    assert done.returncode == 0, done.stdout
    assert "FAIL" not in done.stdout
