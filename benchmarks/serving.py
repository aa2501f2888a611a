"""Starts a service on free ports, and ends all its processes."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from benchmarks.home import CONFIG, ROOT, Home
from benchmarks.processes import Usage, family, keepers, usage
from benchmarks.stopping import BenchmarkFailed
from serve_app.running.environment import child_environment, parse_env_file
from serve_app.running.serve_run import serve_run

FAST = ROOT / "configs/fast.env"
START_DEADLINE_S = 180.0
STOP_DEADLINE_S = 10.0

_OWN_PORTS = (
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
)


@dataclass(frozen=True, slots=True)
class Running:
    """
    Attributes:
        url: without a path.
        pid: of the root process.
        home: the home with its stores.
        otherwise: label of its processes with an unknown command line.
    """

    url: str
    pid: int
    home: Home
    otherwise: str

    def processes(self) -> list[psutil.Process]:
        """All processes of the service, with the embedded stores."""
        return family([self.pid, *keepers(self.home.folder)])

    def usage(self, *, with_memory: bool = False) -> dict[str, Usage]:
        """CPU time and memory by label of the processes."""
        return usage(self.processes(), self.otherwise, with_memory=with_memory)


Change = Callable[[dict[str, Any]], None]


@contextlib.contextmanager
def serve(
    home: Home,
    *,
    profile: Path | None = FAST,
    change: Change | None = None,
    shipped: Path = CONFIG,
) -> Iterator[Running]:
    """
    Start ``serve run`` on a copy of a shipped configuration.

    Args:
        profile: file with RAY_SERVE_* variables; ``None`` for Ray's defaults.
        change: edits the configuration before the start.
    """
    port, *own = free_ports(1 + len(_OWN_PORTS))
    config = yaml.safe_load(shipped.read_text())
    config["http_options"]["port"] = port
    if change:
        change(config)
    with _short_folder() as folder:
        path = folder / "serve_config.yaml"
        path.write_text(yaml.safe_dump(config))
        environment = {
            **child_environment(os.environ, parse_env_file(profile) if profile else {}),
            **dict(zip(_OWN_PORTS, map(str, own), strict=True)),
            "RAY_TMPDIR": str(folder),
        }
        url = f"http://127.0.0.1:{port}"
        with _started(serve_run(path), environment, url + "/ready", home) as process:
            yield Running(url, process.pid, home, "Ray itself")


@contextlib.contextmanager
def uvicorn(home: Home, app: str, environment: Mapping[str, str]) -> Iterator[Running]:
    """Start two uvicorn workers for an ASGI application."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--workers", "2"]
    quiet = ["--no-access-log", "--log-level", "warning"]
    url = f"http://127.0.0.1:{port}"
    with _started(
        [*command, *quiet], {**os.environ, **environment}, f"{url}/health", home
    ) as process:
        yield Running(url, process.pid, home, "uvicorn")


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str], ready: str, home: Home
) -> "Iterator[subprocess.Popen[bytes]]":
    log = home.folder / "serving.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={
                **environment,
                "RECSERVE_HOME": str(home.folder),
                "PYTHONPATH": os.pathsep.join(
                    filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
                ),
            },
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, ready, log)
        yield process
    finally:
        _stop(process)


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=5).ok:
                return
        time.sleep(0.25)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise BenchmarkFailed(f"the service does not answer; the end of {log}:\n{tail}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Kill all processes: an orderly end takes ten seconds and is not measured."""
    started = family([process.pid])
    for each in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
    deadline = time.monotonic() + STOP_DEADLINE_S
    while time.monotonic() < deadline and not all(map(_has_ended, started)):
        time.sleep(0.1)


def _has_ended(process: psutil.Process) -> bool:
    """A zombie has ended: its new parent has only not collected it yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextlib.contextmanager
def _short_folder() -> Iterator[Path]:
    """A short path: Ray's sockets lie in it, and their paths may have at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="rsb-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
