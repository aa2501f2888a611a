"""Tests the form for a small machine: every stage in the process of the ingress."""

import os

import pytest

from serve_app.errors import SettingsInvalid
from serve_app.operations.workplace import open_workplace
from serve_app.running.scale import scale
from tests.support.real_serve import ROOT, served, until

USERS = [*(f"u{i:06d}" for i in range(25)), "nobody"]
PASSWORD = "hunter2-of-postgres"
"""Planted in the URL of the database. The embedded server does not ask for it."""

QUESTIONS = [{}, {"n": 40, "filters": {"price": {"lte": 30}}, "include_metadata": True}]


@pytest.fixture(scope="module")
def one_process(filled_home):
    environment = {**os.environ, "RECSERVE_HOME": str(filled_home)}
    folder = filled_home / "one"
    with open_workplace(ROOT / "serve_config.yaml", environment, ROOT).stores() as urls:
        planted = urls.database.replace("postgres@", f"postgres:{PASSWORD}@")
        assert planted != urls.database
        with served(
            filled_home,
            profile=ROOT / "configs/fast.env",
            shipped="configs/one_process.yaml",
            folder=folder,
            variables={"DATABASE_URL": planted, "REDIS_URL": urls.redis},
        ) as service:
            until(service.is_ready, "ready", deadline_s=120)
            yield service
    # At the end: every line that the service and Ray have logged is there.
    files = (file for file in folder.rglob("*") if file.is_file())
    assert [file for file in files if PASSWORD.encode() in file.read_bytes()] == []


def test_gives_the_answers_of_the_graph(service, one_process):
    for user in USERS:
        for question in QUESTIONS:
            graph, here = (each.ask_whole(user, **question) for each in (service, one_process))

            assert here["recommendations"] == graph["recommendations"]
            assert here["model_used"] == graph["model_used"]


def test_is_one_deployment(one_process):
    assert list(one_process.replicas()) == ["Ingress"]


def test_a_stage_in_the_ingress_cannot_be_scaled_by_itself(one_process):
    with pytest.raises(SettingsInvalid, match="Ranker: lives in the ingress"):
        scale(one_process.client(), "Ranker", min_replicas=2, max_replicas=None)


def test_doctor_finds_nothing_wrong(one_process):
    done = one_process.run("serve_app.cli.main", "doctor", "--config", str(one_process.config))

    assert done.returncode == 0, done.stdout
