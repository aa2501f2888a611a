"""Connects to the keeper of a home folder, and starts a keeper if there is none."""

import fcntl
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

from serve_app.embedded.home_folder import HomeFolder
from serve_app.embedded.processes import describe_end, known_account
from serve_app.errors import EmbeddedStoresFailed

_POLL_S = 0.02

# The marker stands on processes that end with the service. The keeper ends with its last lease.
_FOREIGN = ("PG", "RECSERVE_SERVICE")
_PACKAGE_ROOT = Path(__file__).parents[2]


def connect_or_start(home: HomeFolder, deadline_s: float) -> socket.socket:
    """Connects to the keeper, and starts one if none listens.

    Raises:
        EmbeddedStoresFailed: the keeper cannot run.
        TimeoutError, subprocess.TimeoutExpired: an earlier keeper still runs at the deadline.
    """
    with home.launch_lock.open("ab") as lock:
        # One process at a time: otherwise each of many would start an interpreter. Polling, because
        # a blocking flock() knows no deadline.
        while not _try_lock(lock):
            time.sleep(min(_POLL_S, remaining_s(deadline_s)))
        connection = _connect(home)
        while connection is None:
            _start_keeper(home, deadline_s)
            connection = _connect(home)
        return connection


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _connect(home: HomeFolder) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(home.keeper_socket))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection


def _start_keeper(home: HomeFolder, deadline_s: float) -> None:
    """Starts a keeper in a session of its own, and returns when it listens."""
    path = home.log("keeper")
    with path.open("ab") as log:
        # The process that ends here has forked the keeper. A session of its own keeps a Ctrl-C in
        # this terminal away from the servers.
        code = subprocess.run(
            [sys.executable, "-P", "-m", "serve_app.embedded.keeper", home.path],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.path,
            env=_environment(),
            start_new_session=True,
            timeout=remaining_s(deadline_s),
            check=False,
        ).returncode
    if code != 0:
        raise EmbeddedStoresFailed(home.path, describe_end("the keeper", code, path))


def _environment() -> dict[str, str]:
    """Lets the keeper run this copy of the code; PG… variables are meant for other servers."""
    path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {"PYTHONPATH": path, "LC_ALL": "C"}


def make_folders(home: HomeFolder) -> None:
    """Creates the home folder and the folder of its sockets.

    Raises:
        EmbeddedStoresFailed: another user may use the sockets.
    """
    home.path.mkdir(parents=True, exist_ok=True)
    home.sockets.mkdir(mode=0o700, exist_ok=True)
    # lstat: in /tmp another user may have left a link with this name.
    status = home.sockets.lstat()
    owners = {os.geteuid()}
    if os.geteuid() == 0 and (account := known_account()) is not None:
        owners.add(account.uid)
    if status.st_uid not in owners or stat.S_IMODE(status.st_mode) != 0o700:
        reason = f"{home.sockets} must belong to the present user, with mode 0700"
        raise EmbeddedStoresFailed(home.path, reason)


def remaining_s(deadline_s: float) -> float:
    """Seconds until a deadline of the monotonic clock; raises TimeoutError after it."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
