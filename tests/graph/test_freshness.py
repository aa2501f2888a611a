"""Tests that two replicas of the ingress keep the freshness law while users buy and ask."""

import asyncio

from benchmarks.freshness import measure
from serve_app.running.scale import scale
from tests.support.real_serve import until


def scale_ingress(service, n):
    scale(service.client(), "Ingress", min_replicas=n, max_replicas=n)
    until(lambda: len(service.replicas()["Ingress"]) == n, f"{n} replicas of Ingress", 120)


def test_no_answer_of_two_ingresses_lists_what_was_bought_before(service):
    scale_ingress(service, 2)
    try:
        until(service.is_ready, "ready")
        seen = asyncio.run(measure(str(service.http.base_url), 1_000, n_shoppers=6, seed=1))
    finally:
        scale_ingress(service, 1)

    assert seen.violations == []
    assert seen.n_checked >= 1_000
    assert seen.n_cached > 50, "answers of the cache are among them"
    assert len(seen.acknowledged_s) > 50
    assert seen.n_failed == 0
