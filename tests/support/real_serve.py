"""Gives tests one real Serve, started as users start it, and the means to ask and disturb it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml

from serve_app.running.environment import child_environment, parse_env_file
from serve_app.running.rest import ServeClient, application_of, ray_token
from tests.support.one_thread import VARIABLES

ROOT = Path(__file__).parents[2]

OWN_PORTS = (
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
)


def until(condition: Callable[[], Any], what: str, deadline_s: float = 60) -> Any:
    """Polls until the condition holds, and returns its value."""
    end_s = time.monotonic() + deadline_s
    while True:
        if value := condition():
            return value
        assert time.monotonic() < end_s, f"not within {deadline_s} s: {what}"
        time.sleep(0.1)


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


@dataclass
class Served:
    """
    Attributes:
        home: RECSERVE_HOME of the service.
        config: the configuration that runs, a copy of ``serve_config.yaml``.
    """

    home: Path
    config: Path
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes]"
    http: httpx2.Client
    log: Path
    family: set[psutil.Process] = field(default_factory=set)

    def ask(self, user_id: str, **body: Any) -> dict[str, Any]:
        """One answer; anything but 200 fails the test."""
        answer = self.http.post("/recommendations", json={"user_id": user_id, **body})
        assert answer.status_code == 200, (answer.status_code, answer.text)
        found: dict[str, Any] = answer.json()
        return found

    def ask_whole(self, user_id: str, **body: Any) -> dict[str, Any]:
        """The first answer in which no stage was late: this tests content, not speed."""

        def whole() -> dict[str, Any] | None:
            answer = self.ask(user_id, **body)
            return None if answer["degraded"] else answer

        found: dict[str, Any] = until(whole, "an answer without anything degraded")
        return found

    def is_ready(self) -> bool:
        return self.status_of("/ready") == 200

    def status_of(self, path: str) -> int | None:
        """HTTP status of a GET, ``None`` while no server answers."""
        assert self.process.poll() is None, self.log.read_text()[-3_000:]
        try:
            return self.http.get(path).status_code
        except httpx2.TransportError:
            return None

    def client(self) -> ServeClient:
        """Serve's REST API, wherever Ray put its dashboard."""
        found = until(
            lambda: re.search(r"http://127\.0\.0\.1:\d+", self.log.read_text()), "a dashboard"
        )
        return ServeClient(found.group(), ray_token(os.environ, Path.home()))

    def replicas(self) -> dict[str, dict[str, int]]:
        """Process ids of the running replicas, by deployment and replica id."""
        application = application_of(self.client().details(), "recserve", "")
        return {
            name: {
                replica["replica_id"]: replica["pid"]
                for replica in deployment["replicas"]
                if replica["state"] == "RUNNING"
            }
            for name, deployment in application["deployments"].items()
        }

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Runs a Python module as an operator of this service would."""
        return subprocess.run(
            [sys.executable, "-m", *command],
            # Ray's own commands look for the token of a local cluster only when told to.
            env={**self.environment, "RAY_AUTH_MODE": "token"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def stop(self) -> None:
        """Stops as Ctrl-C does, then kills the processes that are left."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.family |= set(psutil.Process(self.process.pid).children(recursive=True))
        self.http.close()
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for process in psutil.wait_procs(self.family, timeout=10)[1]:
            process.kill()


@contextlib.contextmanager
def served(
    home: Path,
    *,
    profile: Path | None,
    change: Callable[[dict[str, Any]], None] | None = None,
    shipped: str = "serve_config.yaml",
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """
    ``serve run`` on a copy of a shipped configuration with ports of its own.

    Args:
        profile: file with RAY_SERVE_* variables; ``None`` for Ray's own defaults.
        change: edits the configuration before the start.
        folder: holds the copy and the files of Ray. Default: ``home``. Two services that share the
            stores of one home need two folders.
        variables: added to the environment of the service.
    """
    folder = folder or home
    port, *own_ports = free_ports(1 + len(OWN_PORTS))
    config = yaml.safe_load((ROOT / shipped).read_text())
    config["http_options"]["port"] = port
    if change:
        change(config)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    # The service uses as many threads as on a user's machine.
    outside = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment = {
        **child_environment(outside, parse_env_file(profile) if profile else {}),
        "RECSERVE_HOME": str(home),
        "RAY_TMPDIR": str(folder / "ray"),
        **dict(zip(OWN_PORTS, map(str, own_ports), strict=True)),
        **(variables or {}),
    }
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.serve.scripts", "run", str(path)],
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
    service = Served(home, path, environment, process, http, log)
    try:
        yield service
    finally:
        service.stop()


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """Stops processes for a while: they keep their connections and do nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
