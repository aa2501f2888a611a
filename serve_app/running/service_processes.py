"""Finds and ends the processes of a service, whoever their parents are by then."""

import os
import time
from pathlib import Path

import psutil

MARKER = "RECSERVE_SERVICE"
"""Variable with the home folder. Every process of a service inherits it, and no other has it."""

CORE_NAMES = ("gcs_server", "raylet")
"""Ray's processes that nobody starts again: without them, the service is over."""

LISTING_PERIOD_S = 2.0
"""Reading the variables of all processes takes milliseconds."""

PAUSE_S = 0.5


class Core:
    """Watches those processes of a service without which it is over."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: dict[str, psutil.Process] = {}
        self._listing_due_s = 0.0

    def ended(self) -> list[str]:
        """The names of those that were seen alive and have ended."""
        if len(self._seen) < len(CORE_NAMES) and time.monotonic() >= self._listing_due_s:
            self._listing_due_s = time.monotonic() + LISTING_PERIOD_S
            found = {_name(process): process for process in service_processes(self._home)}
            self._seen = {name: found[name] for name in CORE_NAMES if name in found} | self._seen
        return [name for name, process in self._seen.items() if not is_alive(process)]


def service_processes(home: Path) -> set[psutil.Process]:
    """Lists the living processes of the service of a home folder.

    Ancestry would not do: a process whose parent was killed has another parent. A process that
    writes its title over its variables is found by its session, which others of the service share.
    """
    living = [process for process in psutil.process_iter() if is_alive(process)]
    marked = {process for process in living if _marker(process) == str(home)}
    sessions = {session for process in marked if (session := _session(process)) is not None}
    # The session of this process may hold others that have nothing to do with the service.
    sessions.discard(os.getsid(0))
    return marked | {process for process in living if _session(process) in sessions}


def kill_all(home: Path, *, deadline_s: float) -> set[psutil.Process]:
    """Kills the service of a home folder, also what it starts meanwhile.

    Args:
        deadline_s: longest time to try.

    Returns:
        The processes that are left.
    """
    end_s = time.monotonic() + deadline_s
    while (left := service_processes(home)) and time.monotonic() < end_s:
        for process in left:
            _kill(process)
        psutil.wait_procs(left, timeout=PAUSE_S)
    return left


def wait_until_ended(home: Path, *, deadline_s: float) -> None:
    """Returns when the service of a home folder has no process left, or at the deadline."""
    end_s = time.monotonic() + deadline_s
    while (left := service_processes(home)) and time.monotonic() < end_s:
        psutil.wait_procs(left, timeout=PAUSE_S)


def is_alive(process: psutil.Process) -> bool:
    """Tells whether it still runs. A zombie waits for its parent only, and does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _marker(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARKER)
    except (psutil.Error, OSError):  # it has just ended, or belongs to another user
        return None


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:  # as above
        return None


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:  # it has just ended
        return ""


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:  # between the listing and here, it ended by itself
        return
