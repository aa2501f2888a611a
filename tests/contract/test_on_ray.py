"""Tests that a fit on a real Ray cluster gives the results of one process."""

import shutil
from functools import partial

import numpy as np
import pytest

from serve_app.bundles.publishing import publish
from serve_app.fitting.fit_config import FitConfig
from serve_app.fitting.fit_source import DataInMemory, FitData
from serve_app.fitting.moments.examples import concatenate_examples
from serve_app.fitting.pipeline import STEPS
from serve_app.fitting.run import run
from serve_app.fitting.steps.evaluate_models import load_metrics
from serve_app.fitting.steps.find_candidates import load_shards
from serve_app.fitting.steps.publish_bundle import assemble_result
from serve_app.fitting.steps.train_models import read_booster, train_models
from serve_app.fitting.training.boosting import VariantConfig, parse_booster
from serve_app.fitting.workspace.on_ray import on_ray
from serve_app.fitting.workspace.step_folders import Workspace
from serve_app.fitting.workspace.workers import LocalWorkers
from serve_app.recommending.scoring.boosters import predict
from tests.support.few_examples import FEW_EXAMPLES
from tests.support.hand_made_logs import demo_shop

# No trees but those that are learnt.
MAIN = VariantConfig(n_models=1, n_trees=10, min_ranking_users=0, few_users=0, few_newcomers=0)
CONFIG = FitConfig(variants={"main": MAIN}, **FEW_EXAMPLES)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    storage = tmp_path_factory.mktemp("storage")
    with on_ray(None, str(storage)) as workers:
        yield workers
        assert not list(storage.iterdir()), "a training left its files"


def fit(workers, config, folder):
    steps = {name: step for name, step in STEPS.items() if name != "publish"}
    work = Workspace(folder)
    run_all(steps, work, config, workers)
    return assemble_result(work, config, load_metrics(work)).contents


def run_all(steps, work, config, workers):
    source = DataInMemory(FitData(*demo_shop()))
    for _ in run(steps, work, config, source, workers, lambda step, share: None):
        pass


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
    alone = CONFIG.model_copy(update={"variants": {"main": variant}})
    config = alone.model_copy(update={"n_train_workers": 2})
    # Nor are the models trained that are only measured.
    steps = {**STEPS, "train": partial(train_models, kinds=("published",))}
    for name in ("evaluate", "publish"):
        del steps[name]
    one, two = Workspace(tmp_path / "one"), Workspace(tmp_path / "two")
    one.folder.mkdir()
    run_all(steps, one, alone, LocalWorkers())
    # Only the training is another one: it goes on from the same steps before.
    shutil.copytree(one.folder, two.folder)
    run_all(steps, two, config, cluster)

    assert one.done("train").key != two.done("train").key
    first, second = (parse_booster(read_booster(work, "published", "main")) for work in (one, two))
    assert second.num_boosted_rounds() == 10
    examples = concatenate_examples([shard.examples for shard in load_shards(two, "latest")])
    scores = [predict(booster, examples.matrix) for booster in (first, second)]
    assert np.corrcoef(*scores)[0, 1] > 0.95
