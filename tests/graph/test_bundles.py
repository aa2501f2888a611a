import os

from serve_app.operations.fit_bundle import FitRun, fit_bundle
from serve_app.operations.workplace import open_workplace
from tests.support.real_serve import ROOT, until
from tests.support.traffic import traffic


def test_a_new_bundle_is_taken_up_without_a_restart(service, tmp_path):
    before, replicas = service.http.get("/health").json()["bundle"], service.replicas()
    environment = {**os.environ, "RECSERVE_HOME": str(service.home)}
    workplace = open_workplace(ROOT / "serve_config.yaml", environment, ROOT)
    settings = tmp_path / "fit.yaml"
    settings.write_text("seed: 8\nvariants: {main: {n_trees: 20}, challenger: {n_trees: 20}}\n")

    with traffic(service) as seen:
        # Fewer trees may be worse; whether they are is not the question here.
        how = FitRun(force=True)
        published = fit_bundle(workplace, settings, lambda step, share: None, how)
        until(
            lambda: service.http.get("/health").json()["bundle"] == published.version,
            "the new bundle",
        )
        n_before = seen.versions[published.version]
        until(lambda: seen.versions[published.version] > n_before + 30, "answers from it")

    assert published.version != before
    assert set(seen.outcomes) == {200}
    assert set(seen.versions) == {before, published.version}
    assert service.replicas() == replicas


def test_a_damaged_bundle_leaves_the_served_one(service):
    before = service.http.get("/health").json()["bundle"]
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
        assert service.http.get("/health").json()["bundle"] == before
        assert service.ask("u000003", n=5)["model_version"] == before
    finally:
        (root / "current").write_text(current)
