"""Tests how many connections to PostgreSQL a configuration may open."""

from pathlib import Path
from typing import Any

import pytest

from serve_app.operations.doctor.connection_count import most_connections
from serve_app.operations.yaml_file import load_yaml
from serve_app.serving.config import AppConfig

ROOT = Path(__file__).parents[4]


def config_of(pool_size: int, **placement: str) -> AppConfig:
    stores = {"postgres": {"pool_size": pool_size}, "writes": {"pool_size": 1}}
    return AppConfig.model_validate({"stores": stores, "placement": placement})


def named(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, **settings}


@pytest.mark.parametrize(
    ("deployments", "expected"),
    [
        ([], 2 * (2 * 3 + 1 + 1)),
        ([named("Ingress", num_replicas=4)], 2 * (2 * 3 + 1 + 4)),
        ([named("ShopWriter", num_replicas=5)], 2 * (2 * 3 + 5 + 1)),
        ([named("FeatureFetcher", num_replicas=4)], 2 * ((4 + 1) * 3 + 1 + 1)),
        (
            [
                named("FeatureFetcher", autoscaling_config={"max_replicas": 4}),
                named("CandidateGenerator", autoscaling_config={"max_replicas": 8}),
                named("Ranker", num_replicas=50),
            ],
            2 * (12 * 3 + 1 + 1),
        ),
        ([named("CandidateGenerator", num_replicas="auto")], 2 * ((1 + 100) * 3 + 1 + 1)),
        (
            [named("FeatureFetcher", num_replicas="auto", autoscaling_config={"max_replicas": 5})],
            2 * ((5 + 1) * 3 + 1 + 1),
        ),
    ],
)
def test_counts_the_connections_of_old_and_new_replicas(
    deployments: list[Any], expected: int
) -> None:
    assert most_connections(config_of(3), deployments) == expected


def test_stages_in_the_ingress_share_its_connections() -> None:
    config = config_of(2, features="ingress", candidates="ingress", writing="ingress")

    assert most_connections(config, [named("Ingress", num_replicas=3)]) == 2 * 3 * (2 + 1)


def test_the_configuration_that_comes_with_it_fits_an_ordinary_server() -> None:
    [application] = load_yaml(ROOT / "serve_config.yaml")["applications"]

    n = most_connections(AppConfig.model_validate(application["args"]), application["deployments"])

    # PostgreSQL allows 100 by default, of which it keeps three. Commands need some too.
    assert n <= 80
