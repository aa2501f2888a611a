"""Starts ``serve run`` as a child process, reports when it answers, and ends all its processes.

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

import psutil
import requests

from serve_app.errors import ServeUnreachable
from serve_app.operations.environment import ensure_free
from serve_app.operations.running.rest import ServeClient, application_of
from serve_app.serving.config import APPLICATION

# Serve gives its replicas 30 s to finish; HAProxy and the raylet end after them.
STOP_DEADLINE_S = 60.0
# Starting Ray and every replica takes tens of seconds on two cores; slow machines take longer.
START_DEADLINE_S = 300.0
KILL_DEADLINE_S = 10.0
POLL_INTERVAL_S = 0.25
REQUEST_TIMEOUT_S = 5.0
N_LOG_LINES = 15

FAILED = 1


@dataclass(frozen=True, slots=True)
class Service:
    """The child process that serves, and how to tell that it answers or failed.

    Attributes:
        command: command line of the child; :func:`serve_run` returns the usual one.
        ready_url: answers 200 once requests can be answered.
        log: file that receives the child's output, overwritten at each start.
        failure: returns why Serve gave up on the application, ``None`` while it has not.
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
    ready: Callable[[], str],
    announce: Callable[[str], None],
    start_deadline_s: float = START_DEADLINE_S,
    stop_deadline_s: float = STOP_DEADLINE_S,
) -> int:
    """Runs the service until a signal stops it or it ends by itself.

    Args:
        ports: purpose by port; every port must be free.
        ready: returns the message to announce once the service answers.
        start_deadline_s: longest time until the first answer.
        stop_deadline_s: longest time from the request to stop until the process has ended.

    Returns:
        The exit code: 0 after SIGINT or SIGTERM, 1 if the service did not start or ended by itself.

    Raises:
        PortTaken: a port is in use.
    """
    ensure_free(ports)
    service.log.parent.mkdir(parents=True, exist_ok=True)
    with service.log.open("wb") as log, _stop_asked() as is_stop_asked:
        child = subprocess.Popen(
            service.command,
            env=dict(service.environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            # In a session of its own, Ctrl-C reaches this process alone, which then ends the child.
            start_new_session=True,
        )
        family: set[psutil.Process] = set()
        try:
            if not _wait_until_ready(child, service, announce, is_stop_asked, start_deadline_s):
                return 0 if is_stop_asked() else FAILED
            # Collected while the child lives: orphans can no longer be found through their parent.
            family |= _family(child.pid)
            announce(ready())
            return _wait_until_stopped(child, service.log, announce, is_stop_asked)
        finally:
            _end(child, family, announce, stop_deadline_s)


def serve_run(config: Path) -> list[str]:
    """Command line that serves ``config`` with the Ray of this interpreter."""
    return [sys.executable, "-m", "ray.serve.scripts", "run", str(config)]


def deploy_failure(client: ServeClient) -> str | None:
    """Says why Serve gave up on the application; ``None`` if it has not, or does not answer yet."""
    try:
        application = application_of(client.details(), APPLICATION, client.address)
    except ServeUnreachable:
        return None
    if application["status"] != "DEPLOY_FAILED":
        return None
    return str(application["message"]).strip() or "Serve gives no reason"


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
            end = _end_of("Serve", reason)
            announce(f"the service did not start. {end}\nMore in {service.log}")
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
    return _end_of(str(log), log.read_text(encoding="utf-8", errors="replace"))


def _end_of(source: str, text: str) -> str:
    return "\n".join([f"The end of what {source} says:", *text.splitlines()[-N_LOG_LINES:]])


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Replaces the handlers of SIGINT and SIGTERM by one that only takes a note of the signal.

    Python allows this in the main thread only.
    """
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: asked.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
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
    """Asks the child to end; kills it after ``deadline_s``.

    Then kills those of its descendants that still run.
    """
    family = family | _family(child.pid)
    if child.poll() is None:
        announce("stopping")
        # SIGINT and not SIGTERM: Serve shuts its replicas down on SIGINT only.
        child.send_signal(signal.SIGINT)
        try:
            child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            announce(f"it did not end within {deadline_s:.0f} s and is killed")
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    # Ray's processes end shortly after their parent. HAProxy may outlive its parent.
    _, left = psutil.wait_procs(family, timeout=KILL_DEADLINE_S)
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=KILL_DEADLINE_S)


def _family(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()
