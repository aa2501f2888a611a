import pytest

from serve_app.errors import ServeUnreachable
from serve_app.running.status import status
from serve_app.telemetry.histograms import REQUEST, Minute


def deployment(n_running, target, low, high, state="HEALTHY", message=""):
    return {
        "status": state,
        "message": message,
        "target_num_replicas": target,
        "deployment_config": {"autoscaling_config": {"min_replicas": low, "max_replicas": high}},
        "replicas": [{"state": "RUNNING"}] * n_running,
    }


class FakeServe:
    address = "http://serve"

    def __init__(self, **deployments):
        self.deployments = deployments

    def details(self):
        application = {"status": "RUNNING", "message": "", "deployments": self.deployments}
        return {"applications": {"recserve": application}}


def window(minute, **durations_by_stage):
    made = Minute(minute)
    for stage, durations_s in durations_by_stage.items():
        for duration_s in durations_s:
            made.observe(stage, duration_s)
    return made


def test_shows_each_deployment_with_its_replicas_and_bounds():
    serve = FakeServe(
        Ingress=deployment(1, 1, 1, 4),
        Ranker=deployment(2, 3, 2, 10, state="UPDATING", message="waiting for CPU"),
    )

    page = status(serve, [], None, now_s=0)

    assert page.splitlines()[:6] == [
        "recserve: RUNNING",
        "",
        "deployment  state     running  bounds",
        "Ingress     HEALTHY       1/1     1–4",
        "Ranker      UPDATING      2/3    2–10",
        "Ranker: waiting for CPU",
    ]


def test_says_why_another_bundle_answers_than_the_current_version():
    health = {"models": {"main": "v1"}, "faults": ["bundle v2 is damaged: a file is cut off"]}

    page = status(FakeServe(Ingress=deployment(1, 1, 1, 4)), [], health, now_s=0)

    assert "fault: bundle v2 is damaged: a file is cut off" in page.splitlines()


def test_names_the_stages_that_run_in_the_ingress():
    class OneProcess(FakeServe):
        def details(self):
            details = super().details()
            args = {"placement": {"features": "ingress", "ranking": "ingress"}}
            details["applications"]["recserve"]["deployed_app_config"] = {"args": args}
            return details

    page = status(OneProcess(Ingress=deployment(1, 1, 1, 4)), [], None, now_s=0)

    assert page.splitlines()[4] == "in the ingress: FeatureFetcher, Ranker"


def test_shows_rates_and_quantiles_over_all_replicas():
    windows = [
        window(10, **{REQUEST: [0.010] * 99, "rank": [0.002]}),
        window(10, **{REQUEST: [0.010] * 99 + [1.0] * 2}),
        window(11, **{REQUEST: [0.010] * 40}),
    ]

    page = status(FakeServe(), windows, None, now_s=12 * 60)

    assert "last 2 min  per s  p50 ms  p95 ms  p99 ms" in page
    [requests, rank] = [line.split() for line in page.splitlines() if line[:4] in ("requ", "rank")]
    assert requests[1] == "2.0"
    assert [float(cell) for cell in requests[2:]] == pytest.approx([10, 10, 10], rel=0.03)
    assert float(rank[2]) == pytest.approx(2, rel=0.03)


def test_names_the_stores_that_a_stage_does_not_reach():
    health = {"models": {}, "silent_stores": {"features": {"redis": 7.4, "postgres": 150.0}}}

    page = status(FakeServe(), [], health, now_s=0)

    assert "features: postgres has not answered for 150 s" in page.splitlines()
    assert "features: redis has not answered for 7 s" in page.splitlines()


def test_lists_the_replaced_stages_by_reason():
    minute = Minute(10)
    minute.degraded["history", "store_unavailable"] = 120

    page = status(FakeServe(), [minute], None, now_s=11 * 60)

    assert "replaced  reason             requests  per s" in page
    assert "history   store_unavailable       120    2.0" in page


def test_rounds_long_durations_to_whole_milliseconds():
    page = status(FakeServe(), [window(0, **{REQUEST: [12.0] * 60})], None, now_s=60)

    [p50_ms] = {line.split()[2] for line in page.splitlines() if line.startswith("request ")}
    assert p50_ms.isdigit()
    assert float(p50_ms) == pytest.approx(12_000, rel=0.03)


def test_shows_outcomes_when_every_request_was_refused():
    refused = Minute(10)
    refused.outcomes["none", "shed"] = 6

    page = status(FakeServe(), [refused], None, now_s=11 * 60)

    assert page.splitlines()[-1].split() == ["none", "shed", "6", "0.1"]
    assert "ms" not in page


def test_the_current_minute_counts_up_to_now():
    page = status(FakeServe(), [window(10, **{REQUEST: [0.01] * 30})], None, now_s=10 * 60 + 10)

    assert "last 1 min" in page
    assert "request       3.0" in page


def test_shows_requests_by_variant_and_outcome():
    made = window(0, **{REQUEST: [0.01]})
    made.outcomes["main", "ok"] = 120
    made.outcomes["challenger", "degraded"] = 6

    page = status(FakeServe(), [made], None, now_s=60)

    assert page.endswith(
        "variant     outcome   requests  per s\n"
        "challenger  degraded         6    0.1\n"
        "main        ok             120    2.0"
    )


def test_shows_the_version_of_each_variant():
    page = status(FakeServe(), [], {"status": "ok", "models": {"main": "2026-11-24-a1"}}, now_s=0)

    assert "variant  version\nmain     2026-11-24-a1" in page


def test_says_what_is_unknown():
    page = status(FakeServe(), [], None, now_s=0)

    assert "versions: unknown, because GET /health gave no answer" in page
    assert page.endswith("no requests in the last minutes")


def test_shows_the_message_of_a_failed_application():
    class BrokenServe(FakeServe):
        def details(self):
            details = super().details()
            details["applications"]["recserve"] |= {"status": "DEPLOY_FAILED", "message": "no CPU"}
            return details

    page = status(BrokenServe(), [], None, now_s=0)

    assert page.startswith("recserve: DEPLOY_FAILED (no CPU)\n")


def test_reports_that_serve_runs_no_application():
    class EmptyServe(FakeServe):
        def details(self):
            return {"applications": {}}

    with pytest.raises(ServeUnreachable, match="it runs nothing"):
        status(EmptyServe(), [], None, now_s=0)
