"""How an asker reaches the keeper of a home folder, and starts it when there is none."""

import fcntl
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

from serve_app.embedded.places import Places
from serve_app.embedded.processes import known_account
from serve_app.errors import EmbeddedStoresFailed

_POLL_S = 0.02
_PACKAGE_ROOT = Path(__file__).parents[2]


def connect_or_start(where: Places, deadline_s: float) -> socket.socket:
    """
    Connect to the keeper; start one when nobody listens.

    Raises:
        EmbeddedStoresFailed: the keeper cannot run.
        TimeoutError, subprocess.TimeoutExpired: the keeper before is not gone at the deadline.
    """
    with where.turn_lock.open("ab") as turn:
        # One asker at a time, so that many at once do not each start an interpreter.
        while not _locked(turn):
            time.sleep(min(_POLL_S, remaining_s(deadline_s)))
        connection = _connect(where)
        while connection is None:
            _start_keeper(where, deadline_s)
            connection = _connect(where)
        return connection


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _connect(where: Places) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(where.keeper_socket))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def _start_keeper(where: Places, deadline_s: float) -> None:
    """Return when a keeper listens. It is nobody's child, and in no terminal's session."""
    with where.keeper_log.open("ab") as log:
        code = subprocess.run(
            [sys.executable, "-P", "-m", "serve_app.embedded.keeper", where.home],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=where.home,
            env=_environment(),
            start_new_session=True,
            timeout=remaining_s(deadline_s),
            check=False,
        ).returncode
    if code != 0:
        raise EmbeddedStoresFailed(
            where.home,
            f"the keeper ended with code {code}; the last lines of {where.keeper_log} say why",
        )


def _environment() -> dict[str, str]:
    """Make the keeper run this very code; what PG… variables say is meant for other servers."""
    path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"PYTHONPATH": path, "LC_ALL": "C"}


def make_folders(where: Places) -> None:
    """
    Make the home folder and the one for its sockets.

    Raises:
        EmbeddedStoresFailed: somebody else may use the sockets.
    """
    where.home.mkdir(parents=True, exist_ok=True)
    where.sockets.mkdir(mode=0o700, exist_ok=True)
    status = where.sockets.lstat()
    owners = {os.geteuid()}
    if os.geteuid() == 0 and (account := known_account()) is not None:
        owners.add(account.uid)
    if status.st_uid not in owners or stat.S_IMODE(status.st_mode) != 0o700:
        raise EmbeddedStoresFailed(
            where.home, f"{where.sockets} must belong to the present user, with mode 0700"
        )


def remaining_s(deadline_s: float) -> float:
    """
    Say how long is left until a deadline of the monotonic clock.

    Raises:
        TimeoutError: nothing.
    """
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
