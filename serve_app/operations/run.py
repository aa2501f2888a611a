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

import psutil
import requests

from serve_app.errors import ServeUnreachable
from serve_app.operations.ports import ensure_free
from serve_app.operations.rest import ServeClient, application_of
from serve_app.serving.config import APPLICATION

# Serve gives its replicas 30 s to finish; HAProxy and the raylet come after them.
STOP_DEADLINE_S = 60.0
START_DEADLINE_S = 300.0
KILL_DEADLINE_S = 10.0
POLL_INTERVAL_S = 0.25
REQUEST_TIMEOUT_S = 5.0
N_LOG_LINES = 15

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
            said = _end_of("Serve", reason)
            announce(f"the service did not start. {said}\nMore in {service.log}")
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
