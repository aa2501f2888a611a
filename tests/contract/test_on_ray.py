"""Tests that a fit on a real Ray cluster gives the results of one process."""

import numpy as np
import pytest

from serve_app.bundles.publishing import publish
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.fit_source import DataInMemory, FitData
from serve_app.fitting.pipeline import STEPS
from serve_app.fitting.run import run
from serve_app.fitting.steps.evaluate_models import load_metrics
from serve_app.fitting.steps.publish_bundle import assemble_result
from serve_app.fitting.training.boosting import VariantConfig
from serve_app.fitting.workspace.on_ray import on_ray
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import LocalWorkers
from tests.support.hand_made_logs import demo_shop

CONFIG = FitConfig(
    variants={"main": VariantConfig(n_models=1, n_trees=10, min_ranking_users=0, few_users=0)},
    n_tuning_users=20,
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    storage = tmp_path_factory.mktemp("storage")
    with on_ray(None, str(storage)) as workers:
        yield workers
        assert not list(storage.iterdir()), "a training left its files"


def fit(workers, config, folder):
    steps = {name: step for name, step in STEPS.items() if name != "publish"}
    source, work = DataInMemory(FitData(*demo_shop())), Workspace(folder)
    for _ in run(steps, work, config, source, workers, lambda step, share: None):
        pass
    return assemble_result(work, config, load_metrics(work)).contents


def test_a_cluster_publishes_the_bytes_of_one_process(cluster, tmp_path):
    versions = set()
    for name, workers in (("here", LocalWorkers()), ("ray", cluster)):
        folder = tmp_path / name
        folder.mkdir()
        contents = fit(workers, CONFIG, folder)
        versions.add(publish(str(folder / "bundles"), contents, created_at=1.0).version)

    assert len(versions) == 1


def test_results_come_in_the_order_of_the_parts(cluster):
    found = cluster.map(np.add, 1, range(50))

    assert list(found) == list(range(1, 51))


def test_an_error_of_a_part_reaches_the_caller(cluster):
    with pytest.raises(ZeroDivisionError):
        list(cluster.map(divmod, 1, [1, 0]))


def test_several_processes_train_one_model_together(cluster, tmp_path):
    # One objective: each model that processes train together costs Ray Train a start of seconds.
    variant = CONFIG.variants["main"].model_copy(update={"objectives": ("binary:logistic",)})
    config = CONFIG.model_copy(update={"n_train_workers": 2, "variants": {"main": variant}})
    model = fit(cluster, config, tmp_path).models["main"]

    assert model.metrics["ndcg_at_10"] > 0.2
    assert model.n_trees == 10
