import os
import signal
import time

from serve_app.bundles.promotions import promote
from serve_app.operations.workplace import open_workplace
from tests.support.real_serve import ROOT, until
from tests.support.rough_fit import publish_roughly
from tests.support.traffic import traffic


def served_version(service):
    return service.http.get("/health").json()["bundle"]


def test_a_promoted_bundle_is_taken_up_without_a_restart_or_a_lost_answer(service):
    before, replicas = served_version(service), service.replicas()
    environment = {**os.environ, "RECSERVE_HOME": str(service.home)}
    workplace = open_workplace(ROOT / "serve_config.yaml", environment, ROOT)
    published = publish_roughly(workplace, n_trees=10)
    until(lambda: served_version(service) == published.version, "the new bundle")

    with traffic(service) as seen:
        promote(workplace.bundles.root, before, at=time.time())
        until(lambda: served_version(service) == before, "the old bundle")
        n_before = seen.versions[before]
        until(lambda: seen.versions[before] > n_before + 30, "answers from it")

    assert published.version != before
    assert set(seen.outcomes) == {200}
    assert set(seen.versions) == {before, published.version}
    assert service.replicas() == replicas


def answers_of_a_new_ingress(service):
    """The first answers after the only replica of the ingress was killed."""
    [(old, pid)] = service.replicas()["Ingress"].items()
    os.kill(pid, signal.SIGKILL)
    until(lambda: service.replicas()["Ingress"].keys() - {old}, "a new ingress")
    until(lambda: service.status_of("/health") == 200, "its first answer")
    return [service.ask(f"u{number:06d}", n=5) for number in range(20)]


def test_a_damaged_bundle_leaves_the_served_one(service):
    before = served_version(service)
    root = service.home / "bundles"
    current = (root / "current").read_text()
    damaged = root / "20300101-deadbeef"
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{}")
    try:
        (root / "current").write_text("20300101-deadbeef")
        until(
            lambda: any(
                "20300101-deadbeef" in log.read_text()
                for log in (service.home / "ray").glob("**/logs/serve/replica_*Ingress*")
            ),
            "a log line about it",
        )
        assert served_version(service) == before
        assert service.ask("u000003", n=5)["model_version"] == before

        answers = answers_of_a_new_ingress(service)
        assert {answer["model_version"] for answer in answers} == {before}
        assert all(answer["recommendations"] for answer in answers)
        assert "20300101-deadbeef" in service.http.get("/health").json()["faults"][0]
    finally:
        (root / "current").write_text(current)
