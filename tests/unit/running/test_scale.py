import copy

import pytest

from serve_app.errors import ServeUnreachable, SettingsInvalid
from serve_app.running.scale import Replicas, scale, with_bounds

HTTP_OPTIONS = {"host": "0.0.0.0", "port": 8000}
INGRESS = {
    "name": "Ingress",
    "max_ongoing_requests": 100,
    "autoscaling_config": {"max_replicas": 2},
}
RANKER = {
    "name": "Ranker",
    "autoscaling_config": {"min_replicas": 1, "max_replicas": 4, "initial_replicas": 1},
}
APPLICATION = {
    "name": "recserve",
    "import_path": "serve_app.app:build_app",
    "args": {"placement": {"scoring": "ingress"}},
    "deployments": [INGRESS, RANKER, {"name": "Fixed", "num_replicas": 1}],
}


class FakeServe:
    """A Serve with four deployments that follows new bounds at the next report."""

    address = "http://serve"

    def __init__(self, obeys=True):
        self.obeys = obeys
        self.application = copy.deepcopy(APPLICATION)
        self.deployed = []
        self.n_running = dict.fromkeys(("Ingress", "Ranker", "Fixed", "Unlisted"), 1)

    def details(self):
        options = {one["name"]: one for one in self.application["deployments"]}
        return {
            "proxy_location": "EveryNode",
            "http_options": HTTP_OPTIONS,
            "grpc_options": {"port": 9000},
            "target_capacity": None,
            "proxies": {},
            "applications": {
                "recserve": {
                    "status": "RUNNING",
                    "deployed_app_config": copy.deepcopy(self.application),
                    "deployments": {
                        name: self._reported(n, options.get(name, {}))
                        for name, n in self.n_running.items()
                    },
                },
                "by hand": {"status": "RUNNING", "deployed_app_config": None, "deployments": {}},
            },
        }

    def deploy(self, config):
        self.deployed.append(config)
        [self.application] = config["applications"]
        for options in self.application["deployments"]:
            bounds = options.get("autoscaling_config", {})
            low, high = bounds.get("min_replicas", 1), bounds.get("max_replicas", 1)
            if self.obeys:
                n = self.n_running[options["name"]]
                self.n_running[options["name"]] = min(max(n, low), high)

    def _reported(self, n, options):
        autoscaling = options.get("autoscaling_config")
        target = max(n, (autoscaling or {}).get("min_replicas", 1))
        return {
            "status": "HEALTHY",
            "message": "pending: not enough CPU",
            "target_num_replicas": target,
            "deployment_config": {
                "autoscaling_config": autoscaling
                and {"min_replicas": 1, "max_replicas": 1, **autoscaling}
            },
            "replicas": [{"state": "RUNNING"}] * n + [{"state": "STOPPING"}],
        }


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s

    def pause(self, seconds):
        self.now_s += seconds


def test_reports_the_replicas_before_and_after():
    report = scale(FakeServe(), "Ranker", min_replicas=2, max_replicas=3)

    assert report.before == Replicas(n_running=1, n_target=1, n_min=1, n_max=4)
    assert report.after == Replicas(n_running=2, n_target=2, n_min=2, n_max=3)


def test_changes_nothing_but_the_numbers_of_that_deployment():
    serve = FakeServe()

    scale(serve, "Ranker", min_replicas=2, max_replicas=3)

    expected = copy.deepcopy(APPLICATION)
    expected["deployments"][1]["autoscaling_config"] = {
        "min_replicas": 2,
        "max_replicas": 3,
        "initial_replicas": 2,
    }
    assert serve.deployed == [
        {
            "proxy_location": "EveryNode",
            "http_options": HTTP_OPTIONS,
            "grpc_options": {"port": 9000},
            "target_capacity": None,
            "applications": [expected],
        }
    ]


def test_keeps_a_bound_that_is_none():
    assert scale(FakeServe(), "Ranker", min_replicas=3, max_replicas=None).after.n_max == 4
    assert scale(FakeServe(), "Ranker", min_replicas=None, max_replicas=2).after.n_min == 1


def test_does_not_add_initial_replicas():
    config = with_bounds(FakeServe().details(), "Ingress", (2, 5))

    assert config["applications"][0]["deployments"][0]["autoscaling_config"] == {
        "min_replicas": 2,
        "max_replicas": 5,
    }


@pytest.mark.parametrize(
    ("deployment", "low", "high", "message"),
    [
        ("Rankr", 1, 1, "Rankr: no such deployment; there are Ingress, Ranker, Fixed, Unlisted"),
        ("Scorer-main", 1, 1, "Scorer-main: lives in the ingress by args.placement: scale Ingress"),
        ("Ranker", 3, 2, "min_replicas: is 3, more than max_replicas 2"),
        ("Ranker", 5, None, "min_replicas: is 5, more than max_replicas 4"),
        ("Ranker", 0, 0, "max_replicas: is 0, must be at least 1"),
        ("Ranker", -1, 1, "min_replicas: is -1, must be at least 0"),
        ("Fixed", 1, 2, "adding it restarts every deployment"),
        ("Unlisted", 1, 2, "adding it restarts every deployment"),
    ],
)
def test_refuses_without_deploying_anything(deployment, low, high, message):
    serve = FakeServe()

    with pytest.raises(SettingsInvalid) as raised:
        scale(serve, deployment, min_replicas=low, max_replicas=high)

    assert message in str(raised.value)
    assert serve.deployed == []


def test_reports_replicas_that_do_not_start_before_the_deadline():
    clock = Clock()

    with pytest.raises(ServeUnreachable) as raised:
        scale(
            FakeServe(obeys=False),
            "Ranker",
            min_replicas=2,
            max_replicas=3,
            deadline_s=10,
            clock=clock,
            pause=clock.pause,
        )

    assert "Ranker runs 1 of 2 replicas, bounds 2 to 3" in str(raised.value)
    assert "not enough CPU" in str(raised.value)
    assert clock.now_s == pytest.approx(10)


def test_scales_an_application_that_another_build_deployed():
    serve = FakeServe()
    serve.application["args"] = {"unknown": 1}

    assert scale(serve, "Ranker", min_replicas=2, max_replicas=None).after.n_running == 2


def test_names_the_applications_that_run_instead():
    class OtherServe(FakeServe):
        def details(self):
            return {"applications": {"other": {}}}

    with pytest.raises(ServeUnreachable, match="no application 'recserve'; it runs other"):
        scale(OtherServe(), "Ranker", min_replicas=1, max_replicas=1)
