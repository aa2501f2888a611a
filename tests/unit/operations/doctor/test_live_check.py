import pytest
import requests

from serve_app.errors import ServeUnreachable
from serve_app.operations.doctor import live_check
from serve_app.operations.doctor.live_check import service_faults

WELL = {"bundle": "v1", "models": {"main": "v1"}, "faults": [], "silent_stores": {}}
URL = "http://test"


def deployment(status="HEALTHY", n_running=1, message=""):
    return {
        "status": status,
        "message": message,
        "target_num_replicas": 1,
        "deployment_config": {},
        "replicas": [{"state": "RUNNING"}] * n_running,
    }


class FakeServe:
    address = "http://serve"

    def __init__(self, status="RUNNING", message="", **deployments):
        deployments = {"Ingress": deployment(), **deployments}
        self.application = {"status": status, "message": message, "deployments": deployments}

    def details(self):
        return {"applications": {"recserve": self.application}}


class NoServe:
    address = "http://serve"

    def details(self):
        raise ServeUnreachable(self.address, "nothing answers there")


@pytest.fixture
def service(monkeypatch):
    """The answers of the application: to /health one after the other, to a request ``degraded``."""

    def answer_with(*healths, degraded=(), fault=None):
        answers = iter(healths)
        monkeypatch.setattr(live_check, "health_of", lambda url: next(answers, healths[-1]))

        def post(url, json, timeout):
            if fault is not None:
                raise fault
            response = requests.Response()
            response.status_code = 200
            response.json = lambda: {"degraded": list(degraded)}
            return response

        monkeypatch.setattr(requests, "post", post)

    return answer_with


def faults(client, variants=("main",)):
    return service_faults(client, URL, variants)


def test_finds_nothing_wrong_with_a_whole_service(service):
    service(WELL)

    assert faults(FakeServe()) == []


def test_says_that_no_service_runs(service):
    service(None)

    assert faults(NoServe()) is None


def test_names_a_serve_that_does_not_answer_although_the_application_does(service):
    service(WELL)

    with pytest.raises(ServeUnreachable):
        faults(NoServe())


def test_names_what_serve_reports(service):
    service(WELL)
    serve = FakeServe(
        "UNHEALTHY",
        "see\n below",
        Ranker=deployment("UNHEALTHY", 1, "it failed"),
        FeatureFetcher=deployment("UPDATING", 0),
    )

    assert faults(serve) == [
        "Serve says UNHEALTHY: see below",
        "Ranker is UNHEALTHY: it failed",
        "FeatureFetcher is UPDATING",
    ]


def test_names_once_what_any_replica_reports(service):
    service(
        WELL,
        {**WELL, "faults": ["user_config is refused"]},
        {**WELL, "silent_stores": {"features": {"postgres": 15.0}}, "bundle": None},
    )

    assert faults(FakeServe()) == [
        "user_config is refused",
        "a replica has no bundle",
        "features cannot reach postgres for long",
    ]


def test_names_the_stages_that_are_replaced_now(service):
    service(WELL, degraded=["scorer-main"])

    assert faults(FakeServe(), ("main", "challenger")) == ["scorer-main is degraded"]


def test_names_an_application_that_gives_no_answer(service):
    service(None, fault=requests.ConnectionError("refused"))

    assert faults(FakeServe()) == [
        "GET http://test/health gives no answer",
        "a request for main gets no answer: refused",
    ]
