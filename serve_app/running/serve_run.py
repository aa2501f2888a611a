"""Starts ``serve run`` as a child process, watches it, and ends all its processes.

``serve run`` by itself waits for ever when a deployment fails or Ray has died, and shuts its
replicas down on SIGINT only.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import requests

from serve_app.errors import ServeUnreachable
from serve_app.running.environment import ensure_free
from serve_app.running.rest import ServeClient, application_of
from serve_app.running.service_processes import (
    MARKER,
    Core,
    kill_all,
    wait_until_ended,
)
from serve_app.serving.config import APPLICATION

# Serve gives its replicas 30 s to finish; HAProxy and the raylet end after them.
STOP_DEADLINE_S = 60.0
# Starting Ray and every replica takes tens of seconds on two cores; slow machines take longer.
START_DEADLINE_S = 300.0
# `recserve run` ends within 15 s of the end of its service.
OVER_DEADLINE_S = 3.0
ENDING_DEADLINE_S = 5.0
KILL_DEADLINE_S = 10.0
POLL_INTERVAL_S = 0.25
PULSE_INTERVAL_S = 1.0
REQUEST_TIMEOUT_S = 5.0
N_LOG_LINES = 15

FAILED = 1

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Service:
    """The child process that serves, and how to tell that it answers or failed.

    Attributes:
        command: command line of the child; :func:`serve_run` returns the usual one.
        ready_url: answers 200 once requests can be answered.
        home: the home folder, which marks the processes of the service.
        log: file that receives the child's output, overwritten at each start.
        failure: returns why Serve gave up on the application, ``None`` while it has not.
        why_gone: takes monotonic seconds; returns why a service that has answered is over,
            ``None`` while it is not.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    ready_url: str
    home: Path
    log: Path
    failure: Callable[[], str | None]
    why_gone: Callable[[float], str | None]


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
        The exit code: 0 after a signal to stop, 1 if the service did not start or is over.

    Raises:
        PortTaken: a port is in use.
    """
    ensure_free(ports)
    service.log.parent.mkdir(parents=True, exist_ok=True)
    say = _while_somebody_listens(announce)
    with service.log.open("wb") as log, _stop_asked() as is_stop_asked:
        child = _start(service, log)
        guard = _start_guard(service.home, child.pid, log)
        try:
            fault = _wait_until_ready(child, service, is_stop_asked, start_deadline_s)
            if fault is None and not is_stop_asked():
                say(ready())
                fault = _wait_until_over(child, service, is_stop_asked)
            if fault is not None:
                # A service that is over does not stop in good order.
                stop_deadline_s = min(stop_deadline_s, OVER_DEADLINE_S)
                say(fault)
            return 0 if fault is None else FAILED
        finally:
            _end(child, service.home, say, stop_deadline_s)
            _dismiss(guard)


def _start(service: Service, log: BinaryIO) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        service.command,
        env={**service.environment, MARKER: str(service.home)},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # In a session of its own, Ctrl-C reaches this process alone, which then ends the child.
        start_new_session=True,
    )


def _start_guard(home: Path, pid: int, log: BinaryIO) -> "subprocess.Popen[bytes]":
    """Starts the process that ends the service when this one is killed."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "serve_app.running.guard", str(home), str(pid)],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _dismiss(guard: "subprocess.Popen[bytes]") -> None:
    assert guard.stdin is not None
    guard.stdin.close()
    guard.wait()


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
    child: "subprocess.Popen[bytes]",
    service: Service,
    is_stop_asked: Callable[[], bool],
    deadline_s: float,
) -> str | None:
    """Returns ``None`` once the service answers or a signal asks to stop, otherwise the fault."""
    deadline = time.monotonic() + deadline_s
    core = Core(service.home)
    while not is_stop_asked():
        if _answers(service.ready_url):
            return None
        if fault := _end_of_processes(child, service, core):
            return fault
        if reason := service.failure():
            end = _end_of("Serve", reason)
            return f"the service did not start. {end}\nMore in {service.log}"
        if time.monotonic() > deadline:
            return f"no answer in {deadline_s:.0f} s. {_log_tail(service.log)}"
        time.sleep(POLL_INTERVAL_S)
    return None


def _wait_until_over(
    child: "subprocess.Popen[bytes]", service: Service, is_stop_asked: Callable[[], bool]
) -> str | None:
    """Returns ``None`` when a signal asks to stop, or why the service is over."""
    core = Core(service.home)
    pulse_due_s = 0.0
    while not is_stop_asked():
        if fault := _end_of_processes(child, service, core):
            return fault
        now_s = time.monotonic()
        if now_s >= pulse_due_s:
            if reason := service.why_gone(now_s):
                return f"the service is over: {reason}. {_log_tail(service.log)}"
            pulse_due_s = now_s + PULSE_INTERVAL_S
        time.sleep(POLL_INTERVAL_S)
    return None


def _end_of_processes(child: "subprocess.Popen[bytes]", service: Service, core: Core) -> str | None:
    if child.poll() is not None:
        return f"the service ended by itself. {_log_tail(service.log)}"
    if ended := core.ended():
        names = " and ".join(ended)
        return f"the service is over: Ray's {names} ended. {_log_tail(service.log)}"
    return None


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
    """Replaces the handlers of the signals to stop by one that only takes a note of the signal.

    Python allows this in the main thread only.
    """
    asked: list[int] = []

    def note(number: int, _frame: object) -> None:
        # `nohup` ignores SIGHUP, and means it; a shell ignores SIGINT for what it starts with `&`.
        if before[number] != signal.SIG_IGN:
            asked.append(number)

    # Also for ignored signals, because the child would inherit that, and SIGINT has to end it.
    before = {int(number): signal.getsignal(number) for number in STOP_SIGNALS}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(asked)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _while_somebody_listens(announce: Callable[[str], None]) -> Callable[[str], None]:
    """An ``announce`` that does not fail when the terminal is closed."""

    def say(text: str) -> None:
        # The service must be ended all the same, and there is nobody to tell.
        with suppress(OSError):
            announce(text)

    return say


def _end(
    child: "subprocess.Popen[bytes]",
    home: Path,
    announce: Callable[[str], None],
    deadline_s: float,
) -> None:
    """Asks the child to end, waits for it, and kills every process of the service that is left."""
    if child.poll() is None:
        announce("stopping")
        # SIGINT and not SIGTERM: Serve shuts its replicas down on SIGINT only.
        child.send_signal(signal.SIGINT)
        try:
            child.wait(deadline_s)
            # Ray's processes end shortly after their parent. HAProxy may outlive its parent.
            wait_until_ended(home, deadline_s=ENDING_DEADLINE_S)
        except subprocess.TimeoutExpired:
            announce(f"it did not end within {deadline_s:.0f} s and is killed")
    if left := kill_all(home, deadline_s=KILL_DEADLINE_S):
        announce(f"these processes cannot be ended: {', '.join(str(one.pid) for one in left)}")
    child.wait()
