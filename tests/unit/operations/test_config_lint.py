import copy
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel, Field
from ray.serve.schema import ServeDeploySchema

from serve_app.domain.settings import Settings
from serve_app.operations.config_lint import Application, lint


class VariantSettings(Settings):
    weight: float = 1.0


class AppSettings(Settings):
    variants: dict[str, VariantSettings] = Field(default_factory=dict)
    budget_ms: int = 200


class ExperimentSettings(Settings):
    salt: str = ""


DEPLOYMENTS = ("Ingress", "Ranker")

GOOD = {
    "proxy_location": "EveryNode",
    "http_options": {"port": 8000, "request_timeout_s": 5.0},
    "logging_config": {"encoding": "JSON"},
    "applications": [
        {
            "name": "recserve",
            "route_prefix": "/",
            "import_path": "serve_app.app:build_app",
            "args": {"variants": {"main": {"weight": 2.0}}},
            "deployments": [
                {
                    "name": "Ingress",
                    "max_ongoing_requests": 100,
                    "user_config": {"salt": "s"},
                    "autoscaling_config": {
                        "min_replicas": 1,
                        "max_replicas": 4,
                        "target_ongoing_requests": 60,
                        "policy": {"policy_kwargs": {}},
                    },
                    "ray_actor_options": {"num_cpus": 0.1},
                    "backpressure_config": {"status_code": 429},
                },
                {"name": "Ranker", "num_replicas": 2},
            ],
        }
    ],
}


def problems_after(change):
    config = copy.deepcopy(GOOD)
    change(config)
    return lint(
        config,
        Application(
            args_model=AppSettings,
            user_config_models={"Ingress": ExperimentSettings},
            deployments=DEPLOYMENTS,
        ),
    )


def ingress_with(**options):
    return problems_after(
        lambda config: config["applications"][0]["deployments"][0].update(options)
    )


def application_with(**keys):
    return problems_after(lambda config: config["applications"][0].update(keys))


def listed(*names):
    return [{"name": name} for name in names]


INGRESS = "applications[0].deployments[0]"


class TestKeysThatRayIgnores:
    def test_a_valid_file_has_no_problems(self):
        assert problems_after(lambda config: None) == []

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (
                lambda config: config.update(http_option={}),
                "http_option: unknown key; did you mean http_options?",
            ),
            (
                lambda config: config["http_options"].update(request_timeout=3),
                "http_options.request_timeout: unknown key; did you mean request_timeout_s?",
            ),
            (
                lambda config: config["applications"][0].update(route_prefx="/"),
                "applications[0].route_prefx: unknown key; did you mean route_prefix?",
            ),
        ],
    )
    def test_names_an_unknown_key_near_the_top(self, change, problem):
        assert problems_after(change) == [problem]

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            (
                {"max_ongoing_request": 9},
                f"{INGRESS}.max_ongoing_request: unknown key; did you mean max_ongoing_requests?",
            ),
            (
                {"autoscaling_config": {"max_replica": 9}},
                f"{INGRESS}.autoscaling_config.max_replica: unknown key; did you mean"
                " max_replicas?",
            ),
            (
                {"autoscaling_config": {"policy": {"policy_functio": "math:sqrt"}}},
                f"{INGRESS}.autoscaling_config.policy.policy_functio: unknown key; did you mean"
                " policy_function?",
            ),
            (
                {"ray_actor_options": {"num_cpu": 1}},
                f"{INGRESS}.ray_actor_options.num_cpu: unknown key; did you mean num_cpus?",
            ),
            (
                {"backpressure_config": {"status": 429}},
                f"{INGRESS}.backpressure_config.status: unknown key; did you mean status_code?",
            ),
            (
                {"request_router_config": {"backof_multiplier": 2}},
                f"{INGRESS}.request_router_config.backof_multiplier: unknown key; did you mean"
                " backoff_multiplier?",
            ),
        ],
    )
    def test_names_an_unknown_key_of_a_deployment(self, options, problem):
        assert ingress_with(**options) == [problem]

    def test_lists_the_known_keys_when_none_is_similar(self):
        [problem] = ingress_with(backpressure_config={"zzz": 1})

        assert problem.endswith("unknown key; there are retry_after_s, status_code")


def paths_of_models(annotation, path=()):
    """Paths to every model below an annotation; 0 stands for the first entry of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield path
        for name, field in annotation.model_fields.items():
            yield from paths_of_models(field.annotation, (*path, name))
    for part in get_args(annotation):
        yield from paths_of_models(part, (*path, 0) if get_origin(annotation) is list else path)


RAY_MODELS = sorted(set(paths_of_models(ServeDeploySchema)), key=str)


def test_the_walk_reaches_the_options_that_ray_leaves_open():
    assert len(RAY_MODELS) > 15
    assert ("applications", 0, "deployments", 0, "deployment_actors", 0) in RAY_MODELS


@pytest.mark.parametrize("path", RAY_MODELS, ids=lambda path: ".".join(map(str, path)) or "top")
def test_finds_an_unknown_key_in_every_model_of_rays_schema(path):
    config = {"misspelt": 1}
    for part in reversed(path):
        config = [config] if part == 0 else {part: config}
    written = "".join(f"[{part}]" if part == 0 else f".{part}" for part in (*path, "misspelt"))

    problems = lint(config)

    assert sum(problem.startswith(f"{written[1:]}: unknown key;") for problem in problems) == 1


class TestValuesThatRayRefuses:
    @pytest.mark.parametrize(
        ("options", "start"),
        [
            (
                {"autoscaling_config": {"min_replicas": 3, "max_replicas": 2}},
                f"{INGRESS}.autoscaling_config: max_replicas (2) must be greater",
            ),
            (
                {"autoscaling_config": {"min_replicas": "many"}},
                f"{INGRESS}.autoscaling_config.min_replicas: Input should be a valid integer",
            ),
            (
                {"max_surge_percent": 300},
                f"{INGRESS}.max_surge_percent: Input should be less than or equal to 100",
            ),
            (
                {"num_replicas": 2},
                f"{INGRESS}: Manually setting num_replicas is not allowed",
            ),
            (
                {"autoscaling_config": {"policy": {"policy_function": "no_such_module:f"}}},
                f"{INGRESS}.autoscaling_config: names what cannot be imported: No module",
            ),
            ({"ray_actor_options": 3}, f"{INGRESS}.ray_actor_options: must be a mapping"),
        ],
    )
    def test_says_where_and_why(self, options, start):
        [problem] = ingress_with(**options)

        assert problem.startswith(start)

    def test_reports_a_value_that_ray_accepts_with_a_warning(self):
        [problem] = ingress_with(autoscaling_config={"look_back_period_s": 5})

        assert "`look_back_period_s` (5.0) must be greater than `metrics_interval_s`" in problem

    def test_reports_a_list_where_a_deployment_should_be(self):
        problems = application_with(deployments=[["Ingress"]])

        assert problems == [f"{INGRESS}: must be a mapping of keys to values"]

    def test_names_a_missing_key(self):
        problems = problems_after(lambda config: config["applications"][0].pop("import_path"))

        assert problems == ["applications[0].import_path: Field required"]


class TestWhatRayCannotKnow:
    def test_names_an_unknown_deployment(self):
        problems = application_with(deployments=[{"name": "Ranke"}, *listed(*DEPLOYMENTS)])

        assert problems == [f"{INGRESS}.name: no such deployment; did you mean Ranker?"]

    def test_names_a_deployment_that_is_not_listed(self):
        [problem] = application_with(deployments=listed("Ingress"))

        assert problem.startswith("applications[0].deployments: Ranker is not listed: Ray would")

    def test_names_a_stage_that_runs_in_the_ingress(self):
        [problem] = lint(GOOD, Application(deployments=["Ingress"], in_ingress=["Ranker"]))

        assert problem.startswith(
            "applications[0].deployments[1].name: Ranker lives in the ingress"
        )

    def test_names_a_deployment_that_is_listed_twice(self):
        problems = application_with(deployments=listed("Ingress", "Ranker", "Ranker"))

        assert problems == ["applications[0].deployments[2].name: Ranker stands here a second time"]

    def test_checks_args_down_to_their_own_keys(self):
        problems = application_with(args={"variants": {"main": {"wait": 2}}, "budget_ms": "slow"})

        assert problems[0] == (
            "applications[0].args.variants.main.wait: unknown key; did you mean weight?"
        )
        assert problems[1].startswith("applications[0].args.budget_ms: Input should be a valid int")
        assert len(problems) == 2

    def test_checks_a_user_config(self):
        assert ingress_with(user_config={"slat": "s"}) == [
            f"{INGRESS}.user_config.slat: unknown key; did you mean salt?"
        ]

    def test_names_a_user_config_that_no_deployment_reads(self):
        ranker = {"name": "Ranker", "user_config": {"salt": "s"}}
        problems = application_with(deployments=[ranker, *listed("Ingress")])

        assert problems == [f"{INGRESS}.user_config: Ranker takes none"]

    def test_names_a_deployment_that_would_never_scale_up(self):
        problems = ingress_with(max_ongoing_requests=30)

        assert problems == [
            f"{INGRESS}.max_ongoing_requests: 30 is below target_ongoing_requests 60: it would"
            " never scale up"
        ]

    def test_names_a_target_that_makes_ray_fail(self):
        [problem] = ingress_with(autoscaling_config={"target_ongoing_requests": None})

        assert problem.startswith(
            f"{INGRESS}.autoscaling_config.target_ongoing_requests: must be a number above 0"
        )

    def test_reports_a_wrong_target_once(self):
        [problem] = ingress_with(autoscaling_config={"target_ongoing_requests": "many"})

        assert "Input should be a valid number" in problem

    def test_does_not_check_parts_without_a_model(self):
        config = copy.deepcopy(GOOD)
        config["applications"][0]["args"] = {"anything": 1}
        config["applications"][0]["deployments"].append({"name": "Other", "user_config": {"a": 1}})

        assert lint(config) == []


def test_a_second_application_is_not_held_against_the_settings_of_the_first():
    other = {"name": "other", "route_prefix": "/other", "import_path": "other:app"}
    config = copy.deepcopy(GOOD)
    config["applications"].append(
        {**other, "args": {"anything": 1}, "deployments": [{"name": "A"}]}
    )
    application = Application(
        name="recserve",
        args_model=AppSettings,
        user_config_models={"Ingress": ExperimentSettings},
        deployments=["Ingress"],
    )

    found = lint(config, application)

    assert not [problem for problem in found if problem.startswith("applications[1]")]
