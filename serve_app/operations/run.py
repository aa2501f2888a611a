"""
``serve run`` as a child that starts quickly, says when it answers, and leaves nothing behind.

``serve run`` by itself waits for ever when a deployment fails, and shuts its replicas down on
SIGINT only.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psutil  # type: ignore[import-untyped]
import requests

from serve_app.errors import ServeUnreachable, SettingsInvalid
from serve_app.operations.ports import ensure_free
from serve_app.operations.rest import ServeClient, application_of
from serve_app.operations.scale import APPLICATION

# Serve gives its replicas 30 s to finish; HAProxy and the raylet come after them.
STOP_DEADLINE_S = 60.0
START_DEADLINE_S = 300.0
KILL_DEADLINE_S = 10.0
POLL_INTERVAL_S = 0.25
REQUEST_TIMEOUT_S = 5.0
N_LOG_LINES = 30

DASHBOARD_PORT = 8265

# Set unless the environment says otherwise.
DEVELOPMENT_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # On one machine nobody routes to a replica that leaves; 30 s is for load balancers.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
}

FAILED = 1


@dataclass(frozen=True, slots=True)
class Service:
    """
    What to run, and how it is seen to run.

    Attributes:
        command: of the child; :func:`serve_run` gives the usual one.
        environment: all of the child's variables.
        ready_url: answers 200 once requests can be answered.
        log: where the child's output goes, from its start on.
        failure: why Serve gave up on the application, None while it has not.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    ready_url: str
    log: Path
    failure: Callable[[], str | None]


def run_service(
    service: Service,
    *,
    ports: Mapping[int, str],
    ready: str,
    announce: Callable[[str], None],
    start_deadline_s: float = START_DEADLINE_S,
    stop_deadline_s: float = STOP_DEADLINE_S,
) -> int:
    """
    Run the service until it is told to stop, or ends.

    Args:
        service: what to run.
        ports: purpose by port; each has to be free.
        ready: what to announce once it answers, e.g. the address and a request to try.
        announce: takes what the operator should read.
        start_deadline_s: how long it may take to answer.
        stop_deadline_s: how long it may take to end once it is asked to.

    Returns:
        Exit code: 0 after SIGINT or SIGTERM, 1 when it did not start or ended by itself.

    Raises:
        PortTaken: a port is in use.
    """
    for port, purpose in ports.items():
        ensure_free(port, purpose)
    service.log.parent.mkdir(parents=True, exist_ok=True)
    with service.log.open("wb") as log, _stop_asked() as is_stop_asked:
        child = subprocess.Popen(
            service.command,
            env=dict(service.environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            # Of its own, so that Ctrl-C reaches this process alone and the end has one order.
            start_new_session=True,
        )
        family: set[psutil.Process] = set()
        try:
            if not _wait_until_ready(child, service, announce, is_stop_asked, start_deadline_s):
                return 0 if is_stop_asked() else FAILED
            # Taken while the child lives: whoever outlives it can no longer be found by it.
            family |= _family(child.pid)
            announce(ready)
            return _wait_until_stopped(child, service.log, announce, is_stop_asked)
        finally:
            _end(child, family, announce, stop_deadline_s)


def serve_run(config: Path) -> list[str]:
    """The command that runs ``config``, with the Ray of this interpreter."""
    return [sys.executable, "-m", "ray.serve.scripts", "run", str(config)]


def child_environment(environment: Mapping[str, str], profile: Mapping[str, str]) -> dict[str, str]:
    """
    Variables of the child: those of ``environment``, else of ``profile``, else for development.

    Args:
        environment: this process's variables.
        profile: what ``configs/fast.env`` says (:func:`parse_env_file`).
    """
    return {**DEVELOPMENT_ENVIRONMENT, **profile, **environment}


def parse_env_file(path: Path) -> dict[str, str]:
    """
    ``NAME=value`` lines; empty ones and those that start with ``#`` are left out.

    Raises:
        SettingsInvalid: no such file, or a line of another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SettingsInvalid(str(path), f"cannot be read: {error.strerror}") from error
    variables = {}
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsInvalid(f"{path}:{number}", "must have the form NAME=value")
        variables[name] = value
    return variables


def needed_ports(http_port: int, environment: Mapping[str, str]) -> dict[int, str]:
    """
    What has to be free on this machine.

    Args:
        http_port: ``http_options.port`` of the configuration.
        environment: the child's variables.

    Returns:
        Purpose by port. With ``RAY_ADDRESS`` set none: the ports are those of that cluster.
    """
    if environment.get("RAY_ADDRESS"):
        return {}
    ports = {http_port: "HTTP", DASHBOARD_PORT: "Ray's dashboard"}
    if environment.get("RAY_SERVE_ENABLE_HA_PROXY") == "1":
        ports |= {
            int(environment.get(variable, default)): purpose
            for variable, default, purpose in (
                ("RAY_SERVE_FALLBACK_PROXY_HTTP_PORT", "8500", "Serve's proxy behind HAProxy"),
                ("RAY_SERVE_HAPROXY_METRICS_PORT", "9101", "HAProxy's metrics"),
                ("RAY_SERVE_HAPROXY_STATS_PORT", "8404", "HAProxy's statistics"),
            )
        }
    return ports


def deploy_failure(client: ServeClient) -> str | None:
    """Why Serve gave up on the application; None while it has not, or does not answer yet."""
    try:
        application = application_of(client.details(), APPLICATION, client.address)
    except ServeUnreachable:
        return None
    if application["status"] != "DEPLOY_FAILED":
        return None
    return str(application["message"]).strip() or "Serve gives no reason"


def ready_message(base_url: str, user_id: str) -> str:
    """The address, and a request to try in a shell."""
    return (
        f"recserve answers at {base_url} (documentation: {base_url}/docs)\n"
        f"  curl -s {base_url}/recommendations -H 'content-type: application/json'"
        f' -d \'{{"user_id": "{user_id}"}}\''
    )


def _wait_until_ready(
    child: subprocess.Popen[bytes],
    service: Service,
    announce: Callable[[str], None],
    is_stop_asked: Callable[[], bool],
    deadline_s: float,
) -> bool:
    deadline = time.monotonic() + deadline_s
    while not is_stop_asked():
        if child.poll() is not None:
            announce(f"the service ended by itself. {_log_tail(service.log)}")
            return False
        if _answers(service.ready_url):
            return True
        if reason := service.failure():
            announce(f"the service did not start: {reason}\nMore in {service.log}")
            return False
        if time.monotonic() > deadline:
            announce(f"no answer in {deadline_s:.0f} s. {_log_tail(service.log)}")
            return False
        time.sleep(POLL_INTERVAL_S)
    return False


def _wait_until_stopped(
    child: subprocess.Popen[bytes],
    log: Path,
    announce: Callable[[str], None],
    is_stop_asked: Callable[[], bool],
) -> int:
    while not is_stop_asked():
        if child.poll() is not None:
            announce(f"the service ended by itself. {_log_tail(log)}")
            return FAILED
        time.sleep(POLL_INTERVAL_S)
    return 0


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=REQUEST_TIMEOUT_S).ok
    except requests.RequestException:
        return False


def _log_tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-N_LOG_LINES:]
    return "\n".join([f"The end of {log}:", *lines])


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came. Only in the main thread."""
    asked: list[int] = []

    def note(signal_number: int, _frame: FrameType | None) -> None:
        asked.append(signal_number)

    before: dict[signal.Signals, Any] = {
        number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _end(
    child: subprocess.Popen[bytes],
    family: set[psutil.Process],
    announce: Callable[[str], None],
    deadline_s: float,
) -> None:
    """Ask the child to end, wait, and kill whatever of its processes is left then."""
    family = family | _family(child.pid)
    if child.poll() is None:
        announce("stopping")
        child.send_signal(signal.SIGINT)
        try:
            child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            announce(f"it did not end within {deadline_s:.0f} s and is killed")
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    # Ray's processes end by themselves once their parent has; HAProxy may outlive its own.
    _, left = psutil.wait_procs(family, timeout=KILL_DEADLINE_S)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=KILL_DEADLINE_S)


def _family(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()
