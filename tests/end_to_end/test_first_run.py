"""Tests the first steps of a new user, in their order, on an empty folder."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
import psutil
import pytest
import yaml

from serve_app.running.environment import DASHBOARD_PORT, is_free
from tests.support.real_serve import OWN_PORTS, ROOT, free_ports, served, until

# The way from nothing to an answer is tested here, not how good the answer is.
ROUGH_FIT = """
n_tuning_users: 20
variants: {main: {n_models: 1, n_trees: 20}, challenger: {n_models: 1, n_trees: 20}}
"""

# All is as users have it but the size of the demo shop. A fit of 20,000 users takes minutes.
RECSERVE = """
from serve_app.cli.main import main
from serve_app.demo.demo_shop import DemoConfig
from serve_app.operations import first_run

first_run.DemoConfig = lambda: DemoConfig(n_users=400, n_items=800, n_interactions=20_000)
main()
"""


@pytest.fixture
def home():
    # Short: the path of a socket may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="rs-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def processes_of(home):
    """Processes, except this one, with the folder in their command or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                described = [*process.cmdline(), process.environ().get("RECSERVE_HOME", "")]
                found += [process] * (str(home) in " ".join(described))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_one_command_from_nothing_to_a_recommendation_and_back_to_nothing(home):
    # Another test's Ray may be on its way out.
    until(lambda: is_free(DASHBOARD_PORT), "a free port for Ray's dashboard")
    port, *own_ports = free_ports(1 + len(OWN_PORTS))
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["http_options"]["port"] = port
    (home / "serve_config.yaml").write_text(yaml.safe_dump(config))
    (home / "fit.yaml").write_text(ROUGH_FIT)
    environment = {
        **os.environ,
        **dict(zip(OWN_PORTS, map(str, own_ports), strict=True)),
        "RECSERVE_HOME": str(home / "recserve"),
        "RAY_TMPDIR": str(home / "ray"),
    }
    said = home / "said"
    with said.open("wb") as output:
        command = subprocess.Popen(
            [
                sys.executable,
                "-c",
                RECSERVE,
                "run",
                "--config",
                home / "serve_config.yaml",
                "--settings",
                home / "fit.yaml",
            ],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(
            lambda: "curl" in said.read_text() or command.poll() is not None,
            "an address and a curl line",
            deadline_s=240,
        )
        assert command.poll() is None, said.read_text()
        (body,) = re.findall(r"-d '(.*)'", said.read_text())
        answer = httpx2.post(
            f"http://127.0.0.1:{port}/recommendations",
            content=body,
            headers={"content-type": "application/json"},
            timeout=30,
        ).json()
    finally:
        command.send_signal(signal.SIGINT)
        code = command.wait(90)

    assert len(answer["recommendations"]) == 10
    assert answer["degraded"] == []
    assert code == 0, said.read_text()
    until(lambda: not processes_of(home), "no process left", deadline_s=30)


def test_serve_run_by_itself_answers_on_an_empty_store_without_the_fast_profile(home):
    with served(home, profile=None) as service:
        until(lambda: service.status_of("/ready") == 503, "an answer to /ready", deadline_s=120)
        assert "recserve fit" in service.http.get("/ready").text
        answer = service.ask("anybody")

        assert answer["recommendations"] == []
        assert answer["degraded"] == ["bundle"]
        assert service.http.get("/health").json()["bundle"] is None
        assert service.status_of("/items/i1/similar") == 404
