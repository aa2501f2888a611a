"""The wiring, as far as it needs no cluster."""

import pickle

import pytest

from serve_app.app import Graph, InProcess, build_app
from serve_app.serving.config import AppConfig

ALL_IN_INGRESS = AppConfig.model_validate(
    {
        "placement": dict.fromkeys(
            ("features", "candidates", "scoring", "ranking", "writing"), "ingress"
        )
    }
)


def arguments_of_ingress(config):
    return build_app(config)._bound_deployment.init_args


def graph_of(config):
    [graph] = [each for each in arguments_of_ingress(config) if isinstance(each, Graph)]
    return graph


def placed_by(config):
    """Each stage's placement, by the name of its deployment."""
    graph = graph_of(config)
    return {
        "FeatureFetcher": graph.features,
        "CandidateGenerator": graph.candidates,
        "Ranker": graph.ranker,
        "ShopWriter": graph.writer,
        **{f"Scorer-{variant}": scorer for variant, scorer in graph.scorers.items()},
    }


@pytest.fixture(autouse=True)
def stores_elsewhere(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://nowhere")
    monkeypatch.setenv("REDIS_URL", "redis://nowhere")


def test_each_stage_is_a_deployment_unless_told():
    assert not any(isinstance(stage, InProcess) for stage in placed_by(AppConfig()).values())


def test_a_stage_that_is_placed_in_the_ingress_travels_there_as_what_makes_it():
    config = AppConfig.model_validate({"placement": {"scoring": "ingress"}})

    inside = {name for name, stage in placed_by(config).items() if isinstance(stage, InProcess)}

    assert inside == {"Scorer-main", "Scorer-challenger"}


def test_stages_of_one_process_share_its_stores():
    _, stores, _, graph = pickle.loads(pickle.dumps(arguments_of_ingress(ALL_IN_INGRESS)))

    assert graph.features.args[0] is stores
    assert graph.candidates.args[0] is stores


def test_a_process_opens_stores_of_its_own():
    _, stores, *_ = arguments_of_ingress(ALL_IN_INGRESS)

    here, there = stores.cache, pickle.loads(pickle.dumps(stores)).cache

    assert here is stores.cache
    assert there is not here


def test_every_stage_can_be_called_in_one_process():
    stages, _ = graph_of(ALL_IN_INGRESS).open()

    assert set(stages.scorers) == {"main", "challenger"}
