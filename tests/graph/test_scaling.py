import yaml

from tests.support.real_serve import until
from tests.support.traffic import traffic

SCALED = "Scorer-challenger"


def others(replicas):
    return {name: ids for name, ids in replicas.items() if name != SCALED}


def deploy(service):
    return service.run(
        "ray.serve.scripts", "deploy", str(service.config), "-a", service.client().address
    )


def test_scale_changes_one_model_and_restarts_nothing(service):
    before = service.replicas()

    with traffic(service) as seen:
        done = service.run(
            "serve_app.cli.main",
            *("scale", SCALED, "--min", "2", "--max", "3"),
            *("--dashboard", service.client().address),
        )
        until(lambda: len(service.replicas()[SCALED]) == 2, "a second replica")
        after = service.replicas()
        n_before = seen.outcomes[200]
        until(lambda: seen.outcomes[200] > n_before + 50, "requests on the new replica")

    assert done.returncode == 0, done.stderr
    assert "before" in done.stdout
    assert "bounds 2–3" in done.stdout
    assert others(after) == others(before)
    assert before[SCALED].items() <= after[SCALED].items()
    assert set(seen.outcomes) == {200}
    assert not seen.degraded


def test_serve_deploy_with_other_numbers_restarts_nothing(service):
    before = service.replicas()
    config = yaml.safe_load(service.config.read_text())
    for deployment in config["applications"][0]["deployments"]:
        if deployment["name"] == SCALED:
            deployment["autoscaling_config"].update(min_replicas=1, max_replicas=1)
    service.config.write_text(yaml.safe_dump(config))

    with traffic(service) as seen:
        done = deploy(service)
        assert done.returncode == 0, done.stderr
        until(lambda: len(service.replicas()[SCALED]) == 1, "one replica less")
        n_before = seen.outcomes[200]
        until(lambda: seen.outcomes[200] > n_before + 50, "requests after it")

    after = service.replicas()
    assert others(after) == others(before)
    assert after[SCALED].items() <= before[SCALED].items()
    assert set(seen.outcomes) == {200}


def test_weights_change_without_a_restart(service):
    before = service.replicas()
    config = yaml.safe_load(service.config.read_text())
    ingress = config["applications"][0]["deployments"][0]
    ingress["user_config"]["experiment"]["weights"] = {"main": 1.0}
    service.config.write_text(yaml.safe_dump(config))

    with traffic(service) as seen:
        done = deploy(service)
        assert done.returncode == 0, done.stderr
        until(
            lambda: (
                service.http.get("/health").json()["weights"] == {"main": 1.0, "challenger": 0.0}
            ),
            "other weights",
        )

    used = {service.ask(f"u{i:06d}", n=1)["model_used"] for i in range(40)}
    assert used == {"main"}
    assert service.replicas() == before
    assert set(seen.outcomes) == {200}


def test_an_unknown_deployment_is_told_the_known_ones(service):
    done = service.run(
        "serve_app.cli.main",
        "scale",
        "Scorer",
        "--min",
        "1",
        "--dashboard",
        service.client().address,
    )

    assert done.returncode == 1
    assert "Scorer-main" in done.stderr
    assert "Traceback" not in done.stderr
