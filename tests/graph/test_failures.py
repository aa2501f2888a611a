"""Tests that the service goes on answering while each of its parts is stopped."""

import os
import signal

import psutil
import pytest

from serve_app.database.fit_input import read_interactions
from serve_app.operations.workplace import open_workplace
from tests.support.real_serve import ROOT, stopped, until
from tests.support.traffic import traffic

STAGES = {
    "FeatureFetcher": "features",
    "CandidateGenerator": "candidates",
    "Scorer-main": "scorer-main",
    "Ranker": "ranker",
}


@pytest.fixture(scope="package")
def a_buyer(filled_home):
    """A user, and the ids of the items that they bought."""
    environment = {**os.environ, "RECSERVE_HOME": str(filled_home)}
    workplace = open_workplace(ROOT / "serve_config.yaml", environment, ROOT)
    with workplace.database() as conn:
        user_id, *_ = conn.execute(
            "SELECT user_id FROM interactions WHERE type = 3 GROUP BY 1 ORDER BY count(*) DESC, 1"
        ).fetchone()
        bought = conn.execute(
            "SELECT DISTINCT item_id FROM interactions JOIN item_features USING (item_row)"
            " WHERE type = 3 AND user_id = %s",
            (user_id,),
        ).fetchall()
        assert len(read_interactions(conn)) > 0
    return user_id, {item_id for (item_id,) in bought}


def assert_good(answer, n, bought):
    items = [each["item_id"] for each in answer["recommendations"]]
    assert len(set(items)) == n
    assert not bought & set(items)
    assert all(each["reason"] for each in answer["recommendations"])


@pytest.mark.parametrize("deployment", STAGES)
def test_a_stage_that_is_stuck_is_replaced_and_named(service, a_buyer, deployment):
    user_id, bought = a_buyer
    body = {"n": 15, "model_name": "main", "filters": {"price": {"lte": 60}}}

    with stopped(list(service.replicas()[deployment].values())):
        answer = service.ask(user_id, **body)

    assert STAGES[deployment] in answer["degraded"]
    assert_good(answer, 15, bought)
    assert not answer["cached"]


def test_a_degraded_answer_is_not_kept(service, a_buyer):
    user_id, _ = a_buyer
    body = {"n": 11, "model_name": "main", "filters": {"price": {"lte": 1_234_567}}}

    with stopped(list(service.replicas()["Ranker"].values())):
        assert service.ask(user_id, **body)["degraded"] == ["ranker"]

    whole = until(
        lambda: (answer := service.ask(user_id, **body)) and not answer["degraded"] and answer,
        "a whole answer",
    )
    assert not whole["cached"]


@pytest.mark.parametrize("deployment", ["Scorer-main", "CandidateGenerator"])
def test_a_replica_that_is_killed_costs_no_answer_and_comes_back(service, deployment):
    (pid,) = service.replicas()[deployment].values()

    with traffic(service) as seen:
        os.kill(pid, signal.SIGKILL)
        until(lambda: set(service.replicas()[deployment].values()) - {pid}, "another replica", 90)

    assert set(seen.outcomes) == {200}


def servers(home, name):
    """Processes of an embedded server."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if name in (process.info["name"] or "") and str(home) in command:
            found += [process.pid, *(child.pid for child in process.children(recursive=True))]
    assert found, name
    return found


def test_answers_while_redis_is_stuck(service, a_buyer):
    user_id, bought = a_buyer

    with stopped(servers(service.home, "valkey")):
        answer = service.ask(user_id, n=10)

    assert_good(answer, 10, bought)
    assert answer["degraded"] == []


def test_answers_while_postgres_is_stuck(service):
    with stopped(servers(service.home, "postgres")):
        answer = service.ask("a user without a cached answer", n=10)
        until(lambda: "postgres" in silent_stores(service).get("features", {}), "health says so")

    assert_good(answer, 10, set())
    assert answer["degraded"] == ["features", "history"]
    # A user without a cached answer has a whole one again.
    until(lambda: service.ask("another new user", n=10)["degraded"] == [], "whole again", 2)
    until(lambda: not silent_stores(service), "health says so")


def silent_stores(service):
    return service.http.get("/health").json()["silent_stores"]


def test_answers_from_the_bundle_while_both_stores_are_stuck(service, a_buyer):
    user_id, bought = a_buyer

    with stopped(servers(service.home, "valkey") + servers(service.home, "postgres")):
        answer = service.ask(user_id, n=10)

    assert answer["degraded"] == ["features", "history"]
    assert_good(answer, 10, bought)
    reasons = {each["reason"] for each in answer["recommendations"]}
    assert reasons - {"Popular right now"}, "the archive keeps the list personal"


def test_stores_whose_keeper_is_killed_come_back_by_themselves(service, a_buyer):
    user_id, bought = a_buyer
    (keeper,) = (
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if "serve_app.embedded.keeper" in (command := " ".join(process.info["cmdline"] or []))
        and str(service.home) in command
    )

    with traffic(service) as seen:
        os.kill(keeper, signal.SIGKILL)
        n_before = sum(seen.outcomes.values())
        until(lambda: sum(seen.outcomes.values()) > n_before + 100, "requests meanwhile")

    assert set(seen.outcomes) == {200}
    assert_good(service.ask(user_id, n=10), 10, bought)
