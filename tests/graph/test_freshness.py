"""Tests that two replicas of the ingress keep the freshness law while users buy and ask."""

import asyncio

from benchmarks.freshness import measure
from tests.support.real_serve import until


def scale_ingress(service, n):
    bounds = ("--min", str(n), "--max", str(n))
    done = service.run(
        "serve_app.cli.main",
        *("scale", "Ingress", *bounds, "--dashboard", service.client().address),
    )
    assert done.returncode == 0, done.stderr
    until(lambda: len(service.replicas()["Ingress"]) == n, f"{n} replicas of Ingress", 120)


def test_no_answer_of_two_ingresses_lists_what_was_bought_before(service):
    scale_ingress(service, 2)
    try:
        until(service.is_ready, "ready")
        seen = asyncio.run(measure(str(service.http.base_url), 2_000, n_shoppers=6, seed=1))
    finally:
        scale_ingress(service, 1)

    assert seen.violations == []
    assert seen.n_checked >= 2_000
    assert seen.n_cached > 100, "answers of the cache are among them"
    assert len(seen.acknowledged_s) > 100
    assert seen.n_failed == 0
